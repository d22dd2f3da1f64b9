//! The `describe/` document: what python-libmaas and the `maas` command line learn the API from.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{API_ROOT, Need, Operation};

/// What the document says about one resource.
struct Resource<'a, S> {
    path: &'static str,
    rows: Vec<&'a Operation<S>>,
}

/// The document; `base` is `http://HOST` as the client sees it, for clients use the `uri`s as
/// they stand.
pub(super) fn describe<S>(rows: &[Operation<S>], doc: &str, base: &str, hash: &str) -> Value {
    let mut resources: BTreeMap<&str, Resource<'_, S>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.path.starts_with(API_ROOT)) {
        let new = || Resource { path: row.path, rows: Vec::new() };
        resources.entry(row.resource).or_insert_with(new).rows.push(row);
    }
    let mut listed = Vec::new();
    let mut handlers = Vec::new();
    for (name, resource) in &resources {
        let (anon, auth) = resource.both(name, base);
        handlers.extend([&anon, &auth].into_iter().filter(|half| !half.is_null()).cloned());
        listed.push(json!({"name": name, "anon": anon, "auth": auth}));
    }
    json!({"doc": doc, "hash": hash, "resources": listed, "handlers": handlers})
}

/// A word that changes when the document does, whatever host it is asked from.
pub(super) fn hash<S>(rows: &[Operation<S>], doc: &str) -> String {
    let text = describe(rows, doc, "", "").to_string();
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

impl<S> Resource<'_, S> {
    /// What it offers to those who have not signed in, and to those who have.
    fn both(&self, name: &str, base: &str) -> (Value, Value) {
        let open: Vec<_> =
            self.rows.iter().copied().filter(|row| row.access.allows_anonymous()).collect();
        if open.len() == self.rows.len() {
            return (self.half(name, base, &open), Value::Null);
        }
        let anon = if open.is_empty() {
            Value::Null
        } else {
            self.half(&format!("Anon{name}"), base, &open)
        };
        (anon, self.half(name, base, &self.rows))
    }

    fn half(&self, name: &str, base: &str, rows: &[&Operation<S>]) -> Value {
        // python-libmaas fills the names in itself and knows no other kind of parameter.
        let path = self.path.replace("{*", "{");
        let doc = format!("{}: {} operations.", name.trim_end_matches("Handler"), rows.len());
        let params = rows.first().map(|row| row.path_params()).unwrap_or_default();
        let actions: Vec<Value> = rows.iter().map(|row| action(row)).collect();
        let uri = format!("{base}{path}");
        json!({"name": name, "doc": doc, "params": params, "path": path, "uri": uri, "actions": actions})
    }
}

fn action<S>(row: &Operation<S>) -> Value {
    json!({
        "method": row.method.as_str(),
        "name": row.action(),
        "op": row.op,
        "restful": row.op.is_none(),
        "doc": action_doc(row),
    })
}

/// The row's sentence and its parameters. The `maas` command line takes `key=value` arguments
/// for a POST only when `:param ` occurs after the first paragraph, so there always is one.
pub(super) fn action_doc<S>(row: &Operation<S>) -> String {
    let mut doc = format!("{}\n", row.doc.trim());
    let in_path = row.path_params();
    for name in &in_path {
        doc.push_str(&format!("\n:param {name}: Part of the path. Required."));
    }
    for param in &row.params {
        let need = match param.need {
            Need::Required => " Required.",
            Need::Optional => "",
            Need::Repeated => " May be repeated.",
        };
        doc.push_str(&format!("\n:param {}: {}{need}", param.name, param.doc));
    }
    if row.params.is_empty() && in_path.is_empty() {
        doc.push_str("\n:param kwargs: None is needed; unknown ones are ignored.");
    }
    doc
}
