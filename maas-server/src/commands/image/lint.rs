//! `maas-server image lint`: looks into an image.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use maas_core::image::{FileType, PackedSeed};
use maas_core::image_pack::{Declared, Inspection, Limits, inspect};

use super::{Failure, say, say_findings};

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

pub(super) fn run(
    file: &Path,
    filetype: Option<&str>,
    arch: Option<String>,
    form: Form,
) -> Result<ExitCode, Failure> {
    let declared = Declared { filetype: self::filetype(file, filetype)?, arch };
    let opened =
        File::open(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    let inspection = inspect(opened, &declared, &Limits::default())
        .map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    match form {
        Form::Json => say(&serde_json::to_string(&inspection)?)?,
        Form::Text => {
            describe(file, &inspection)?;
            say_findings(&inspection)?;
        }
    }
    Ok(if inspection.errors().next().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The declared type, or the one that the name tells; `None` when neither does.
pub(super) fn filetype(file: &Path, declared: Option<&str>) -> Result<Option<FileType>, Failure> {
    match declared {
        Some(word) => FileType::of_upload(word).map(Some).ok_or_else(|| {
            let known: Vec<&str> = FileType::upload_words().collect();
            format!("{word:?} is no file type: expected one of {}", known.join(", ")).into()
        }),
        None => {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            Ok(FileType::guess_upload_word(name).and_then(FileType::of_upload))
        }
    }
}

fn describe(file: &Path, inspection: &Inspection) -> Result<(), Failure> {
    say(&format!(
        "{}: {} {}, {} MiB packed, {} MiB unpacked",
        file.display(),
        inspection.compression,
        inspection.content,
        inspection.packed >> 20,
        inspection.unpacked >> 20,
    ))?;
    let line = |name: &str, value: Option<String>| {
        say(&format!(
            "  {name:<14} {}",
            value.filter(|it| !it.is_empty()).as_deref().unwrap_or("-")
        ))
    };
    if let Some(root) = &inspection.root {
        let os = root.os_release.as_ref().map(|os| os.pretty_name.clone());
        line("system", os)?;
        line("architecture", root.architecture.clone())?;
        line("kernel", Some(root.kernels.join(", ")))?;
        line("initrd", Some(root.initrds.join(", ")))?;
        line("cloud-init", root.cloud_init.clone())?;
        let renderers: Vec<&str> = root.network_renderers.iter().map(String::as_str).collect();
        line("network", Some(renderers.join(", ")))?;
        line("curtin hooks", Some(root.curtin_hooks.join(", ")))?;
        let seeds: Vec<&str> = root.packed_seeds.iter().map(PackedSeed::path).collect();
        line("packed seeds", Some(seeds.join(", ")))?;
    }
    if let Some(disk) = &inspection.disk {
        line("table", disk.table.clone())?;
        let boots: Vec<&str> = [("UEFI", disk.boots_uefi), ("BIOS", disk.boots_bios)]
            .into_iter()
            .filter_map(|(name, boots)| boots.then_some(name))
            .collect();
        line("boots by", Some(boots.join(", ")))?;
        for partition in &disk.partitions {
            let what = format!(
                "{} MiB {} {}",
                partition.size >> 20,
                partition.filesystem.as_deref().unwrap_or("unknown"),
                partition.label.as_deref().unwrap_or_default(),
            );
            line(&format!("partition {}", partition.number), Some(what.trim().to_owned()))?;
        }
    }
    Ok(())
}
