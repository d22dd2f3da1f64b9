//! Edits of what is made of other volumes: volume groups, RAIDs, bcaches, caches, datastores.

use super::super::model::{Bcache, Encrypted, LogicalVolume, Raid, Storage, Vmfs, VolumeGroup};
use super::super::size::{ALIGNMENT, Size, align_down};
use super::{Edit, EditRefusal, unknown};

impl Storage {
    pub(super) fn apply_to_compound(&mut self, edit: &Edit) -> Result<(), EditRefusal> {
        match edit {
            Edit::AddVolumeGroup { name, devices } => self.volume_groups.push(VolumeGroup {
                name: name.clone(),
                devices: devices.clone(),
                volumes: Vec::new(),
            }),
            Edit::AddLogicalVolume { group, name, size } => {
                self.add_logical_volume(group, name, *size)?;
            }
            Edit::RemoveLogicalVolume { volume } => {
                self.unused(volume)?;
                let (group, at) = self.logical_volume(volume)?;
                if let Some(group) = self.volume_groups.get_mut(group) {
                    group.volumes.remove(at);
                }
                self.uuids.remove(volume);
            }
            Edit::ResizeLogicalVolume { volume, size } => self.resize(volume, *size)?,
            Edit::AddRaid { name, level, devices, spares } => self.raids.push(Raid {
                name: name.clone(),
                level: *level,
                devices: devices.clone(),
                spares: spares.clone(),
            }),
            Edit::AddBcache { name, backing, cache, mode } => self.bcaches.push(Bcache {
                name: name.clone(),
                backing: backing.clone(),
                cache: cache.clone(),
                mode: *mode,
            }),
            Edit::ChangeBcache { name, backing, cache, mode } => {
                let bcache = self
                    .bcaches
                    .iter_mut()
                    .find(|bcache| bcache.name == *name)
                    .ok_or_else(|| unknown("bcache", name))?;
                bcache.backing.clone_from(backing);
                // The cache that is left stays set aside, as it was before.
                let left = std::mem::replace(&mut bcache.cache, cache.clone());
                bcache.mode = *mode;
                self.keep_cache(left);
            }
            Edit::AddCacheSet { device } => self.cache_sets.push(device.clone()),
            Edit::MoveCacheSet { from, to } => self.move_cache(from, to)?,
            Edit::RemoveCacheSet { device } => {
                if let Some(bcache) = self.bcaches.iter().find(|bcache| bcache.cache == *device) {
                    let by = format!("bcache {}", bcache.name);
                    return Err(EditRefusal::InUse { volume: device.clone(), by });
                }
                let before = self.cache_sets.len();
                self.cache_sets.retain(|have| have != device);
                if self.cache_sets.len() == before {
                    return Err(unknown("cache set on", device));
                }
            }
            Edit::AddEncrypted { name, volume, key } => self.encrypted.push(Encrypted {
                name: name.clone(),
                volume: volume.clone(),
                key: key.clone(),
            }),
            Edit::AddZpool { pool } => self.zpools.push(pool.clone()),
            Edit::AddDatastore { name, devices } => {
                self.vmfs.push(Vmfs { name: name.clone(), devices: devices.clone() });
            }
            Edit::SetMembers { name, devices, spares } => {
                self.set_members(name, devices, spares)?;
            }
            Edit::RemoveCompound { name } => self.remove_compound(name)?,
            _ => {}
        }
        Ok(())
    }

    fn logical_volume(&self, id: &str) -> Result<(usize, usize), EditRefusal> {
        self.volume_groups
            .iter()
            .enumerate()
            .find_map(|(at, group)| {
                let mut volumes = group.volumes.iter();
                Some((at, volumes.position(|one| group.volume_id(&one.name) == id)?))
            })
            .ok_or_else(|| unknown("logical volume", id))
    }

    /// What is free in a group, in bytes.
    #[must_use]
    pub fn group_free(&self, group: &VolumeGroup) -> u64 {
        let used: u64 = group.volumes.iter().map(|volume| volume.size).sum();
        self.group_size(group).unwrap_or(0).saturating_sub(used)
    }

