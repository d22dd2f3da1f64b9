//! `sstream query`.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use maas_simplestreams::query::{query, record_fields};
use maas_simplestreams::repository::Repository;
use maas_simplestreams::trust::TrustMemory;
use maas_simplestreams::work::Retention;

use crate::args::Query;
use crate::{Answer, open};

/// The flattened fields of an item, in order of name.
type Record<'a> = [(&'a str, Cow<'a, str>)];

/// Fills `%(field)s`; a field that an item does not have is empty.
fn fill(template: &str, record: &Record<'_>) -> String {
    let mut line = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("%(") {
        line.push_str(before);
        match after.split_once(")s") {
            Some((field, after)) => {
                let found = record.iter().find(|(name, _)| *name == field);
                line.push_str(found.map_or("", |(_, text)| text));
                rest = after;
            }
            None => {
                line.push_str("%(");
                rest = after;
            }
        }
    }
    line.push_str(rest);
    line
}

const TABLE: &str = "%(product_name)s\t%(version_name)s\t%(item_name)s\t%(size)s\t%(path)s";

pub(crate) async fn run(arguments: Query) -> Answer {
    let url = open::source_url(&arguments.source, arguments.path.as_deref())?;
    let source = open::source(url, &arguments.trust, arguments.no_verify)?
        .policy(open::policy(&arguments.caution)?);
    let transport = open::transport_for(source.url().root(), &arguments.network)?;
    let mut repository =
        Repository::open(source, transport, TrustMemory::default(), open::now()).await?;
    let retention = arguments.max.map_or(Retention::AsSource, Retention::Newest);
    let as_json = is_json(&arguments);
    let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
    let mut first = true;
    let root = repository.source().url().clone();
    for (content_id, entry) in repository.entries().to_vec() {
        let is_products = entry.format().is_none_or(|format| format == "products:1.0");
        if !is_products || entry.format().is_none() && entry.path().is_some() {
            continue;
        }
        // Written product by product: memory holds the text and one product.
        let mut written = Ok(());
        let scanned =
            repository.scan_verified_or_unverified(&content_id, &arguments.filters, |products| {
                for item in query(products, &arguments.filters, retention) {
                    if written.is_ok() {
                        written =
                            write_item(&mut out, &arguments, &record_fields(&item, &root), first);
                        first = false;
                    }
                }
            });
        scanned.await?;
        written?;
    }
    if as_json {
        out.write_all(if first { b"[]\n" } else { b"\n]\n" })?;
    }
    out.flush()?;
    for alarm in repository.alarms() {
        eprintln!("sstream: warning: {alarm}");
    }
    Ok(ExitCode::SUCCESS)
}

fn is_json(arguments: &Query) -> bool {
    arguments.json || arguments.format == "json"
}

fn write_item(
    out: &mut impl Write,
    arguments: &Query,
    record: &Record<'_>,
    first: bool,
) -> std::io::Result<()> {
    if is_json(arguments) {
        out.write_all(if first { b"[\n" } else { b",\n" })?;
        return write_record(out, record);
    }
    let template = if arguments.format == "table" { TABLE } else { &arguments.format };
    writeln!(out, "{}", fill(template, record))
}

/// One record of the list, indented by two blanks per level.
fn write_record(out: &mut impl Write, record: &Record<'_>) -> std::io::Result<()> {
    out.write_all(b"  {")?;
    for (place, (name, value)) in record.iter().enumerate() {
        out.write_all(if place == 0 { b"\n    " } else { b",\n    " })?;
        write_ascii(out, name)?;
        out.write_all(b": ")?;
        write_ascii(out, value)?;
    }
    out.write_all(b"\n  }")
}

/// A JSON string with everything beyond ASCII escaped, as the Python tools print it.
fn write_ascii(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    // Looking at all of it takes a fraction of what stopping at the first odd byte would: the
    // processor looks at dozens at a time.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.write_all(b"\"")?;
        out.write_all(text.as_bytes())?;
        return out.write_all(b"\"");
    }
    let quoted = serde_json::to_string(text)?;
    for letter in quoted.chars() {
        // The quoting above leaves this one control character as it is.
        if letter.is_ascii() && letter != '\u{7f}' {
            write!(out, "{letter}")?;
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
    }
    Ok(())
}
