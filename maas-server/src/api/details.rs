//! What only some ask of a machine: its hardware's own documents, its metadata token.

use std::sync::Arc;

use maas_core::machine::permission::Permission;
use serde_json::json;

use super::machines::{MACHINE, find};
use crate::http::{Access, Operation, Problem, Reply, Request, get};
use crate::region::Region;
use crate::store::Stream;

const NODE: &str = "/MAAS/api/2.0/nodes/{system_id}/";

/// The script that prints lshw's XML.
const LSHW: &str = "maas-lshw";
/// Scripts by which LLDP's XML comes, if an operator has one.
const LLDP: [&str; 2] = ["maas-capture-lldpd", "capture-lldpd"];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("MachineHandler", MACHINE, "The XML of lshw and LLDP as one BSON document.", details)
            .op("details"),
        get("NodeHandler", NODE, "The XML of lshw and LLDP as one BSON document.", details)
            .op("details"),
        get("MachineHandler", MACHINE, "The machine's metadata token.", token)
            .op("get_token")
            .access(Access::Admin),
    ]
}

async fn details(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    let mut members = Vec::new();
    for (name, scripts) in [("lshw", &[LSHW] as &[&str]), ("lldp", &LLDP)] {
        let run = machine.scripts.iter().rev().find(|run| scripts.contains(&run.name.as_str()));
        let mut found = None;
        if let Some(run) = run {
            let outputs = region.store.outputs(run.id).await.map_err(Problem::internal)?;
            let printed = outputs.into_iter().find(|output| output.stream == Stream::Stdout);
            found = printed.map(|output| output.bytes).filter(|bytes| !bytes.is_empty());
        }
        members.push((name, found));
    }
    Ok(Reply::bytes("application/bson", bson(&members)))
}

/// A BSON document of binary values; null for what is not known (bsonspec.org 1.1).
fn bson(members: &[(&str, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut document = vec![0; 4];
    for (name, value) in members {
        document.push(if value.is_some() { 0x05 } else { 0x0a });
        document.extend_from_slice(name.as_bytes());
        document.push(0);
        if let Some(bytes) = value {
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            document.extend_from_slice(&length.to_le_bytes());
            document.push(0);
            document.extend_from_slice(bytes);
        }
    }
    document.push(0);
    let length = i32::try_from(document.len()).unwrap_or(i32::MAX).to_le_bytes();
    for (to, from) in document.iter_mut().zip(length) {
        *to = from;
    }
    document
}

async fn token(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::AdminRead).await?;
    let credentials = &machine.credentials;
    Reply::json(&json!({
        "consumer_key": credentials.consumer_key, "token_key": credentials.token_key,
        "token_secret": credentials.token_secret.expose(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_what_a_bson_reader_expects() {
        // What pymongo's bson.encode({"lshw": b"<x/>", "lldp": None}) prints.
        let expected = b"\x1a\x00\x00\x00\x05lshw\x00\x04\x00\x00\x00\x00<x/>\x0alldp\x00\x00";
        let encoded = bson(&[("lshw", Some(b"<x/>".to_vec())), ("lldp", None)]);
        assert_eq!(encoded, expected);
        assert_eq!(bson(&[]), b"\x05\x00\x00\x00\x00");
    }
}
