#![allow(clippy::unwrap_used)]

use maas_netconfig::yaml;
use proptest::prelude::*;

use super::*;

fn of(text: &str) -> Vec<String> {
    let Value::Map(map) = yaml::from_str(text).unwrap() else { panic!("{text}") };
    mistakes(&map)
}

#[test]
fn what_cloud_init_takes_is_no_mistake() {
    for text in [
        "packages: [vim, [libc6, '2.36']]",
        "runcmd:\n- echo a\n- [ls, -l]\n- null",
        "users:\n- default\n- name: alice\n  sudo: [ALL=(ALL) NOPASSWD:ALL]\n  uid: 1001",
        "users: {alice: true}",
        "write_files:\n- {path: /a, content: b, permissions: '0644', encoding: b64}",
        "power_state: {mode: reboot, delay: now, condition: true}",
        "package_upgrade: yes",
        "ntp: {servers: [10.0.0.1]}",
        "mounts: [[vdb, /srv, auto, defaults, '0', 2]]",
        "ssh_pwauth: false",
        "{}",
    ] {
        assert_eq!(of(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_it_does_not_understand_is_said_with_its_place() {
    for (text, expected) in [
        ("runcmd: 5", "runcmd: expected a list, found the number 5"),
        ("runcmds: [a]", "cloud-init knows no key \"runcmds\"; it is ignored"),
        ("write_files: [{content: a}]", "write_files[0]: \"path\" is missing"),
        (
            "write_files: [{path: /a, permissions: 644}]",
            "write_files[0].permissions: expected a text, found the number 644",
        ),
        (
            "users: [{name: a, ssh_authorized_keys: ssh-rsa x}]",
            "users[0].ssh_authorized_keys: expected a list, found a text",
        ),
        ("users: [{nmae: a}]", "users[0]: cloud-init knows no key \"nmae\" here"),
        (
            "power_state: {mode: sleep}",
            "power_state.mode: expected one of poweroff, reboot, halt, found a text",
        ),
        ("ntp: {servers: [1]}", "ntp.servers[0]: expected a text, found the number 1"),
        ("package_update: 1", "package_update: expected true or false, found the number 1"),
    ] {
        assert_eq!(of(text), [expected], "{text}");
    }
}

#[test]
fn a_text_that_may_be_secret_is_never_repeated() {
    let found = of("chpasswd: hunter2\npassword: [hunter2]\npower_state: {mode: hunter2}");
    assert_eq!(found.len(), 3);
    assert!(!found.join(" ").contains("hunter2"), "{found:?}");
}

#[test]
fn the_first_mistakes_are_listed_and_the_rest_counted() {
    let text: String = (0..50).map(|number| format!("k{number}: 1\n")).collect();
    let found = of(&text);
    assert_eq!(found.len(), MOST + 1);
    assert_eq!(found.last().unwrap(), "30 more mistakes of this kind");
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(key in prop::sample::select(
        KEYS.iter().map(|field| field.name).collect::<Vec<_>>()), value in any_value(4)) {
        let Value::Map(map) = Value::map([(key, value)]) else { unreachable!() };
        let _ = mistakes(&map);
    }
}

fn any_value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        "[a-z]{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[a-z_]{1,8}", inner), 0..4).prop_map(Value::map),
        ]
    })
}
