//! A machine's storage as it stands: what the layout makes of its disks, with the edits since.

use crate::deploy::Facts;
use crate::storage::{
    BootMethod, CustomLayout, Disk, Edit, EditRefusal, LayoutRefusal, LayoutRequest, Platform,
    Storage, VolumeRegister,
};

use super::{Machine, Status};

/// Storage with the numbers that name its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedStorage {
    /// All disks of the machine, in the order in which commissioning found them, and what is on
    /// them.
    pub storage: Storage,
    /// Numbers and tags.
    pub register: VolumeRegister,
}

impl Machine {
    /// The storage that a deployment would make, or has made. Before commissioning has ended, and
    /// when the chosen layout does not fit the disks, the disks are empty.
    #[must_use]
    pub fn storage(&self) -> NumberedStorage {
        let storage = self.laid_out().unwrap_or_else(|_| self.blank());
        let mut register = self.configuration.volumes.clone();
        register.update(&storage);
        NumberedStorage { storage, register }
    }

    /// What a deployment is asked for: the edited storage, or else the chosen layout, or else the
    /// document that a commissioning script left.
    #[must_use]
    pub fn storage_request(&self) -> Option<LayoutRequest> {
        let configuration = &self.configuration;
        let edited =
            configuration.acquired_storage.as_ref().or(configuration.edited_storage.as_ref());
        if let Some(edited) = edited {
            return Some(LayoutRequest::Explicit(Box::new(edited.clone())));
        }
        configuration.storage.clone().or_else(|| {
            let document = self.hardware.storage_extra.clone()?;
            serde_json::from_value::<CustomLayout>(document).ok().map(LayoutRequest::Custom)
        })
    }

