//! The scripts that machines run, and their runs.

use std::collections::BTreeMap;

use maas_core::commission::builtin;
use maas_core::commission::result::ScriptRun;
use maas_core::commission::script::Script;
use maas_core::machine::Machine;
use serde_json::Value;

use super::Region;
use crate::http::Problem;

impl Region {
    /// Every script.
    #[must_use]
    pub fn scripts(&self) -> &'static [Script] {
        builtin::scripts()
    }

    /// Pending runs of these scripts on a machine, with numbers that were never given before.
    ///
    /// # Errors
    ///
    /// The database's failure.
    pub async fn runs(
        &self,
        machine: &Machine,
        scripts: &[&Script],
        values: &BTreeMap<String, Value>,
    ) -> Result<Vec<ScriptRun>, Problem> {
        let mut runs: Vec<ScriptRun> = scripts
            .iter()
            .flat_map(|script| script.runs(&machine.hardware, values, || 0))
            .collect();
        if runs.is_empty() {
            return Ok(runs);
        }
        let count = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        let first = self.store.next_ids("script-run", count).await.map_err(Problem::internal)?;
        for (run, id) in runs.iter_mut().zip(first..) {
            run.id = id;
        }
        Ok(runs)
    }
}
