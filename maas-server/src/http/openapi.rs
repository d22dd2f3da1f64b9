//! The table as an OpenAPI 3.1 document.

use std::collections::HashMap;

use http::Method;
use serde_json::{Map, Value, json};

use super::{Access, BodyRule, Need, Operation, Param};

/// The document. A named operation has the path `…/op-NAME`, which the router understands:
/// OpenAPI has no way to tell two calls apart by their query.
pub(super) fn openapi<S>(rows: &[Operation<S>], title: &str, version: &str, doc: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut used: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let item = paths.entry(document_path(row)).or_insert_with(|| json!({}));
        let stem = format!("{}_{}", row.resource.trim_end_matches("Handler"), row.action());
        let count = used.entry(stem.clone()).or_default();
        *count += 1;
        let id = if *count == 1 { stem } else { format!("{stem}_{count}") };
        if let Some(item) = item.as_object_mut() {
            item.insert(row.method.as_str().to_ascii_lowercase(), operation(row, &id));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": doc},
        "paths": paths,
        "components": {"securitySchemes": {"oauth": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "OAuth 1.0 PLAINTEXT with an API key CONSUMER:TOKEN:SECRET",
        }}},
    })
}

/// The path as OpenAPI writes it.
pub(super) fn document_path<S>(row: &Operation<S>) -> String {
    let path = row.path.replace("{*", "{");
    match row.op {
        None => path,
        Some(op) => format!("{}/op-{op}", path.trim_end_matches('/')),
    }
}

fn operation<S>(row: &Operation<S>, id: &str) -> Value {
    let in_body = matches!(row.method, Method::POST | Method::PUT | Method::PATCH);
    let mut parameters: Vec<Value> = row
        .path_params()
        .iter()
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if !in_body {
        parameters.extend(row.params.iter().map(|param| {
            json!({
                "name": param.name,
                "in": "query",
                "required": param.need == Need::Required,
                "description": param.doc,
                "schema": schema(param),
            })
        }));
    }
    let summary = row.doc.lines().next().unwrap_or_default().trim();
    let mut operation = json!({
        "operationId": id,
        "tags": [row.resource],
        "summary": summary,
        "description": row.doc.trim(),
        "x-access": row.access.word(),
        "parameters": parameters,
        "responses": {"2XX": {"description": "Done."}, "4XX": {"description": "Refused."}},
    });
    if let Some(operation) = operation.as_object_mut() {
        if in_body {
            operation.insert("requestBody".to_owned(), request_body(row));
        }
        let security = match row.access {
            Access::Anonymous => json!([]),
            open if open.allows_anonymous() => json!([{}, {"oauth": []}]),
            _ => json!([{"oauth": []}]),
        };
        operation.insert("security".to_owned(), security);
    }
    operation
}

fn request_body<S>(row: &Operation<S>) -> Value {
    if row.body != BodyRule::Form {
        return json!({"content": {"application/octet-stream": {}}});
    }
    let properties: Map<String, Value> =
        row.params.iter().map(|param| (param.name.to_owned(), described(param))).collect();
    let required: Vec<&str> =
        row.params.iter().filter(|p| p.need == Need::Required).map(|p| p.name).collect();
    let form = json!({"type": "object", "properties": properties, "required": required});
    json!({"content": {
        "application/x-www-form-urlencoded": {"schema": form},
        "multipart/form-data": {"schema": form},
    }})
}

fn schema(param: &Param) -> Value {
    match param.need {
        Need::Repeated => json!({"type": "array", "items": {"type": "string"}}),
        Need::Required | Need::Optional => json!({"type": "string"}),
    }
}

fn described(param: &Param) -> Value {
    let mut schema = schema(param);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), Value::from(param.doc));
    }
    schema
}
