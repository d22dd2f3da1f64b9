//! cloud-init's MAAS datasource: what it asks for, in which order, and what it forgives.

use crate::simulator::boot::Boot;
use crate::simulator::client::{Agent, Request};
use crate::simulator::error::{Stuck, WireError};
use crate::simulator::event::Stage;
use crate::simulator::metadata::Signed;

use super::config::yaml;

/// Seconds that the datasource waits for the service (`max_wait`).
const LONGEST_WAIT: f64 = 120.0;
/// Crawls that recent versions try before they give up.
const CRAWLS: u8 = 3;

/// What the metadata service said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata {
    pub(crate) instance_id: String,
    pub(crate) hostname: String,
    pub(crate) public_keys: Vec<String>,
    pub(crate) vendor_data: Option<String>,
    pub(crate) user_data: Option<Vec<u8>>,
}

pub(super) async fn crawl(
    boot: &Boot,
    signed: &Signed<'_>,
    metadata_url: &str,
) -> Result<Metadata, Stuck> {
    let base = format!("{}/2012-03-01", metadata_url.trim_end_matches('/'));
    let mut crawls = 0;
    loop {
        wait(boot, signed, &base).await?;
        crawls += 1;
        match read(boot, signed, &base).await {
            Ok(metadata) => return Ok(metadata),
            Err(stuck) if crawls >= CRAWLS => return Err(stuck),
            Err(stuck) => boot.tell(Stage::Problem, format!("metadata: {stuck}")).await,
        }
    }
}

/// Asks for the instance id until there is one.
async fn wait(boot: &Boot, signed: &Signed<'_>, base: &str) -> Result<(), Stuck> {
    let url = format!("{base}/meta-data/instance-id");
    let mut waited = 0.0;
    let mut loops = 0_u32;
    loop {
        match signed.send(&|| Request::get(Agent::CloudInit, &url)).await {
            Ok(_) => return Ok(()),
            Err(error) if waited >= LONGEST_WAIT => {
                return Err(Stuck(format!("gave up waiting for the metadata service: {error}")));
            }
            Err(error) => {
                if loops == 0 {
                    boot.tell(Stage::Problem, format!("waits for the metadata: {error}")).await;
                }
                let pause = 1.0 + f64::from(loops / 5);
                boot.pace.pause(pause).await;
                waited += pause;
                loops += 1;
            }
        }
    }
}

async fn read(boot: &Boot, signed: &Signed<'_>, base: &str) -> Result<Metadata, Stuck> {
    let required = async |name: &str| {
        let bytes = item(boot, signed, base, name).await?;
        Ok::<_, Stuck>(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    let instance_id = required("meta-data/instance-id").await?;
    let hostname = required("meta-data/local-hostname").await?;
    let public_keys = optional(item(boot, signed, base, "meta-data/public-keys").await)?;
    let vendor_data = optional(item(boot, signed, base, "meta-data/vendor-data").await)?;
    let user_data = optional(item(boot, signed, base, "user-data").await)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let vendor_data = vendor_data.map(text);
    if let Some(document) = &vendor_data {
        yaml(document).map_err(|reason| Stuck(format!("vendor-data is not YAML: {reason}")))?;
    }
    let size =
        user_data.as_ref().map_or_else(|| "none".to_owned(), |b| format!("{} bytes", b.len()));
    boot.tell(Stage::UserData, format!("{instance_id} is {hostname}; user data: {size}")).await;
    let keys = public_keys.map(text).unwrap_or_default();
    Ok(Metadata {
        instance_id,
        hostname,
        public_keys: keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect(),
        vendor_data,
        user_data,
    })
}

/// One name, with one further try.
async fn item(
    boot: &Boot,
    signed: &Signed<'_>,
    base: &str,
    name: &str,
) -> Result<Vec<u8>, WireError> {
    let url = format!("{base}/{name}");
    let request = || Request::get(Agent::CloudInit, &url);
    match signed.send(&request).await {
        Ok(reply) => Ok(reply.body),
        Err(error) if error.status() == Some(404) => Err(error),
        Err(_) => {
            boot.pace.pause(1.0).await;
            signed.send(&request).await.map(|reply| reply.body)
        }
    }
}

/// Only 404 means that there is none.
fn optional(found: Result<Vec<u8>, WireError>) -> Result<Option<Vec<u8>>, Stuck> {
    match found {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
