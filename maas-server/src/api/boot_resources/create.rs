//! The declaration of a custom image, field by field.

use std::sync::Arc;

use http::StatusCode;
use maas_core::image::FileType;

use super::view;
use crate::http::{FieldErrors, Fields, Param, Problem, Reply, Request};
use crate::images::bootloaders::is_plain_name;
use crate::images::uploads::{Declaration, declare};
use crate::plan;
use crate::region::Region;

/// The operating systems of images that can be uploaded.
const SYSTEMS: [&str; 11] = [
    "custom",
    "ubuntu",
    "ubuntu-core",
    "centos",
    "rhel",
    "rocky",
    "ol",
    "suse",
    "esxi",
    "windows",
    "caringo",
];
/// The architectures that machines may have.
const ARCHES: [&str; 7] = ["amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"];
/// The largest image, in bytes.
const LARGEST: u64 = 4 << 40;

pub(super) const PARAMS: &[Param] = &[
    Param::required("name", "The image's name: `custom/NAME`, or NAME alone for the same."),
    Param::required("architecture", "E.g. `amd64/generic`."),
    Param::required("sha256", "SHA-256 of the content, 64 hex digits."),
    Param::required("size", "Its length in bytes."),
    Param::optional("title", "What people call it."),
    Param::optional(
        "filetype",
        "tgz (default), tbz, txz, ddtgz, ddtbz, ddtxz, ddtar, ddbz2, ddgz, ddxz or ddraw.",
    ),
    Param::optional(
        "base_image",
        "What it was built from, e.g. `ubuntu/noble`; what the image says of itself, else the \
         ephemeral OS's, unless told.",
    ),
    Param::optional("keep_old", "Whether versions before this one stay."),
    Param::optional(
        "resume",
        "Whether an upload of the same content that was broken off is gone on with; an extension.",
    ),
];

pub(super) async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let declaration = read(&region, request.fields())?;
    let stored = declare(&region, &declaration).await?;
    Ok(Reply::json(&view::detail(&region, &stored).await?)?.status(StatusCode::CREATED))
}

fn read(region: &Region, fields: &Fields) -> Result<Declaration, Problem> {
    let mut errors = FieldErrors::new();
    let name = errors.collect(fields.required("name"));
    let (os, name) = name.split_once('/').unwrap_or(("custom", name));
    if fields.contains("name") {
        if !SYSTEMS.contains(&os) {
            let known = SYSTEMS.join(", ");
            errors.add("name", format!("{os:?} is no operating system: expected one of {known}."));
        } else if !is_plain_name(name) || name.len() > 200 {
            errors.add(
                "name",
                "Expected letters, digits and any of . _ - after the operating system.",
            );
        } else if os == "custom" && is_series(region, name) {
            errors.add("name", format!("{name} is the name of a series: choose another."));
        }
    }
    let architecture = errors.collect(fields.required("architecture"));
    let (arch, subarch) = architecture.split_once('/').unwrap_or((architecture, "generic"));
    if fields.contains("architecture") && (!ARCHES.contains(&arch) || !is_plain_name(subarch)) {
        let known = ARCHES.join(", ");
        errors.add(
            "architecture",
            format!("{architecture:?} is no architecture: expected e.g. amd64/generic, with one of {known}."),
        );
    }
    let sha256 = errors.collect(fields.required("sha256")).to_ascii_lowercase();
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fields.contains("sha256") && !is_digest {
        errors.add("sha256", "Expected 64 hex digits.");
    }
    let size = errors.collect(fields.required("size")).parse::<u64>().ok();
    let size = size.filter(|size| (1..=LARGEST).contains(size));
    if fields.contains("size") && size.is_none() {
        errors.add("size", format!("Expected a number of bytes from 1 to {LARGEST}."));
    }
    let word = errors.collect(fields.filled("filetype")).unwrap_or("tgz");
    let filetype = FileType::of_upload(word).unwrap_or_else(|| {
        let known: Vec<&str> = FileType::upload_words().collect();
        errors.add(
            "filetype",
            format!("{word:?} is no file type: expected one of {}.", known.join(", ")),
        );
        FileType::RootTgz
    });
    let base_image = errors.collect(fields.filled("base_image")).unwrap_or_default();
    let is_base = base_image
        .split_once('/')
        .is_some_and(|(os, release)| is_plain_name(os) && is_plain_name(release));
    if !base_image.is_empty() && !is_base {
        errors.add("base_image", "Expected an image's name such as ubuntu/noble.");
    }
    let title = errors.collect(fields.text("title")).unwrap_or_default();
    let keep_old = errors.collect(fields.flag("keep_old")).unwrap_or(false);
    let resume = errors.collect(fields.flag("resume")).unwrap_or(false);
    errors.done()?;
    Ok(Declaration {
        os: os.to_owned(),
        name: name.to_owned(),
        arch: arch.to_owned(),
        subarch: subarch.to_owned(),
        title: title.chars().filter(|c| !c.is_control()).take(200).collect(),
        filetype,
        base_image: base_image.to_owned(),
        sha256,
        size: size.unwrap_or_default(),
        keep_old,
        resume,
    })
}

/// Names under which everybody expects something else.
fn is_series(region: &Region, name: &str) -> bool {
    maas_core::image::Series::find(name).is_some() || plan::defaults(region).release == name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{form, region};

    const SHA: &str = "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f";

    #[tokio::test]
    async fn every_wrong_field_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let region = region(dir.path()).await;
        let fields = [
            ("name", "plan9/x"),
            ("architecture", "vax"),
            ("sha256", "abc"),
            ("size", "0"),
            ("filetype", "zip"),
            ("base_image", "noble"),
        ];
        let Problem::Fields(errors) = read(&region, &form(&fields)).unwrap_err() else { panic!() };
        let named: Vec<&str> = errors.iter().map(|(name, _)| name).collect();
        for (name, _) in fields {
            assert!(named.contains(&name), "{name} in {named:?}");
        }
        let Problem::Fields(errors) = read(&region, &form(&[])).unwrap_err() else { panic!() };
        for name in ["name", "architecture", "sha256", "size"] {
            let (_, messages) = errors.iter().find(|(field, _)| *field == name).unwrap();
            assert_eq!(messages, ["This field is required."], "{name}");
        }
    }

    #[tokio::test]
    async fn a_bare_name_is_a_custom_image_and_series_are_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let region = region(dir.path()).await;
        let with = |name| {
            form(&[("name", name), ("architecture", "amd64"), ("sha256", SHA), ("size", "5")])
        };
        for name in ["img", "custom/img"] {
            let read = read(&region, &with(name)).unwrap();
            assert_eq!((&*read.os, &*read.name), ("custom", "img"));
            assert_eq!((&*read.arch, &*read.subarch), ("amd64", "generic"));
            assert_eq!(read.filetype, FileType::RootTgz);
        }
        assert_eq!(read(&region, &with("esxi/8.0")).unwrap().os, "esxi");
        for name in ["noble", "custom/jammy", "custom/", "custom/a/b", "custom/../x"] {
            assert!(read(&region, &with(name)).is_err(), "{name}");
        }
    }
}
