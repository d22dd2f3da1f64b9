//! `maas-server image`: packs, checks and uploads custom images.

mod lint;
mod pack;
mod upload;

use std::process::ExitCode;

use maas_core::image_pack::Inspection;

use super::{Failure, say};
use crate::cli::{ImageArgs, ImageCommand};

pub(super) async fn run(args: ImageArgs) -> Result<ExitCode, Failure> {
    match args.command {
        ImageCommand::Pack { dir, out, as_root } => {
            let owner = if as_root { pack::Owner::Root } else { pack::Owner::Kept };
            off_the_runtime(move || pack::run(&dir, &out, owner)).await
        }
        ImageCommand::Lint { file, filetype, arch, json } => {
            let form = if json { lint::Form::Json } else { lint::Form::Text };
            off_the_runtime(move || lint::run(&file, filetype.as_deref(), arch, form)).await
        }
        ImageCommand::Upload(args) => upload::run(args).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn off_the_runtime(
    work: impl FnOnce() -> Result<ExitCode, Failure> + Send + 'static,
) -> Result<ExitCode, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Prints what was found, one line a finding.
fn say_findings(inspection: &Inspection) -> Result<(), Failure> {
    for finding in &inspection.findings {
        let severity = serde_json::to_value(finding.severity())?;
        say(&format!("{}: {finding} [{}]", severity.as_str().unwrap_or_default(), finding.code()))?;
    }
    Ok(())
}
