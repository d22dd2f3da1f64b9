//! Which scripts run on a machine.

use super::Script;
use crate::commission::result::ScriptType;
use crate::machine::hardware::Hardware;

/// What a user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The usual ones: every commissioning script without the tag `noauto`, the testing scripts
    /// with the tag `commissioning`, the built-in deployment scripts, no release script.
    Automatic,
    /// None (`testing_scripts=none`).
    None,
    /// Those with one of these names or tags, besides the built-in commissioning and deployment
    /// scripts, which always run.
    Named(Vec<String>),
}

impl Choice {
    /// Reads the API's parameter: absent, `none`, or names and tags separated by commas.
    #[must_use]
    pub fn from_parameter(parameter: Option<&str>) -> Self {
        let Some(text) = parameter else { return Self::Automatic };
        let names: Vec<String> = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        match names.as_slice() {
            [] => Self::Automatic,
            [name] if name == "none" => Self::None,
            _ => Self::Named(names),
        }
    }
}

/// No script has the name or tag that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {} script has the name or the tag {name:?}", script_type.word())]
pub struct UnknownScript {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub script_type: ScriptType,
}

/// The scripts of one type that run, in the order of their names. Scripts for certain hardware
/// are left out: [`matching_hardware`] finds them once the hardware is known.
///
/// # Errors
/// [`UnknownScript`] for a name that no script of the type has as name or tag.
pub fn choose<'a>(
    scripts: &'a [Script],
    script_type: ScriptType,
    choice: &Choice,
) -> Result<Vec<&'a Script>, UnknownScript> {
    let of_type = || scripts.iter().filter(move |script| script.script_type == script_type);
    let is_called = |script: &Script, name: &str| script.name == name || script.has_tag(name);
    let always = |script: &Script| {
        script.is_builtin
            && matches!(script_type, ScriptType::Commissioning | ScriptType::Deployment)
    };
    if let Choice::Named(names) = choice
        && let Some(name) = names.iter().find(|name| !of_type().any(|s| is_called(s, name)))
    {
        return Err(UnknownScript { name: name.clone(), script_type });
    }
    let mut chosen: Vec<&Script> = of_type()
        .filter(|script| match choice {
            Choice::Automatic => {
                script.for_hardware.is_empty()
                    && match script_type {
                        ScriptType::Commissioning => !script.has_tag("noauto"),
                        ScriptType::Testing => script.has_tag("commissioning"),
                        ScriptType::Deployment => script.is_builtin,
                        ScriptType::Release => false,
                    }
            }
            Choice::None => always(script),
            Choice::Named(names) => {
                always(script) || names.iter().any(|name| is_called(script, name))
            }
        })
        .collect();
    chosen.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(chosen)
}

/// The commissioning scripts made for hardware that the machine has.
///
/// `modaliases` are the lines that `maas-list-modaliases` printed.
#[must_use]
pub fn matching_hardware<'a>(
    scripts: &'a [Script],
    hardware: &Hardware,
    modaliases: &[&str],
) -> Vec<&'a Script> {
    scripts
        .iter()
        .filter(|script| {
            script.script_type == ScriptType::Commissioning
                && script.for_hardware.iter().any(|wish| matches(wish, hardware, modaliases))
        })
        .collect()
}

fn matches(wish: &str, hardware: &Hardware, modaliases: &[&str]) -> bool {
    let Some((kind, rest)) = wish.split_once(':') else { return false };
    let is = |value: &str| !value.is_empty() && value.eq_ignore_ascii_case(rest);
    let ids = || {
        let rest = rest.to_ascii_lowercase();
        rest.split_once(':').map(|(vendor, product)| (vendor.to_owned(), product.to_owned()))
    };
    let has = |vendor: &str, product: &str| {
        ids().is_some_and(|(v, p)| {
            v.eq_ignore_ascii_case(vendor) && (p == "*" || p.eq_ignore_ascii_case(product))
        })
    };
    match kind {
        "modalias" => modaliases.iter().any(|alias| glob(rest.as_bytes(), alias.as_bytes())),
        "pci" => hardware.pci_devices.iter().any(|d| has(&d.vendor_id, &d.product_id)),
        "usb" => hardware.usb_devices.iter().any(|d| has(&d.vendor_id, &d.product_id)),
        "system_vendor" => is(&hardware.system.vendor),
        "system_product" => is(&hardware.system.product),
        "system_version" => is(&hardware.system.version),
        "system_family" => is(&hardware.system.family),
        "mainboard_vendor" => is(&hardware.mainboard.vendor),
        "mainboard_product" => is(&hardware.mainboard.product),
        _ => false,
    }
}

/// Whether a text fits a pattern with `*` and `?`; linear space, no recursion.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, matched)) = star {
            p = at + 1;
            t = matched + 1;
            star = Some((at, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}
