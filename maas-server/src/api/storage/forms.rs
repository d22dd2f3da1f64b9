//! What the forms of storage share: sizes, UUIDs and the volume that a path names.

use maas_core::storage::{Disk, Partition, Size};

use super::super::view::storage::StorageView;
use crate::http::{FieldError, Fields, Problem, Request};

/// A size in bytes: a number, or a number with K, M, G, T or P, which are powers of 1000 here as in
/// MAAS, or any of the core's spellings with their own units (`10GiB`).
pub(super) fn size(fields: &Fields, name: &str) -> Result<Option<Size>, FieldError> {
    let Some(text) = fields.filled(name)? else { return Ok(None) };
    let text = text.trim();
    let unit = text.chars().last().map_or(1, |unit| match unit.to_ascii_uppercase() {
        'K' => 1_000,
        'M' => 1_000_000,
        'G' => 1_000_000_000,
        'T' => 1_000_000_000_000,
        'P' => 1_000_000_000_000_000,
        _ => 1_u64,
    });
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let letters = text.len() - number.len();
    if unit > 1
        && letters == 1
        && let Ok(number) = number.parse::<u64>()
    {
        let refuse = || FieldError::new(name, "The size is too large.");
        return number.checked_mul(unit).map(Size::Bytes).ok_or_else(refuse).map(Some);
    }
    text.parse()
        .map(Some)
        .map_err(|error: maas_core::storage::InvalidSize| FieldError::new(name, error.to_string()))
}

/// The id of the block device that the path names by number or name.
pub(super) fn device(
    view: &StorageView<'_>,
    request: &Request,
    parameter: &str,
) -> Result<String, Problem> {
    let text = request.param(parameter);
    by_number_or_name(
        text,
        |number| view.register().device_of(number),
        |name| view.register().device(name) != 0,
    )
    .ok_or_else(|| Problem::not_found("No BlockDevice matches the given query."))
}

/// The partition that the path names, with its disk.
pub(super) fn partition<'a>(
    view: &'a StorageView<'_>,
    request: &Request,
) -> Result<(&'a Disk, &'a Partition), Problem> {
    let device = device(view, request, "device_id")?;
    let not_found = || Problem::not_found("No Partition matches the given query.");
    let id = by_number_or_name(
        request.param("id"),
        |number| view.register().partition_of(number),
        |name| view.register().partition(name) != 0,
    )
    .ok_or_else(not_found)?;
    let disk = view.storage().disk(&device).ok_or_else(not_found)?;
    let mut partitions = disk.partitions.iter();
    let partition = partitions.find(|one| disk.partition_id(one.number) == id);
    Ok((disk, partition.ok_or_else(not_found)?))
}

/// The name of the group that the path names by its number, when it is `one_of` the right kind.
pub(super) fn group(
    view: &StorageView<'_>,
    request: &Request,
    kind: &str,
    one_of: impl Fn(&str) -> bool,
) -> Result<String, Problem> {
    let text = request.param("id");
    by_number_or_name(text, |number| view.register().group_of(number), &one_of)
        .filter(|name| one_of(name))
        .ok_or_else(|| Problem::not_found(format!("No {kind} matches the given query.")))
}

fn by_number_or_name<'a>(
    text: &str,
    of_number: impl Fn(u32) -> Option<&'a str>,
    is_name: impl Fn(&str) -> bool,
) -> Option<String> {
    match text.parse() {
        Ok(number) => of_number(number).map(str::to_owned),
        Err(_) => is_name(text).then(|| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::testing::form;

    #[test]
    fn letters_are_powers_of_1000_as_in_maas() {
        for (text, bytes) in [
            ("4194304", 4_194_304),
            ("5K", 5_000),
            ("3m", 3_000_000),
            ("2G", 2_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1GiB", 1 << 30),
        ] {
            let fields = form(&[("size", text)]);
            assert_eq!(size(&fields, "size").unwrap(), Some(Size::Bytes(bytes)), "{text}");
        }
        assert_eq!(size(&form(&[]), "size").unwrap(), None);
        for text in ["much", "-1", "99999999999999999T", "G"] {
            assert_eq!(size(&form(&[("size", text)]), "size").unwrap_err().field, "size", "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}|[0-9]{0,22}[KMGTPE]") {
            drop(size(&form(&[("size", &text)]), "size"));
        }
    }
}
