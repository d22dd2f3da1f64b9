//! The state directory: one JSON file for each machine, replaced as a whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::SimulatorError;
use super::mac::Mac;
use super::machine::MachineState;

/// Where machines are kept between runs.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    pub(crate) fn open(path: &Path) -> Result<Self, SimulatorError> {
        fs::create_dir_all(path)
            .map_err(|source| SimulatorError::State { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Every machine that was saved.
    pub(crate) fn load(&self) -> Result<Vec<MachineState>, SimulatorError> {
        let mut machines = Vec::new();
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| SimulatorError::State { path, source }
        };
        for entry in fs::read_dir(&self.path).map_err(wrong(&self.path))? {
            let path = entry.map_err(wrong(&self.path))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with("machine-") || !name.ends_with(".json") {
                continue;
            }
            let text = fs::read(&path).map_err(wrong(&path))?;
            let machine: MachineState = serde_json::from_slice(&text)
                .map_err(|error| wrong(&path)(io::Error::from(error)))?;
            machines.push(machine);
        }
        machines.sort_by_key(MachineState::mac);
        Ok(machines)
    }

    /// Saves a machine; after a crash either the old or the new state is there.
    pub(crate) fn save(&self, machine: &MachineState) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(machine).map_err(io::Error::from)?;
        self.replace(&self.file(machine.mac()), &text)
    }

    /// The port that the power switches listened on last time, so that the URLs the region
    /// knows stay true.
    pub(crate) fn power_port(&self) -> Option<u16> {
        fs::read_to_string(self.path.join("power-port")).ok()?.trim().parse().ok()
    }

    pub(crate) fn save_power_port(&self, port: u16) -> io::Result<()> {
        self.replace(&self.path.join("power-port"), port.to_string().as_bytes())
    }

    fn file(&self, mac: Mac) -> PathBuf {
        self.path.join(format!("machine-{}.json", mac.dashes()))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // The installed systems' keys are in there.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(temporary, path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_what_is_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("a/b")).unwrap();
        let mac = "52:54:00:12:34:56".parse().unwrap();
        let mut machine = MachineState::at(mac, 1, None);
        state.save(&machine).unwrap();
        machine.boots = 7;
        state.save(&machine).unwrap();
        let loaded = state.load().unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].boots, 7);

        fs::write(state.path.join("machine-x.json"), "{").unwrap();
        assert!(state.load().unwrap_err().to_string().contains("machine-x.json"));
    }

    #[test]
    fn the_power_port_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert_eq!(state.power_port(), None);
        state.save_power_port(4711).unwrap();
        assert_eq!(state.power_port(), Some(4711));
    }
}
