//! The plan as a POSIX shell script for `%firstboot`.
//!
//! The script finds every card and reads the state of the host before it changes anything, builds
//! what needs no card of the present network, removes that network only then, builds the rest,
//! and stops at the first failure, saying at which command. Busybox's `ash`, `sed` and `awk` are
//! all it needs.

use std::fmt::Write as _;

use super::command::{Command, Naming, VARIABLE, build, quote};
use super::plan::Plan;

const HEAD: &str = r#"#!/bin/sh
# The network of this host, rendered by maas-netconfig from its MAAS configuration.
step='reading the state of the host'
fail() { echo "maas-network: failed: $step" >&2; exit 1; }
run() { step="$*"; "$@" || fail; }
has() { case " $1 " in *" $2 "*) return 0 ;; esac; return 1; }
card() { printf '%s\n' "$cards" | awk -v mac="$1" '{ for (i = 2; i <= NF; i++) if (tolower($i) == mac) { print $1; exit } }'; }
cards=$(esxcli network nic list) || fail
interfaces=$(esxcli network ip interface list) || fail
switches=$(esxcli network vswitch standard list) || fail
domains=$(esxcli network ip dns search list) || fail
old_vmks=$(printf '%s\n' "$interfaces" | sed -n 's/^ *Name: *//p' | tr '\n' ' ')
old_switches=$(printf '%s\n' "$switches" | sed -n 's/^ *Name: *//p')
old_uplinks=$(printf '%s\n' "$switches" | sed -n 's/^ *Uplinks: *//p' | tr ',\n' '  ')
old_domains=$(printf '%s\n' "$domains" | sed -n 's/^ *DNSSearch Domains: *//p' | tr ',' ' ')
taken="$old_vmks $(printf '%s' "$old_switches" | tr '\n' ' ')"
free() { n=0; while has "$taken" "$1$n"; do n=$((n + 1)); done; found=$1$n; taken="$taken $found"; }
"#;

const REMOVE: &str = r#"# The old network goes only now that everything else stands.
for old in $old_vmks; do run esxcli network ip interface remove -i "$old"; done
while read -r old; do
    [ -z "$old" ] || run esxcli network vswitch standard remove -v "$old"
done <<END
$old_switches
END
run esxcli network ip dns server remove --all
for old in $old_domains; do run esxcli network ip dns search remove -d "$old"; done
taken=$mine
"#;

impl Plan {
    /// The plan as a shell script; it finds the cards on the host by their MAC addresses.
    pub fn shell(&self) -> String {
        let mut commands = Vec::new();
        let mut script = String::with_capacity(64 * 1024);
        script.push_str(HEAD);
        for (at, switch) in self.switches.iter().enumerate() {
            for (card, uplink) in switch.uplinks.iter().enumerate() {
                let variable = format!("card_{at}_{card}");
                put(
                    &mut script,
                    format_args!("step='finding the card {} of {}'", uplink.mac, uplink.interface),
                );
                put(
                    &mut script,
                    format_args!(
                        "{variable}=$(card {}); [ -n \"${variable}\" ] || fail",
                        uplink.mac
                    ),
                );
            }
        }
        script.push_str("mine=''\n");
        for (at, switch) in self.switches.iter().enumerate() {
            put(&mut script, format_args!("build_{at}() {{"));
            put(
                &mut script,
                format_args!("    free vSwitch; {}=$found; mine=\"$mine $found\"", switch.name),
            );
            for group in &switch.port_groups {
                if let Some(vmk) = &group.vmk {
                    put(
                        &mut script,
                        format_args!("    free vmk; {}=$found; mine=\"$mine $found\"", vmk.name),
                    );
                }
            }
            let cards: Vec<String> = (0..switch.uplinks.len())
                .map(|card| format!("{VARIABLE}card_{at}_{card}{VARIABLE}"))
                .collect();
            let cards: Vec<&str> = cards.iter().map(String::as_str).collect();
            build(&mut commands, switch, &cards, Naming::Variables);
            for command in commands.drain(..) {
                script.push_str("    ");
                line(&mut script, &command);
            }
            script.push_str("}\n");
        }
        script.push_str("waiting=''\n");
        for (at, switch) in self.switches.iter().enumerate() {
            script.push_str("busy=''\n");
            for card in 0..switch.uplinks.len() {
                put(
                    &mut script,
                    format_args!(
                        "if has \"$old_uplinks\" \"$card_{at}_{card}\"; then busy=yes; fi"
                    ),
                );
            }
            put(
                &mut script,
                format_args!(
                    "if [ -n \"$busy\" ]; then waiting=\"$waiting build_{at}\"; else build_{at}; fi"
                ),
            );
        }
        script.push_str(REMOVE);
        script.push_str("for build in $waiting; do $build; done\n");
        self.routes_and_dns(&mut commands, Naming::Variables);
        for command in commands {
            line(&mut script, &command);
        }
        script.push_str("echo 'maas-network: done'\n");
        script
    }
}

fn put(script: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(script, "{line}").ok();
}

/// Appends one command, with variables in double quotes.
fn line(script: &mut String, command: &Command) {
    script.push_str("run esxcli ");
    let (words, options) = command.parts();
    script.push_str(words);
    for (argument, is_fixed) in options {
        script.push(' ');
        if is_fixed {
            script.push_str(argument);
        } else if argument.contains(VARIABLE) {
            script.push('"');
            for (at, part) in argument.split(VARIABLE).enumerate() {
                if at % 2 == 1 {
                    script.push_str("${");
                    script.push_str(part);
                    script.push('}');
                } else {
                    script.push_str(part);
                }
            }
            script.push('"');
        } else {
            script.push_str(&quote(argument));
        }
    }
    script.push('\n');
}
