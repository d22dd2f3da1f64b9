//! Edits that change ids, and everything that refers to them.

use std::collections::BTreeMap;

use super::super::model::Storage;
use super::{EditRefusal, unknown};

/// Adds later renames to earlier ones.
pub(super) fn compose(all: &mut BTreeMap<String, String>, later: &BTreeMap<String, String>) {
    let mut composed: BTreeMap<String, String> =
        all.iter().map(|(old, now)| (old.clone(), later.get(now).unwrap_or(now).clone())).collect();
    let reached: Vec<&String> = all.values().collect();
    for (old, now) in later {
        if !reached.contains(&old) {
            composed.entry(old.clone()).or_insert_with(|| now.clone());
        }
    }
    *all = composed;
}

impl Storage {
    pub(super) fn rename(
        &mut self,
        id: &str,
        name: &str,
    ) -> Result<BTreeMap<String, String>, EditRefusal> {
        let mut renamed = BTreeMap::new();
        let mut note = |old: String, now: String| {
            if old != now {
                renamed.insert(old, now);
            }
        };
        if let Some(disk) = self.disks.iter_mut().find(|disk| disk.device.name == id) {
            let olds: Vec<String> =
                disk.partitions.iter().map(|one| disk.partition_id(one.number)).collect();
            note(id.to_owned(), name.to_owned());
            name.clone_into(&mut disk.device.name);
            for (old, one) in olds.into_iter().zip(&disk.partitions) {
                note(old, disk.partition_id(one.number));
            }
        } else if let Some(group) = self.volume_groups.iter_mut().find(|group| group.name == id) {
            let olds: Vec<String> =
                group.volumes.iter().map(|one| group.volume_id(&one.name)).collect();
            note(id.to_owned(), name.to_owned());
            name.clone_into(&mut group.name);
            for (old, one) in olds.into_iter().zip(&group.volumes) {
                note(old, group.volume_id(&one.name));
            }
        } else {
            let raids = self.raids.iter_mut().map(|raid| &mut raid.name);
            let bcaches = self.bcaches.iter_mut().map(|bcache| &mut bcache.name);
            let stores = self.vmfs.iter_mut().map(|vmfs| &mut vmfs.name);
            let encrypted = self.encrypted.iter_mut().map(|encrypted| &mut encrypted.name);
            let pools = self.zpools.iter_mut().map(|pool| &mut pool.name);
            let mut plain = raids.chain(bcaches).chain(stores).chain(encrypted).chain(pools);
            let plain = plain.find(|have| *have == id);
            if let Some(have) = plain {
                note(id.to_owned(), name.to_owned());
                name.clone_into(have);
            } else {
                let (old, now) = self.rename_logical(id, name)?;
                note(old, now);
            }
        }
        self.apply_renames(&renamed);
        Ok(renamed)
    }

    fn rename_logical(&mut self, id: &str, name: &str) -> Result<(String, String), EditRefusal> {
        for group in &mut self.volume_groups {
            let at = group.volumes.iter().position(|one| group.volume_id(&one.name) == id);
            if let Some(volume) = at.and_then(|at| group.volumes.get_mut(at)) {
                name.clone_into(&mut volume.name);
                return Ok((id.to_owned(), group.volume_id(name)));
            }
        }
        Err(unknown("volume", id))
    }

    /// Lets every reference follow, all at once: `a` may become `b` while `b` becomes `c`.
    pub(super) fn apply_renames(&mut self, renamed: &BTreeMap<String, String>) {
        if renamed.is_empty() {
            return;
        }
        let follow = |id: &mut String| {
            if let Some(now) = renamed.get(id) {
                id.clone_from(now);
            }
        };
        for raid in &mut self.raids {
            raid.devices.iter_mut().chain(&mut raid.spares).for_each(follow);
        }
        for bcache in &mut self.bcaches {
            follow(&mut bcache.backing);
            follow(&mut bcache.cache);
        }
        self.cache_sets.iter_mut().for_each(follow);
        for group in &mut self.volume_groups {
            group.devices.iter_mut().for_each(follow);
        }
        for encrypted in &mut self.encrypted {
            follow(&mut encrypted.volume);
        }
        for pool in &mut self.zpools {
            pool.devices.iter_mut().for_each(follow);
        }
        for vmfs in &mut self.vmfs {
            vmfs.devices.iter_mut().for_each(follow);
        }
        for filesystem in &mut self.filesystems {
            follow(&mut filesystem.volume);
        }
        self.uuids = std::mem::take(&mut self.uuids)
            .into_iter()
            .map(|(id, uuid)| {
                let (volume, suffix) =
                    id.strip_suffix("_format").map_or((id.as_str(), ""), |one| (one, "_format"));
                let now = renamed.get(volume).map_or(volume, String::as_str);
                (format!("{now}{suffix}"), uuid)
            })
            .collect();
    }
}
