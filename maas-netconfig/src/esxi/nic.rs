//! The network cards of a host, as `esxcli network nic list` names them.

use serde::Serialize;

use crate::error::Invalid;
use crate::mac::Mac;

/// One card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// ESXi's name, such as `vmnic0`.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
}

/// What is known about the cards when the plan is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nics {
    /// All of them; every uplink is resolved and checked now.
    Known(Vec<Nic>),
    /// Nothing; the shell script finds them on the host before it changes anything.
    AtRunTime,
}

impl Nic {
    /// Reads `[["vmnic0", "52:54:00:aa:00:01"], ...]`.
    ///
    /// # Errors
    /// [`Invalid`] when the text is something else.
    pub fn list_from_json(text: &str) -> Result<Vec<Self>, Invalid> {
        let shape = "JSON such as [[\"vmnic0\",\"52:54:00:aa:00:01\"]]";
        let pairs: Vec<(String, Mac)> =
            serde_json::from_str(text).map_err(|_| Invalid::new("list of NICs", text, shape))?;
        pairs
            .into_iter()
            .map(|(name, mac)| {
                let legal = !name.is_empty()
                    && name.len() <= 32
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if legal {
                    Ok(Self { name, mac })
                } else {
                    Err(Invalid::new("NIC name", name, "letters and digits such as vmnic0"))
                }
            })
            .collect()
    }
}
