//! A machine has one owner, however many ask for it at once.

use std::collections::BTreeMap;
use std::sync::Barrier;

use maas_core::machine::{Role, Status};
use serde_json::Value;

use super::support::client::{Answer, Call, Key};
use super::support::play::Play;
use super::support::server::Running;

const CALLERS: usize = 64;

/// Three users, so that races are both within one user and between users.
fn users(running: &Running) -> Vec<(String, Key)> {
    ["ann", "ben", "cleo"]
        .map(|name| (name.to_owned(), running.user(name, Role::User)))
        .into_iter()
        .collect()
}

/// Every caller asks at the same moment, on a connection and with a nonce of its own.
fn all_at_once(
    running: &Running,
    users: &[(String, Key)],
    call: impl Fn() -> Call + Sync,
) -> Vec<(String, Answer)> {
    let start = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| {
                let (name, key) = &users[n % users.len()];
                let (start, call) = (&start, &call);
                scope.spawn(move || {
                    let call = call().signed(key);
                    start.wait();
                    (name.clone(), call.send(running.region))
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

fn allocate_over(machines: usize) {
    let running = Running::empty();
    let users = users(&running);
    for n in 0..machines {
        running.add_ready_machine(1 + u32::try_from(n % 7).unwrap());
    }
    let answers = all_at_once(&running, &users, || {
        Call::post("/MAAS/api/2.0/machines/?op=allocate", &[("comment", "a race")])
    });

    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut refused = 0;
    for (user, answer) in answers {
        match answer.status {
            200 => {
                let machine = answer.json();
                assert_eq!(machine["owner"], Value::String(user.clone()));
                assert_eq!(machine["status_name"], "Allocated");
                let id = machine["system_id"].as_str().unwrap().to_owned();
                assert_eq!(owners.insert(id.clone(), user), None, "{id} was given away twice");
            }
            409 => {
                assert_eq!(answer.text(), "No machine available.");
                assert_eq!(answer.header("retry-after"), None);
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!(owners.len(), machines.min(CALLERS));
    assert_eq!(refused, CALLERS - machines.min(CALLERS));
    // What was answered is what is stored, and nothing else.
    for machine in running.machines() {
        assert_eq!(machine.owner.as_ref(), owners.get(&machine.system_id.to_string()));
        let allocated = machine.status == Status::Allocated;
        assert_eq!(allocated, machine.owner.is_some(), "{}", machine.system_id);
    }
}

#[test]
fn sixty_four_callers_share_out_forty_machines() {
    allocate_over(40);
}

#[test]
fn sixty_four_callers_each_get_one_of_a_hundred_machines() {
    allocate_over(100);
}

#[test]
fn one_machine_that_all_name_goes_to_one_of_them() {
    let running = Running::empty();
    let users = users(&running);
    let wanted = running.add_ready_machine(2);
    let other = running.add_ready_machine(1);
    let id = wanted.system_id.to_string();
    let answers = all_at_once(&running, &users, || {
        Call::post("/MAAS/api/2.0/machines/?op=allocate", &[("system_id", &id)])
    });
    let winners: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 200).collect();
    assert_eq!(winners.len(), 1);
    for (_, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
        assert_eq!(answer.status, 409);
        assert_eq!(answer.text(), format!("No machine with system ID {id} available."));
    }
    assert_eq!(running.machine(&wanted.system_id).owner.as_ref(), Some(&winners[0].0));
    assert_eq!(running.machine(&other.system_id).owner, None);
}

#[test]
fn one_machine_that_all_deploy_is_deployed_once() {
    let (play, id) = Play::ready(21);
    let users = users(&play.running);
    let answers = all_at_once(&play.running, &users, || {
        Call::post(format!("/MAAS/api/2.0/machines/{id}/?op=deploy"), &[])
    });
    let winners: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 200).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    for (user, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
        // Once it is somebody's, others may neither see nor command it.
        let expected = matches!(answer.status, 403 | 404 | 409);
        assert!(expected, "{user}: {}: {}", answer.status, answer.text());
    }
    let deployed = play.wait_for(&id, "Deployed");
    assert_eq!(deployed["owner"], *winners[0].0);
}