    /// Architecture and firmware, as far as its netboots have told.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let arch = self.architecture.arch.clone();
        let boot_method = BootMethod::from_maas(&self.boot.bios_boot_method, &arch);
        Platform { arch, boot_method }
    }

    /// Edits the storage; all edits are done or none. While the machine is allocated the edits
    /// belong to its owner and are forgotten at release.
    ///
    /// # Errors
    ///
    /// [`EditRefusal`]; nothing has changed then.
    pub fn edit_storage(&mut self, edits: &[Edit]) -> Result<(), EditRefusal> {
        let NumberedStorage { storage, mut register } = self.storage();
        let edited = storage.edit_all(edits)?;
        for edit in edits {
            if let Edit::MoveCacheSet { from, to } = edit {
                register.move_cache(from, to);
            }
        }
        register.rename(&edited.renamed);
        register.update(&edited.storage);
        let configuration = &mut self.configuration;
        configuration.volumes = register;
        if self.status == Status::Allocated {
            configuration.acquired_storage = Some(edited.storage);
        } else {
            configuration.boot_disk =
                edited.storage.boot_disk().map(|disk| disk.device.name.clone());
            configuration.edited_storage = Some(edited.storage);
        }
        Ok(())
    }

    /// Replaces layout and edits by another layout; the machine's own defaults when there is none.
    ///
    /// # Errors
    ///
    /// [`LayoutRefusal`] when it does not fit; nothing has changed then.
    pub fn choose_layout(&mut self, layout: Option<LayoutRequest>) -> Result<(), LayoutRefusal> {
        if let Some(layout) = &layout {
            self.lay_out(layout)?;
        }
        self.forget_storage();
        self.configuration.storage = layout;
        Ok(())
    }

    /// Forgets layout and edits, as commissioning does unless it is told to skip storage. Disks
    /// keep their numbers.
    pub fn forget_storage(&mut self) {
        let blank = self.blank();
        let mut register = self.storage().register;
        register.update(&blank);
        let configuration = &mut self.configuration;
        configuration.volumes = register;
        configuration.storage = None;
        configuration.edited_storage = None;
        configuration.acquired_storage = None;
    }

    fn laid_out(&self) -> Result<Storage, LayoutRefusal> {
        let found = !matches!(
            self.status,
            Status::New | Status::Commissioning | Status::FailedCommissioning
        );
        match self.storage_request() {
            Some(request) if found || matches!(request, LayoutRequest::Explicit(_)) => {
                self.lay_out(&request)
            }
            None if found => self.lay_out(&LayoutRequest::default()),
            _ => Ok(self.blank()),
        }
    }

    fn lay_out(&self, request: &LayoutRequest) -> Result<Storage, LayoutRefusal> {
        let devices = Facts::from(&*self.hardware).block_devices;
        let boot = self.configuration.boot_disk.as_deref();
        // A disk that is not there any more cannot be booted from.
        let boot = boot.filter(|name| devices.iter().any(|device| device.name == *name));
        let mut storage = request.lay_out(&devices, boot, &self.platform())?;
        let mut decided = std::mem::take(&mut storage.disks);
        for device in devices {
            let at = decided.iter().position(|disk| disk.device.name == device.name);
            storage.disks.push(match at {
                Some(at) => Disk { device, ..decided.remove(at) },
                None => Disk::whole(device),
            });
        }
        Ok(storage)
    }

    fn blank(&self) -> Storage {
        let devices = Facts::from(&*self.hardware).block_devices;
        let chosen = self.configuration.boot_disk.as_ref();
        let boot = devices.iter().position(|device| Some(&device.name) == chosen).unwrap_or(0);
        let disks = devices
            .into_iter()
            .enumerate()
            .map(|(at, device)| Disk { boot: at == boot, ..Disk::whole(device) })
            .collect();
        Storage::empty(self.platform(), disks)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::hardware::Disk as FoundDisk;
    use super::super::lifecycle::tests::machine;
    use super::*;
    use crate::storage::{LvmOptions, Size};

    fn ready() -> Machine {
        let mut machine = machine();
        machine.status = Status::Ready;
        machine.boot.bios_boot_method = "uefi".to_owned();
        let disk = |name: &str| FoundDisk {
            name: name.to_owned(),
            size: 20 << 30,
            block_size: 512,
            serial: name.to_uppercase(),
            ..FoundDisk::default()
        };
        machine.hardware.disks = vec![disk("sda"), disk("sdb")];
        machine
    }

    #[test]
    fn a_machine_that_was_commissioned_shows_the_default_layout() {
        let mut machine = ready();
        let shown = machine.storage();
        assert_eq!(shown.storage.disks.len(), 2, "the untouched disk is shown as well");
        assert_eq!(shown.storage.mounted_at("/").unwrap().volume, "sda-part2");
        assert_eq!(shown.register.device("sdb"), 2);
        machine.status = Status::Commissioning;
        assert!(machine.storage().storage.filesystems.is_empty());
        machine.status = Status::Ready;
        machine.hardware.disks.clear();
        assert!(machine.storage().storage.disks.is_empty());
    }

    #[test]
    fn edits_of_an_administrator_stay_and_those_of_an_owner_are_forgotten() {
        let mut machine = ready();
        machine
            .edit_storage(&[Edit::Format {
                volume: "sdb".into(),
                fstype: "xfs".into(),
                label: String::new(),
            }])
            .unwrap();
        machine.status = Status::Allocated;
        let mount =
            Edit::Mount { volume: "sdb".into(), path: "/srv".into(), options: String::new() };
        machine.edit_storage(&[mount]).unwrap();
        assert!(machine.storage().storage.mounted_at("/srv").is_some());
        machine.configuration.acquired_storage = None;
        let after = machine.storage().storage;
        assert!(after.mounted_at("/srv").is_none() && after.filesystem_on("sdb").is_some());
    }

    #[test]
    fn another_layout_replaces_edits_and_disks_keep_their_numbers() {
        let mut machine = ready();
        let add =
            Edit::AddPartition { disk: "sdb".into(), size: Size::Bytes(1 << 30), bootable: false };
        machine.edit_storage(&[add]).unwrap();
        let number = machine.storage().register.partition("sdb-part1");
        machine.choose_layout(Some(LayoutRequest::Lvm(LvmOptions::default()))).unwrap();
        let shown = machine.storage();
        assert_eq!(shown.storage.mounted_at("/").unwrap().volume, "vgroot-lvroot");
        assert_eq!(shown.register.partition_of(number), None);
        assert_eq!(shown.register.device("sdb"), 2);
        let before = machine.clone();
        let small = LayoutRequest::Vmfs7(crate::storage::BasicOptions::default());
        assert!(machine.choose_layout(Some(small)).is_err());
        assert_eq!(machine, before);
    }

    #[test]
    fn a_disk_that_is_gone_takes_the_layout_with_it() {
        let mut machine = ready();
        machine.edit_storage(&[Edit::SetBootDisk { disk: "sdb".into() }]).unwrap();
        machine.hardware.disks.remove(1);
        let shown = machine.storage().storage;
        assert_eq!(shown.disks.len(), 1);
        assert!(shown.boot_disk().is_some());
    }
}
