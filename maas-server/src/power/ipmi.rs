//! The IPMI driver: `ipmitool` asks the machine's controller over the network (MAAS `ipmi`).
//!
//! Passwords and keys go through the environment (`-E`, `-K`), never through the command line.

use std::time::Duration;

use maas_core::machine::PowerState;

use super::child::{Finished, Program, is_installed};
use super::setting::{Kind, Setting, several};
use super::{BoxFuture, PowerDriver, PowerError, Target};

/// How long one call may take: four retries of a lost packet and a slow controller.
const DEADLINE: Duration = Duration::from_secs(45);

const SETTINGS: &[Setting] = &[
    Setting::choice(
        "power_driver",
        "Power driver",
        &[("LAN", "LAN [IPMI 1.5]"), ("LAN_2_0", "LAN_2_0 [IPMI 2.0]")],
        "LAN_2_0",
    )
    .required(),
    Setting::choice(
        "power_boot_type",
        "Power boot type",
        &[("auto", "Automatic"), ("legacy", "Legacy boot"), ("efi", "EFI boot")],
        "auto",
    ),
    Setting::text("power_address", "IP address").required(),
    Setting::text("power_user", "Power user"),
    Setting::password("power_pass", "Power password"),
    Setting::password("k_g", "K_g BMC key"),
    Setting::choice(
        "cipher_suite_id",
        "Cipher Suite ID",
        &[
            ("17", "17 - HMAC-SHA256::HMAC_SHA256_128::AES-CBC-128"),
            ("3", "3 - HMAC-SHA1::HMAC-SHA1-96::AES-CBC-128"),
            ("", "freeipmi-tools default"),
            ("8", "8 - HMAC-MD5::HMAC-MD5-128::AES-CBC-128"),
            ("12", "12 - HMAC-MD5::MD5-128::AES-CBC-128"),
        ],
        "3",
    ),
    Setting::choice(
        "privilege_level",
        "Privilege Level",
        &[("USER", "User"), ("OPERATOR", "Operator"), ("ADMIN", "Administrator")],
        "OPERATOR",
    ),
    Setting {
        kind: Kind::MultipleChoice(&[
            ("opensesspriv", "Opensesspriv"),
            ("authcap", "Authcap"),
            ("idzero", "Idzero"),
            ("unexpectedauth", "Unexpectedauth"),
            ("forcepermsg", "Forcepermsg"),
            ("endianseq", "Endianseq"),
            ("intel20", "Intel20"),
            ("supermicro20", "Supermicro20"),
            ("sun20", "Sun20"),
            ("nochecksumcheck", "Nochecksumcheck"),
            ("integritycheckvalue", "Integritycheckvalue"),
            ("ipmiping", "Ipmiping"),
            ("", "None"),
        ]),
        default: "opensesspriv",
        ..Setting::text("workaround_flags", "Workaround Flags")
    },
    Setting { kind: Kind::MacAddress, ..Setting::text("mac_address", "Power MAC").of_the_node() },
    Setting::choice(
        "power_off_mode",
        "Power off mode",
        &[("hard", "Hard power off"), ("soft", "Soft power off")],
        "hard",
    ),
];

/// Talks to controllers by `ipmitool`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ipmi;

impl PowerDriver for Ipmi {
    fn name(&self) -> &'static str {
        "ipmi"
    }

    fn description(&self) -> &'static str {
        "IPMI"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn missing_packages(&self) -> Vec<&'static str> {
        if is_installed("ipmitool") { Vec::new() } else { vec!["ipmitool"] }
    }

    /// Controllers are slow (boot-and-metadata §5).
    fn waits(&self) -> &'static [Duration] {
        const WAITS: [Duration; 5] = [
            Duration::from_secs(1),
            Duration::from_secs(4),
            Duration::from_secs(8),
            Duration::from_secs(16),
            Duration::from_secs(32),
        ];
        &WAITS
    }

    fn power_on<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move {
            let connection = Connection::read(target)?;
            let boot: &[&str] = match target.given("power_boot_type") {
                Some("efi") => &["chassis", "bootdev", "pxe", "options=efiboot"],
                _ => &["chassis", "bootdev", "pxe"],
            };
            match connection.call(boot).await {
                Ok(_) => {}
                // Many machines boot from the network first anyway.
                Err(error @ PowerError::Action { .. }) => {
                    let id = target.system_id;
                    tracing::warn!(system_id = %id, error = %error, "boot device not set");
                }
                Err(error) => return Err(error),
            }
            connection.call(&["chassis", "power", "on"]).await.map(drop)
        })
    }

    fn power_off<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move {
            let how = if target.given("power_off_mode") == Some("soft") { "soft" } else { "off" };
            Connection::read(target)?.call(&["chassis", "power", how]).await.map(drop)
        })
    }

    fn query<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>> {
        Box::pin(async move {
            let connection = Connection::read(target)?;
            let answer = connection.call(&["chassis", "power", "status"]).await?;
            Ok(state(&answer))
        })
    }
}