    fn add_logical_volume(
        &mut self,
        name: &str,
        volume: &str,
        size: Size,
    ) -> Result<(), EditRefusal> {
        let at = self
            .volume_groups
            .iter()
            .position(|have| have.name == name)
            .ok_or_else(|| unknown("volume group", name))?;
        let group = self.volume_groups.get(at).ok_or_else(|| unknown("volume group", name))?;
        let (whole, free) = (self.group_size(group).unwrap_or(0), self.group_free(group));
        let wanted = match size {
            Size::Percent(100) => free,
            size => align_down(size.of(whole), ALIGNMENT),
        };
        if wanted < ALIGNMENT || wanted > free {
            return Err(EditRefusal::NoRoom { name: name.to_owned(), wanted, free });
        }
        if let Some(group) = self.volume_groups.get_mut(at) {
            group.volumes.push(LogicalVolume { name: volume.to_owned(), size: wanted });
        }
        Ok(())
    }

    fn resize(&mut self, id: &str, size: Size) -> Result<(), EditRefusal> {
        let (at, index) = self.logical_volume(id)?;
        let Some(group) = self.volume_groups.get(at) else {
            return Err(unknown("logical volume", id));
        };
        let has = group.volumes.get(index).map_or(0, |volume| volume.size);
        let whole = self.group_size(group).unwrap_or(0);
        let free = self.group_free(group).saturating_add(has);
        let wanted = match size {
            Size::Percent(100) => free,
            size => align_down(size.of(whole), ALIGNMENT),
        };
        if wanted < ALIGNMENT || wanted > free {
            return Err(EditRefusal::NoRoom { name: group.name.clone(), wanted, free });
        }
        let group = self.volume_groups.get_mut(at);
        if let Some(volume) = group.and_then(|group| group.volumes.get_mut(index)) {
            volume.size = wanted;
        }
        Ok(())
    }

    /// A cache that no bcache uses any more is still a cache.
    fn keep_cache(&mut self, cache: String) {
        let known = self.cache_sets.contains(&cache)
            || self.bcaches.iter().any(|bcache| bcache.cache == cache);
        if !known {
            self.cache_sets.push(cache);
        }
    }

    fn move_cache(&mut self, from: &str, to: &str) -> Result<(), EditRefusal> {
        if !self.caches().contains(&from) {
            return Err(unknown("cache set on", from));
        }
        if from != to {
            self.unused(to)?;
        }
        let bcaches = self.bcaches.iter_mut().map(|bcache| &mut bcache.cache);
        for cache in bcaches.chain(&mut self.cache_sets).filter(|cache| *cache == from) {
            to.clone_into(cache);
        }
        Ok(())
    }

    fn set_members(
        &mut self,
        name: &str,
        devices: &[String],
        spares: &[String],
    ) -> Result<(), EditRefusal> {
        if let Some(raid) = self.raids.iter_mut().find(|raid| raid.name == name) {
            raid.devices = devices.to_vec();
            raid.spares = spares.to_vec();
            return Ok(());
        }
        let groups = self.volume_groups.iter_mut().map(|group| (&group.name, &mut group.devices));
        let stores = self.vmfs.iter_mut().map(|vmfs| (&vmfs.name, &mut vmfs.devices));
        match groups.chain(stores).find(|(have, _)| *have == name) {
            Some((_, members)) => *members = devices.to_vec(),
            None => return Err(unknown("volume group, RAID or datastore", name)),
        }
        Ok(())
    }

    fn remove_compound(&mut self, name: &str) -> Result<(), EditRefusal> {
        self.unused(name)?;
        self.uuids.remove(name);
        if let Some(group) = self.volume_groups.iter().find(|group| group.name == name) {
            if let Some(volume) = group.volumes.first() {
                return Err(EditRefusal::InUse {
                    volume: name.to_owned(),
                    by: format!("its logical volume {}", volume.name),
                });
            }
            self.volume_groups.retain(|group| group.name != name);
            return Ok(());
        }
        if let Some(at) = self.bcaches.iter().position(|bcache| bcache.name == name) {
            let bcache = self.bcaches.remove(at);
            self.keep_cache(bcache.cache);
            return Ok(());
        }
        let count = |storage: &Self| {
            let raids = storage.raids.len() + storage.vmfs.len();
            raids + storage.encrypted.len() + storage.zpools.len()
        };
        let before = count(self);
        self.raids.retain(|raid| raid.name != name);
        self.vmfs.retain(|vmfs| vmfs.name != name);
        self.encrypted.retain(|encrypted| encrypted.name != name);
        self.zpools.retain(|pool| pool.name != name);
        if count(self) == before {
            return Err(unknown("volume group, RAID, bcache or datastore", name));
        }
        Ok(())
    }
}
