//! The scripts that machines run, and their runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use maas_core::commission::builtin;
use maas_core::commission::result::ScriptRun;
use maas_core::commission::script::Script;
use maas_core::machine::Machine;
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Region;
use crate::http::Problem;
use crate::store::{Document, StoreError, Stored};

/// The API's numbers of kept scripts begin after those of the built-in ones.
const FIRST_KEPT: u64 = 1000;

/// A script that an operator added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptScript {
    /// The script.
    pub script: Script,
    /// Its texts, the newest first.
    pub history: Vec<Revision>,
}

/// One text of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The number; never given twice.
    pub id: u64,
    /// What it changed, in the operator's words.
    pub comment: Option<String>,
    /// When it was stored.
    pub created: Timestamp,
    /// The text.
    pub body: String,
}

impl Document for KeptScript {
    const KIND: &'static str = "script";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.script.name))
    }
}

/// A script with what the API shows besides it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedScript {
    /// The API's number.
    pub id: u64,
    /// The database's number; `None` for a built-in script.
    pub stored: Option<u64>,
    /// The script.
    pub script: Script,
    /// Its texts, the newest first; none of a built-in script.
    pub history: Vec<Revision>,
}

impl ListedScript {
    /// An operator's script.
    #[must_use]
    pub fn kept(stored: Stored<KeptScript>) -> Self {
        let KeptScript { script, history } = stored.value;
        Self { id: FIRST_KEPT + stored.id, stored: Some(stored.id), script, history }
    }
}

impl Region {
    /// Every script: the built-in ones, then those that operators added; one query.
    ///
    /// # Errors
    ///
    /// The database's failure.
    pub async fn listed_scripts(&self) -> Result<Vec<ListedScript>, StoreError> {
        let own = (1u64..).zip(builtin::scripts()).map(|(id, script)| ListedScript {
            id,
            stored: None,
            script: script.clone(),
            history: Vec::new(),
        });
        let kept = self.store.list::<KeptScript>().await?.into_iter().map(ListedScript::kept);
        Ok(own.chain(kept).collect())
    }

    /// Every script; one query.
    ///
    /// # Errors
    ///
    /// The database's failure.
    pub async fn scripts(&self) -> Result<Vec<Script>, Problem> {
        let listed = self.listed_scripts().await.map_err(Problem::internal)?;
        Ok(listed.into_iter().map(|listed| listed.script).collect())
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
        let told: Vec<_> = scripts.iter().map(|script| (*script, values.clone())).collect();
        self.runs_with(machine, &told).await
    }

    /// As [`Region::runs`], with parameters of its own for each script.
    ///
    /// # Errors
    ///
    /// The database's failure.
    pub async fn runs_with(
        &self,
        machine: &Machine,
        scripts: &[(&Script, BTreeMap<String, Value>)],
    ) -> Result<Vec<ScriptRun>, Problem> {
        let mut runs: Vec<ScriptRun> = scripts
            .iter()
            .flat_map(|(script, values)| script.runs(&machine.hardware, values, || 0))
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
