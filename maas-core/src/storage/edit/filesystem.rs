//! Edits of file systems and mounts.

use super::super::model::{Filesystem, Mount, SpecialMount, Storage};
use super::{Edit, EditRefusal, unknown};

impl Storage {
    pub(super) fn apply_to_filesystems(&mut self, edit: &Edit) -> Result<(), EditRefusal> {
        match edit {
            Edit::Format { volume, fstype, label } => {
                if let Some(have) = self.filesystem_on(volume) {
                    return Err(EditRefusal::Formatted {
                        volume: volume.clone(),
                        fstype: have.fstype.clone(),
                    });
                }
                self.filesystems.push(Filesystem {
                    volume: volume.clone(),
                    fstype: fstype.clone(),
                    label: label.clone(),
                    mount: None,
                });
            }
            Edit::Unformat { volume } => {
                let at = self.filesystem(volume)?;
                if let Some(mount) = self.filesystems.get(at).and_then(|fs| fs.mount.as_ref()) {
                    let by = format!("the mount at {}", mount.path);
                    return Err(EditRefusal::InUse { volume: volume.clone(), by });
                }
                self.filesystems.remove(at);
                self.uuids.remove(&format!("{volume}_format"));
            }
            Edit::Mount { volume, path, options } => {
                let at = self.filesystem(volume)?;
                if let Some(filesystem) = self.filesystems.get_mut(at) {
                    if let Some(mount) = &filesystem.mount {
                        return Err(EditRefusal::Mounted {
                            volume: volume.clone(),
                            path: mount.path.clone(),
                        });
                    }
                    filesystem.mount = Some(Mount { path: path.clone(), options: options.clone() });
                }
            }
            Edit::Unmount { volume } => {
                let at = self.filesystem(volume)?;
                let mount = self.filesystems.get_mut(at).and_then(|fs| fs.mount.take());
                if mount.is_none() {
                    return Err(unknown("mount of", volume));
                }
            }
            Edit::MountSpecial { fstype, path, options } => {
                self.special_mounts.push(SpecialMount {
                    fstype: fstype.clone(),
                    path: path.clone(),
                    options: options.clone(),
                });
            }
            Edit::UnmountSpecial { path } => {
                let before = self.special_mounts.len();
                self.special_mounts.retain(|mount| mount.path != *path);
                if self.special_mounts.len() == before {
                    return Err(unknown("special mount", path));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn filesystem(&self, volume: &str) -> Result<usize, EditRefusal> {
        self.filesystems
            .iter()
            .position(|filesystem| filesystem.volume == volume)
            .ok_or_else(|| unknown("file system on", volume))
    }
}