/// The state in ipmitool's sentence.
fn state(answer: &str) -> PowerState {
    let said = |word: &str| answer.lines().any(|line| line.trim() == word);
    if said("Chassis Power is on") {
        PowerState::On
    } else if said("Chassis Power is off") {
        PowerState::Off
    } else {
        PowerState::Unknown
    }
}

/// A controller and how it is spoken to.
#[derive(Debug)]
struct Connection<'a> {
    words: Vec<&'a str>,
    variables: Vec<(&'static str, &'a str)>,
}

impl<'a> Connection<'a> {
    fn read(target: Target<'a>) -> Result<Self, PowerError> {
        super::setting::check(SETTINGS, target.parameters)?;
        let address = target.word("power_address")?.unwrap_or_default();
        // `host:port`, where ports are forwarded; IPv6 is written in brackets then.
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port))
                if port.bytes().all(|byte| byte.is_ascii_digit())
                    && !port.is_empty()
                    && (!host.contains(':') || host.ends_with(']')) =>
            {
                (host, Some(port))
            }
            _ => (address, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_new = target.given("power_driver") != Some("LAN");
        let mut words = vec!["-v", "-I", if is_new { "lanplus" } else { "lan" }, "-H", host];
        words.extend(["-R", "4", "-N", "2"]);
        if let Some(port) = port {
            words.extend(["-p", port]);
        }
        if let Some(user) = target.word("power_user")? {
            words.extend(["-U", user]);
        }
        words.extend([
            "-L",
            match target.given("privilege_level") {
                Some("ADMIN") => "ADMINISTRATOR",
                Some("USER") => "USER",
                _ => "OPERATOR",
            },
        ]);
        // Without one ipmitool would ask a person.
        words.push("-E");
        let password = target.given("power_pass").unwrap_or_default();
        let mut variables = vec![("IPMI_PASSWORD", password)];
        if is_new {
            // Empty means ipmitool's own choice, which asks the controller first.
            let is_given = target.parameters.contains_key("cipher_suite_id");
            let suite = if is_given { target.word("cipher_suite_id")? } else { Some("3") };
            if let Some(suite) = suite {
                words.extend(["-C", suite]);
            }
            if let Some(key) = target.given("k_g") {
                words.push("-K");
                variables.push(("IPMI_KGKEY", key));
            }
        }
        let flags = several(target.given("workaround_flags").unwrap_or_default());
        for (flag, kind) in [("intel20", "intelplus"), ("supermicro20", "supermicro")] {
            if flags.iter().any(|given| given == flag) {
                words.extend(["-o", kind]);
            }
        }
        Ok(Self { words, variables })
    }

    async fn call(&self, command: &[&'a str]) -> Result<String, PowerError> {
        let mut words = self.words.clone();
        words.extend(command);
        let variables = self.variables.clone();
        let program =
            Program { name: "ipmitool", package: "ipmitool", words, variables, deadline: DEADLINE };
        let finished = program.run().await?;
        if finished.is_success { Ok(finished.stdout) } else { Err(refusal(&finished)) }
    }
}

/// What ipmitool's complaint means; it ends with 1 whatever happened.
fn refusal(finished: &Finished) -> PowerError {
    let said = |words: &[&str]| {
        let texts = [&finished.stderr, &finished.stdout];
        words.iter().any(|word| texts.iter().any(|text| text.contains(word)))
    };
    let detail = finished.last_words();
    let auth = [
        "RAKP 2 HMAC is invalid",
        "unauthorized name",
        "Activate Session command failed",
        "Insufficient privilege level",
        "invalid role",
        "Unauthorized",
    ];
    // An answer that came too late for its question; a refused session has none.
    if said(&["IPMI Request Match NOT FOUND"]) {
        return PowerError::Connection { detail };
    }
    if said(&auth) {
        return PowerError::Auth { detail };
    }
    if said(&["authentication algorithm", "integrity algorithm", "cipher suite"]) {
        return PowerError::Setting {
            name: "cipher_suite_id",
            problem: format!("the controller does not take it ({detail})"),
        };
    }
    if said(&["Address lookup", "Get Auth Capabilities error", "Unable to establish"]) {
        return PowerError::Connection { detail };
    }
    PowerError::Action { detail }
}

#[cfg(test)]
mod tests;
