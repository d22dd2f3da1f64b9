//! `sstream contents`, `export` and `import`: a mirror over an air gap.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use maas_simplestreams::digest::Sha256;
use maas_simplestreams::mirror::{Carried, Mirror};
use maas_simplestreams::report::chain;

use crate::args::{Contents, Export, Import};
use crate::mirror::existing;
use crate::{Answer, open, say};

/// Says which file an error is about.
fn named<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> String {
    move |error| format!("`{}`: {error}", path.display())
}

fn show(carried: Carried) -> Answer {
    say!("{} files, {} bytes, {} documents", carried.blobs, carried.bytes, carried.documents);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn contents(arguments: Contents) -> Answer {
    for sha256 in existing(&arguments.destination).await?.contents() {
        say!("{sha256}");
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn export(arguments: Export) -> Answer {
    let mirror = existing(&arguments.destination).await?;
    let mut other_side: BTreeSet<Sha256> = BTreeSet::new();
    if let Some(list) = arguments.other_side {
        for line in std::fs::read_to_string(&list).map_err(named(&list))?.lines() {
            other_side.insert(line.trim().parse()?);
        }
    }
    let archive = File::create(&arguments.archive).map_err(named(&arguments.archive))?;
    let carried = tokio::task::block_in_place(|| {
        let mut archive = BufWriter::new(archive);
        let carried = mirror.export(&mut archive, &other_side)?;
        archive.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        Ok::<_, Box<dyn std::error::Error>>(carried)
    })?;
    show(carried)
}

pub(crate) async fn import(arguments: Import) -> Answer {
    let verifier = if arguments.no_verify { None } else { Some(open::verifier(&arguments.trust)?) };
    let archive =
        BufReader::new(File::open(&arguments.archive).map_err(named(&arguments.archive))?);
    let mut mirror = Mirror::open(&arguments.destination).await?;
    let now = open::now();
    let carried = tokio::task::block_in_place(|| match &verifier {
        Some(verifier) => mirror.import(archive, &**verifier, now),
        None => mirror.import_unverified(archive, now),
    })
    .map_err(|error| named(&arguments.archive)(chain(&error)))?;
    show(carried)
}
