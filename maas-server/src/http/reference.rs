//! The table as a reference page in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Need, Operation};

/// The page: one section per resource, one entry per row.
pub(super) fn reference<S>(rows: &[Operation<S>], title: &str, doc: &str) -> String {
    let mut by_resource: BTreeMap<&str, Vec<&Operation<S>>> = BTreeMap::new();
    for row in rows {
        by_resource.entry(row.resource).or_default().push(row);
    }
    let mut page = format!("# {title}\n\n{doc}\n");
    for (resource, rows) in by_resource {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {}\n", resource.trim_end_matches("Handler"));
        for row in rows {
            let _ = write!(page, "\n### {}\n\n{}\n", heading(row), row.doc.trim());
            let _ = write!(page, "\nFor: {}.\n", row.access.word());
            if !row.params.is_empty() {
                page.push_str("\n| parameter | | |\n|---|---|---|\n");
            }
            for param in &row.params {
                let need = match param.need {
                    Need::Required => "required",
                    Need::Optional => "",
                    Need::Repeated => "repeatable",
                };
                let doc = param.doc.replace('|', "\\|");
                let _ = writeln!(page, "| `{}` | {need} | {doc} |", param.name);
            }
        }
    }
    page
}

/// How a row is named on the page.
pub(super) fn heading<S>(row: &Operation<S>) -> String {
    let op = row.op.map(|op| format!("?op={op}")).unwrap_or_default();
    format!("{} `{}{op}`", row.method, row.path)
}
