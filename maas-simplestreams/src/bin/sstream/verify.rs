//! `sstream verify`.

use std::process::ExitCode;

use bytes::Bytes;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::report::chain;
use maas_simplestreams::signature::Verified;
use maas_simplestreams::transport::Request;
use serde_json::json;

use crate::args::{Network, Verify};
use crate::{Answer, open, say};

async fn read(place: &str, network: &Network) -> Result<Bytes, Box<dyn std::error::Error>> {
    let url = if place.contains("://") {
        place.parse::<url::Url>()?
    } else {
        url::Url::from_file_path(std::path::absolute(place)?).map_err(|()| "no absolute path")?
    };
    let name = url.path_segments().and_then(|mut segments| segments.next_back());
    let limit = Limits::default().for_document(name.unwrap_or_default());
    let response = open::transport_for(&url, network)?.fetch(Request::new(url.clone())).await?;
    Ok(response.read_to_end(&url, limit).await?)
}

pub(crate) async fn run(arguments: Verify) -> Answer {
    let verifier = open::verifier(&arguments.trust)?;
    let document = read(&arguments.document, &arguments.network).await?;
    let now = open::now();
    let clearsigned = arguments.document.ends_with(".sjson")
        || document.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----");
    let verified = if clearsigned {
        Verified::from_clearsigned_bytes(document, &*verifier, now)
    } else {
        let signature = read(&format!("{}.gpg", arguments.document), &arguments.network).await?;
        Verified::from_detached(document, &signature, &*verifier, now)
    };
    let verified = match verified {
        Ok(verified) => verified,
        Err(refused) => {
            if arguments.output.json {
                say!("{}", json!({"verified": false, "reason": chain(&refused)}));
            }
            return Err(format!("`{}` is refused: {}", arguments.document, chain(&refused)).into());
        }
    };
    if arguments.output.json {
        let signers: Vec<_> = verified
            .signers()
            .iter()
            .map(|signer| {
                json!({
                    "fingerprint": signer.fingerprint.as_str(),
                    "signed_at": signer.signed_at.to_string(),
                    "expires_at": signer.expires_at.map(|at| at.to_string()),
                    "hash": signer.hash,
                })
            })
            .collect();
        say!("{}", json!({"verified": true, "bytes": verified.len(), "signers": signers}));
    } else {
        for signer in verified.signers() {
            say!(
                "{}: signed by {} on {} ({})",
                arguments.document,
                signer.fingerprint,
                signer.signed_at,
                signer.hash
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
