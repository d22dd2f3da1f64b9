//! `maas-server user`: adds and lists users on a data directory, server running or not.

use std::io::BufRead;

use maas_core::machine::Role;
use maas_core::secret::Secret;

use super::{Failure, say};
use crate::accounts;
use crate::cli::{UserArgs, UserCommand};
use crate::config::Config;
use crate::data_dir;

pub(super) async fn run(args: UserArgs) -> Result<(), Failure> {
    match args.command {
        UserCommand::Create { location, name, admin, email, password_stdin: _ } => {
            let config = Config::load(&location)?;
            let password = password(std::io::stdin().lock())?;
            let store = data_dir::open_store(&config).await?;
            let role = if admin { Role::Admin } else { Role::User };
            let created = accounts::create(
                &*store,
                &name,
                email.as_deref().unwrap_or_default(),
                role,
                &password,
            )
            .await;
            store.close().await?;
            created?;
            say(&format!("created {} {name}", if admin { "administrator" } else { "user" }))
        }
        UserCommand::List { location } => {
            let store = data_dir::open_existing_store(&Config::load(&location)?).await?;
            let users = store.users().await;
            store.close().await?;
            for user in users? {
                let role = if user.role == Role::Admin { "admin" } else { "user" };
                say(&format!("{}\t{role}\t{}", user.username, user.email))?;
            }
            Ok(())
        }
    }
}

/// The first line, without its end.
fn password(mut input: impl BufRead) -> Result<Secret<String>, Failure> {
    let mut line = String::new();
    // One byte more than any password may have, so that a longer one is refused, not cut.
    std::io::Read::take(&mut input, 4096).read_line(&mut line)?;
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err("no password on standard input: expected one line".into());
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_password_is_the_first_line_without_its_end() {
        assert_eq!(password(&b"pass word\r\nmore"[..]).unwrap().expose(), "pass word");
        assert!(password(&b"\n"[..]).is_err());
    }
}
