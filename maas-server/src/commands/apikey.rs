//! `maas-server apikey`: prints a user's API key, made on first use.

use super::{Failure, say};
use crate::accounts;
use crate::cli::ApikeyArgs;
use crate::config::Config;
use crate::data_dir;

pub(super) async fn run(args: ApikeyArgs) -> Result<(), Failure> {
    let store = data_dir::open_existing_store(&Config::load(&args.location)?).await?;
    let key = accounts::first_api_key(&*store, &args.name).await;
    store.close().await?;
    say(&accounts::api_key_text(&key?))
}
