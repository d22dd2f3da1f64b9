//! Refusals of the core's edits as answers: each names the field that is to blame.

use maas_core::storage::{EditRefusal, LayoutRefusal, StorageProblem};

use crate::http::{FieldErrors, Problem};

/// The answer for a refused edit.
pub(super) fn refused(refusal: EditRefusal) -> Problem {
    let field = match &refusal {
        EditRefusal::NoRoom { .. } => "size",
        EditRefusal::Breaks(problem) => match problem {
            StorageProblem::FilesystemType { .. }
            | StorageProblem::RootType { .. }
            | StorageProblem::SpecialType { .. } => "fstype",
            StorageProblem::BadMountPoint { .. }
            | StorageProblem::MountedTwice { .. }
            | StorageProblem::RootTooSmall { .. } => "mount_point",
            StorageProblem::DuplicateName { .. }
            | StorageProblem::DiskName { .. }
            | StorageProblem::VolumeName { .. } => "name",
            StorageProblem::BadUuid { .. } => "uuid",
            StorageProblem::LabelTooLong { .. } => "label",
            _ => FieldErrors::ALL,
        },
        _ => FieldErrors::ALL,
    };
    Problem::field(field, sentence(&refusal.to_string()))
}

/// The answer for a layout that does not fit the machine.
pub(super) fn layout_refused(refusal: &LayoutRefusal) -> Problem {
    let field = match refusal {
        LayoutRefusal::UnknownDisk { field, .. } | LayoutRefusal::Size { field, .. } => field,
        LayoutRefusal::CachesItself { .. } => "cache_device",
        _ => "storage_layout",
    };
    Problem::field(field, sentence(&refusal.to_string()))
}

/// The core's words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
