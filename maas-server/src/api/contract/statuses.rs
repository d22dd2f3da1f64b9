//! Every command in every status, over HTTP (`api.md` §1.2, §1.3).

use maas_core::machine::Status::{self, *};

use super::World;

/// What a command answers where it is not possible.
#[derive(Clone, Copy)]
enum Otherwise {
    /// 409 with a sentence.
    Conflict,
    /// 400 with JSON.
    Form,
}

/// A command, the statuses that it is possible in, and what it answers in others.
struct Command {
    op: &'static str,
    form: &'static [(&'static str, &'static str)],
    from: &'static [Status],
    otherwise: Otherwise,
}

const fn command(op: &'static str, from: &'static [Status]) -> Command {
    Command { op, form: &[], from, otherwise: Otherwise::Conflict }
}

const COMMANDS: &[Command] = &[
    Command {
        op: "commission",
        form: &[],
        from: &[New, FailedCommissioning, Ready, Broken],
        otherwise: Otherwise::Form,
    },
    command(
        "test",
        &[
            FailedCommissioning,
            New,
            Ready,
            Reserved,
            Allocated,
            FailedDeployment,
            Deployed,
            Missing,
            Retired,
            Broken,
            RescueMode,
            FailedReleasing,
            FailedDiskErasing,
            FailedEnteringRescueMode,
            FailedExitingRescueMode,
            FailedTesting,
        ],
    ),
    command("override_failed_testing", &[FailedTesting]),
    command("abort", &[Commissioning, DiskErasing, Deploying, Testing]),
    command(
        "release",
        &[
            Allocated,
            Reserved,
            Broken,
            Deploying,
            Deployed,
            FailedDeployment,
            FailedDiskErasing,
            FailedReleasing,
            Releasing,
            Ready,
        ],
    ),
    command("mark_fixed", &[Broken]),
    // MAAS lists FAILED_EXITING_RESCUE_MODE for this command as well, but its table of transitions
    // has no such step, and so the answer is 409 there too.
    command(
        "rescue_mode",
        &[
            New,
            FailedCommissioning,
            Ready,
            Reserved,
            Allocated,
            FailedDeployment,
            Deployed,
            Missing,
            Retired,
            Broken,
            FailedDiskErasing,
            FailedEnteringRescueMode,
            FailedTesting,
        ],
    ),
    command(
        "exit_rescue_mode",
        &[RescueMode, EnteringRescueMode, FailedEnteringRescueMode, FailedExitingRescueMode],
    ),
    command("lock", &[Deployed, Deploying]),
    command("unlock", &[]),
];

/// Commands that take two steps of the table at once.
const TWO_STEPS: [&str; 3] = ["release", "exit_rescue_mode", "mark_broken"];

#[tokio::test]
async fn each_command_answers_in_each_status_what_the_table_says() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for command in COMMANDS {
        for status in Status::ALL {
            let before = world.machine(status, |_| {}).await;
            let path = format!("machines/{}/?op={}", before.system_id, command.op);
            let answer = world.post(&path, command.form).await;
            let after = world.stored(&before).await;
            let mut complain = |what: &str| {
                wrong.push(format!(
                    "{} from {status}: {what}: {} {} -> {}",
                    command.op,
                    answer.status,
                    answer.text().chars().take(120).collect::<String>(),
                    after.status,
                ));
            };
            let possible = command.from.contains(&status);
            let expected = match (possible, command.otherwise) {
                (true, _) => 200,
                (false, Otherwise::Conflict) => 409,
                (false, Otherwise::Form) => 400,
            };
            if answer.status != expected {
                complain(&format!("expected {expected}"));
            }
            if answer.status == 200 {
                let shown: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                if shown["status"] != after.status.number() {
                    complain("the answer shows another status");
                }
                let two = TWO_STEPS.contains(&command.op)
                    && status.next().iter().any(|middle| middle.can_become(after.status));
                if status != after.status && !status.can_become(after.status) && !two {
                    complain("no such transition");
                }
            } else {
                if after != before {
                    complain("refused, and yet it changed");
                }
                let kind = answer.header(::http::header::CONTENT_TYPE).to_owned();
                let json = matches!(command.otherwise, Otherwise::Form);
                let fits = if json {
                    kind.starts_with("application/json")
                        && serde_json::from_slice::<serde_json::Value>(&answer.body)
                            .is_ok_and(|body| body.is_object())
                } else {
                    kind.starts_with("text/plain") && !answer.body.is_empty()
                };
                if !fits {
                    complain("not the body of a refusal");
                }
            }
            world.region.store.delete(&after.system_id, after.version).await.unwrap();
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn everything_can_be_marked_broken_and_nothing_twice() {
    let world = World::new().await;
    for status in Status::ALL {
        let before = world.machine(status, |_| {}).await;
        let path = format!("machines/{}/?op=mark_broken", before.system_id);
        let answer = world.post(&path, &[("comment", "smoke")]).await;
        let expected = if status == Broken { 409 } else { 200 };
        assert_eq!(answer.status, expected, "{status}: {}", answer.text());
        let after = world.stored(&before).await;
        assert_eq!(after.status, Broken, "{status}");
        assert!(status == Broken || after.error_description == "smoke", "{status}");
    }
}

#[tokio::test]
async fn the_sentences_are_those_that_clients_know() {
    let world = World::new().await;
    let new = world.machine(New, |_| {}).await;
    let path = format!("machines/{}/", new.system_id);
    let deploy = world.post(&format!("{path}?op=deploy"), &[]).await;
    assert_eq!(deploy.text(), "Can't deploy a machine that is in the 'New' state");
    let release = world.post(&format!("{path}?op=release"), &[]).await;
    assert_eq!(release.text(), "Machine cannot be released in its current state ('New').");
    let exiting = world.machine(FailedExitingRescueMode, |_| {}).await;
    let rescue = world.post(&format!("machines/{}/?op=rescue_mode", exiting.system_id), &[]).await;
    assert_eq!(
        rescue.text(),
        "Invalid transition: Failed to exit rescue mode -> Entering rescue mode."
    );
    let unlock = world.post(&format!("{path}?op=unlock"), &[]).await;
    assert_eq!((unlock.status.as_u16(), unlock.text().is_empty()), (409, false));
    let all = world.post("machines/?op=release", &[("machines", new.system_id.as_str())]).await;
    assert!(all.text().starts_with("Machine(s) cannot be released in their current state: "));
    let unknown = world.post("machines/?op=release", &[("machines", "aaaaaa")]).await;
    assert_eq!(unknown.text(), "Unknown machine(s): aaaaaa.");
    let none = world.post("machines/?op=allocate", &[]).await;
    assert_eq!((none.status.as_u16(), none.text().as_str()), (409, "No machine available."));
    let nobody = world.get("machines/aaaaaa/").await;
    assert_eq!(nobody.text(), "No Machine matches the given query.");
}
