//! The runner against a small server that plays the region.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use super::programs::{Folder, python_is_here};
use crate::commission::bundle::{Entry, Include, Outputs, archive};
use crate::commission::result::{ScriptRun, ScriptStatus};
use crate::commission::script::Script;

/// One request as it came in.
#[derive(Debug, Clone)]
struct Request {
    line: String,
    host: String,
    authorization: Option<String>,
    content_type: String,
    body: String,
}

impl Request {
    /// The value of a part of a multipart body.
    fn field(&self, name: &str) -> Option<&str> {
        let (_, after) = self.body.split_once(&format!("name=\"{name}\""))?;
        let (_, value) = after.split_once("\r\n\r\n")?;
        value.split_once("\r\n--").map(|(value, _)| value)
    }

    /// The signal's status with the script's name or its error text.
    fn signal(&self) -> Option<(String, String)> {
        if self.field("op") != Some("signal") {
            return None;
        }
        let about = match self.field("exit_status") {
            Some(exit_status) => format!("{} {exit_status}", self.field("name")?),
            None => self.field("error")?.to_owned(),
        };
        Some((self.field("status")?.to_owned(), about))
    }
}

struct Answer {
    status: u16,
    date: Option<&'static str>,
    body: Vec<u8>,
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, date: None, body: body.into() }
}

type Handler = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// A server on a port of its own; it ends with the process.
struct Region {
    origin: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Region {
    /// The handler gets the request and how many requests with the same first line came before.
    fn start(handler: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, handler) = (Arc::clone(&seen), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream, &seen, &*handler));
            }
        });
        Self { origin, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn signals(&self) -> Vec<(String, String)> {
        self.requests().iter().filter_map(Request::signal).collect()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let (mut length, mut authorization) = (0, None);
    let (mut content_type, mut host) = (String::new(), String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = Some(value.to_owned()),
            "host" => value.clone_into(&mut host),
            "content-type" => value.clone_into(&mut content_type),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let request = Request {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        host,
        authorization,
        content_type,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let before = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|other| other.line == request.line).count();
        seen.push(request.clone());
        before
    };
    let Answer { status, date, body } = handler(&request, before);
    let date = date.map_or(String::new(), |date| format!("Date: {date}\r\n"));
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{date}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&body).unwrap();
}

fn script(name: &str, metadata: &str, body: &str) -> Script {
    let text = format!(
        "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: {name}\n# {metadata}\n\
         # --- End MAAS 1.0 script metadata ---\n{body}\n"
    );
    Script::parse(name, &text).unwrap()
}

fn run(script: &Script, id: u64) -> ScriptRun {
    script.run(id, &BTreeMap::new())
}

fn archive_of(entries: &[(&Script, Option<&ScriptRun>)]) -> Vec<u8> {
    let entries: Vec<Entry<'_>> = entries
        .iter()
        .map(|&(script, run)| {
            let outputs = Outputs { combined: b"before\n", ..Outputs::default() };
            Entry { script, run, outputs }
        })
        .collect();
    archive(&entries, Include::Unfinished).unwrap().unwrap()
}

const KEYS: &str = "consumer_key: CK\n    token_key: TK\n    token_secret: TS\n";

/// Runs the runner to its end.
fn runner(folder: &Folder, origin: &str, keys: &str) -> Output {
    runner_with(folder, origin, keys, &[])
}

fn runner_with(folder: &Folder, origin: &str, keys: &str, variables: &[(&str, &str)]) -> Output {
    let config = folder.0.join("config.cfg");
    std::fs::write(
        &config,
        format!("#cloud-config\ndatasource:\n  MAAS:\n    metadata_url: {origin}/MAAS/metadata/\n    {keys}"),
    )
    .unwrap();
    Command::new("python3")
        .arg(folder.0.join("maas_runner.py"))
        .args(["--config", config.to_str().unwrap(), "run"])
        .arg(folder.0.join("work"))
        .env("DEBUG_PROC_CMDLINE", "ro BOOTIF=01-52-54-00-00-00-01")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

const SCRIPTS: &str = "GET /MAAS/metadata/2012-03-01/maas-scripts";

fn pair(status: &str, about: &str) -> (String, String) {
    (status.to_owned(), about.to_owned())
}

#[test]
fn an_unknown_machine_enlists_and_is_commissioned() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("enlist");
    let first = script(
        "10-first",
        "tags: enlisting",
        "echo out; echo err >&2; echo 'status: passed' > $RESULT_PATH; echo $MAAS_BASE_URL\n\
         echo '{\"power_type\": \"ipmi\", \"power_address\": \"10.0.0.9\"}' > $BMC_CONFIG_PATH",
    );
    let second = script("20-second", "parallel: any", "echo second $HAS_STARTED");
    let anonymous = archive_of(&[(&first, None), (&second, None)]);
    let known = archive_of(&[(&first, Some(&run(&first, 11))), (&second, Some(&run(&second, 12)))]);
    let region = Region::start(move |request, before| match request.line.as_str() {
        line if line.contains("op=is_registered") => answer(200, "false"),
        line if line.contains("op=get_preseed") => answer(
            200,
            format!(
                "#cloud-config\ndatasource:\n  MAAS:\n    metadata_url: http://{}/MAAS/metadata/\n    {KEYS}",
                request.host
            ),
        ),
        "POST /MAAS/api/2.0/machines/" => answer(200, r#"{"system_id": "abc367"}"#),
        SCRIPTS if request.authorization.is_none() => answer(200, anonymous.clone()),
        SCRIPTS if before == 1 => answer(200, known.clone()),
        SCRIPTS => answer(204, ""),
        _ => answer(200, "OK"),
    });
    let output = runner(&folder, &region.origin, "");
    assert!(output.status.success(), "{output:?}");

    let requests = region.requests();
    assert!(requests[0].line.starts_with(
        "GET /MAAS/api/2.0/machines/?op=is_registered&mac_address=52%3A54%3A00%3A00%3A00%3A01"
    ));
    let create =
        requests.iter().find(|request| request.line == "POST /MAAS/api/2.0/machines/").unwrap();
    assert_eq!(create.content_type, "application/x-www-form-urlencoded");
    assert!(create.authorization.is_none());
    for part in [
        "mac_addresses=52%3A54%3A00%3A00%3A00%3A01",
        "architecture=",
        "commission=True",
        "power_type=ipmi",
        "power_parameters=%7B%22power_address%22%3A+%2210.0.0.9%22%7D",
    ] {
        assert!(create.body.contains(part), "{part} in {}", create.body);
    }
    assert_eq!(
        region.signals(),
        [
            pair("COMMISSIONING", "Commissioning begins"),
            pair("WORKING", "10-first 0"),
            pair("WORKING", "Starting 20-second"),
            pair("WORKING", "20-second 0"),
            pair("OK", "All scripts successfully ran"),
        ]
    );
    let result =
        requests.iter().find(|request| request.field("script_result_id") == Some("11")).unwrap();
    let header = result.authorization.as_deref().unwrap();
    assert!(header.contains("oauth_signature=\"%26TS\"") && header.contains("oauth_token=\"TK\""));
    assert!(result.content_type.starts_with("multipart/form-data; boundary="));
    assert!(result.field("10-first.out").unwrap().starts_with("out\nhttp://127.0.0.1:"));
    assert_eq!(result.field("10-first.err").unwrap(), "err\n");
    assert_eq!(result.field("10-first.yaml").unwrap(), "status: passed\n");
    assert!(result.body.contains("filename=\"10-first\""));
    assert_eq!(result.field("power_type"), Some("ipmi"));
    assert_eq!(result.field("power_parameters"), Some(r#"{"power_address": "10.0.0.9"}"#));
}

#[test]
fn a_machine_that_is_known_already_is_left_alone() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("registered");
    let region = Region::start(|_, _| answer(200, "true"));
    assert!(runner(&folder, &region.origin, "").status.success());
    assert_eq!(region.requests().len(), 1);
}

#[test]
fn commissioning_hands_over_to_testing_and_runs_what_is_left_after_a_reboot() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("testing");
    let commissioning = script("50-it", "timeout: 60", "echo $HAS_STARTED $RUNTIME");
    let slow = script("disk", "script_type: testing", "true");
    let instance = "script_type: testing\n# parallel: instance";
    let each = script("each", instance, "sleep 0.2");
    let mut started = run(&commissioning, 1);
    started.status = ScriptStatus::Running;
    let first = archive_of(&[(&commissioning, Some(&started))]);
    let second = archive_of(&[
        (&slow, Some(&run(&slow, 2))),
        (&each, Some(&run(&each, 3))),
        (&each, Some(&run(&each, 4))),
    ]);
    let region = Region::start(move |request, before| match request.line.as_str() {
        SCRIPTS if before == 0 => answer(200, first.clone()),
        SCRIPTS if before == 1 => answer(200, second.clone()),
        SCRIPTS => answer(204, ""),
        _ => answer(200, "OK"),
    });
    let output = runner(&folder, &region.origin, KEYS);
    assert!(output.status.success(), "{output:?}");
    let signals = region.signals();
    assert_eq!(signals[0], pair("COMMISSIONING", "Running 1 commissioning scripts"));
    assert_eq!(signals[2], pair("WORKING", "50-it 0"));
    assert_eq!(signals[3], pair("TESTING", "Running 3 testing scripts"));
    assert_eq!(signals[4], pair("WORKING", "Starting disk"));
    assert_eq!(signals.last(), Some(&pair("OK", "All scripts successfully ran")));
    let ids: std::collections::BTreeSet<String> = region
        .requests()
        .iter()
        .filter(|request| request.field("exit_status") == Some("0"))
        .filter_map(|request| request.field("script_result_id").map(str::to_owned))
        .collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    let requests = region.requests();
    let result = requests.iter().find(|request| request.field("exit_status").is_some()).unwrap();
    assert_eq!(result.field("50-it.out"), Some("True 60.0\n"));
    assert_eq!(result.field("50-it"), Some("before\nTrue 60.0\n"), "what was written before");
}

#[test]
fn a_failing_script_fails_the_machine_and_a_slow_one_is_ended() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("failing");
    let failing = script("1-failing", "tags: x", "exit 3");
    let slow = script("2-slow", "timeout: 1", "sleep 600 & sleep 600");
    let broken = Script { body: "#!/nowhere\n".to_owned(), ..script("3-broken", "tags: x", "") };
    let tar = archive_of(&[
        (&failing, Some(&run(&failing, 1))),
        (&slow, Some(&run(&slow, 2))),
        (&broken, Some(&run(&broken, 3))),
    ]);
    let region = Region::start(move |request, _| match request.line.as_str() {
        SCRIPTS => answer(200, tar.clone()),
        _ => answer(200, "OK"),
    });
    let output = runner(&folder, &region.origin, KEYS);
    assert!(output.status.success(), "{output:?}");
    let ended: Vec<(String, String)> = region
        .signals()
        .into_iter()
        .filter(|(_, about)| !about.starts_with("Starting") && !about.starts_with("Running"))
        .collect();
    assert_eq!(
        ended,
        [
            pair("WORKING", "1-failing 3"),
            pair("TIMEDOUT", "2-slow 124"),
            pair("WORKING", "3-broken 2"),
            pair("FAILED", "3 commissioning scripts failed to run"),
        ]
    );
}

#[test]
fn a_known_machine_without_scripts_says_that_it_is_there() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("new");
    let region = Region::start(|request, _| match request.line.as_str() {
        SCRIPTS => answer(204, ""),
        _ => answer(200, "OK"),
    });
    assert!(runner(&folder, &region.origin, KEYS).status.success());
    assert_eq!(
        region.signals(),
        [pair("COMMISSIONING", "Commissioning begins"), pair("OK", "All scripts successfully ran")]
    );
}

#[test]
fn a_clock_that_is_wrong_is_corrected_from_the_answer() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("clock");
    let region = Region::start(|request, before| match (request.line.as_str(), before) {
        (SCRIPTS, 0) => Answer {
            status: 401,
            date: Some("Wed, 01 Jan 2059 00:00:00 GMT"),
            body: b"Authorization Error: expired".to_vec(),
        },
        (SCRIPTS, 1) => answer(503, "busy"),
        (SCRIPTS, _) => answer(204, ""),
        _ => answer(200, "OK"),
    });
    assert!(runner(&folder, &region.origin, KEYS).status.success());
    let stamp = |request: &Request| -> i64 {
        let header = request.authorization.as_deref().unwrap();
        let (_, after) = header.split_once("oauth_timestamp=\"").unwrap();
        after.split_once('"').unwrap().0.parse().unwrap()
    };
    let requests = region.requests();
    assert!(stamp(&requests[0]) < 2_800_000_000);
    // 2059-01-01 is 2808604800.
    assert!((stamp(&requests[1]) - 2_808_604_800).abs() < 60);
    assert!(stamp(requests.last().unwrap()) >= 2_808_604_800);
}

#[test]
fn wrong_keys_end_the_run_at_once() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("keys");
    let region = Region::start(|_, _| answer(403, "Not authenticated as a known node."));
    let output = runner(&folder, &region.origin, KEYS);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(region.requests().len(), 1);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Not authenticated"));
}

#[test]
fn the_installer_is_fetched_with_the_machines_own_keys() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("installer");
    let install = crate::commission::builtin::script("50-curtin-install").unwrap();
    let tar = archive_of(&[(install, Some(&run(install, 5)))]);
    let region = Region::start(move |request, before| match request.line.as_str() {
        SCRIPTS if before == 0 => answer(200, tar.clone()),
        SCRIPTS => answer(204, ""),
        "GET /MAAS/metadata/2012-03-01/curtin-installer" => {
            answer(200, "#!/bin/sh\necho installed\n")
        }
        _ => answer(200, "OK"),
    });
    let output = runner(&folder, &region.origin, KEYS);
    assert!(output.status.success(), "{output:?}");
    let requests = region.requests();
    let fetched = requests.iter().find(|r| r.line.ends_with("/curtin-installer")).unwrap();
    assert!(fetched.authorization.as_deref().unwrap().contains("TK"));
    let signals = region.signals();
    assert_eq!(signals[0], pair("DEPLOYING", "Running 1 deployment scripts"));
    assert!(signals.contains(&pair("WORKING", "50-curtin-install 0")));
    let result = requests.iter().find(|r| r.field("exit_status") == Some("0")).unwrap();
    assert!(result.field("50-curtin-install.out").unwrap().contains("installed"));
}

#[test]
fn a_failed_installation_of_packages_is_reported_as_one() {
    use std::os::unix::fs::PermissionsExt;

    if !python_is_here() {
        return;
    }
    let folder = Folder::new("packages");
    for (name, body) in [("apt-get", "echo apt-get \"$@\"; exit 100"), ("dpkg-query", "exit 1")] {
        let path = folder.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let needy = script("needy", "packages: {apt: [sg3-utils]}", "echo must not run");
    let tar = archive_of(&[(&needy, Some(&run(&needy, 9)))]);
    let region = Region::start(move |request, _| match request.line.as_str() {
        SCRIPTS => answer(200, tar.clone()),
        _ => answer(200, "OK"),
    });
    let path = format!("{}:{}", folder.0.display(), std::env::var("PATH").unwrap());
    let output = runner_with(&folder, &region.origin, KEYS, &[("PATH", &path)]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        region.signals(),
        [
            pair("COMMISSIONING", "Running 1 commissioning scripts"),
            pair("INSTALLING", "Installing dependencies of needy"),
            pair("WORKING", "needy 100"),
            pair("FAILED", "1 commissioning scripts failed to run"),
        ]
    );
    let requests = region.requests();
    let result = requests.iter().find(|r| r.field("exit_status").is_some()).unwrap();
    let printed = result.field("needy").unwrap();
    assert!(printed.contains("install sg3-utils") && !printed.contains("must not run"));
}

#[test]
fn the_heartbeat_says_how_long_it_has_been() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("heartbeat");
    let region = Region::start(|_, _| answer(200, "OK"));
    let program = format!(
        "import time\n\
         from region import Client, Heartbeat\n\
         from settings import Credentials\n\
         keys = dict(consumer_key='CK', token_key='TK', token_secret='TS')\n\
         client = Client(Credentials(dict(keys, metadata_url='{}/MAAS/metadata/')))\n\
         with Heartbeat(client, 0.1):\n    time.sleep(1)\n",
        region.origin
    );
    std::fs::write(folder.0.join("check.py"), program).unwrap();
    folder.python(&["check.py"]);
    let signals = region.signals();
    assert!(signals.len() >= 2, "{signals:?}");
    assert!(signals[0].1.starts_with("Elapsed time (real): 0:00:0"), "{signals:?}");
    assert_eq!(signals[0].0, "WORKING");
}

#[test]
fn a_result_that_is_too_large_for_the_region_is_sent_again_shortened() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("large");
    let loud = script("loud", "tags: x", "head -c 300000 /dev/zero | tr '\\0' x");
    let tar = archive_of(&[(&loud, Some(&run(&loud, 1)))]);
    let region = Region::start(move |request, before| match request.line.as_str() {
        SCRIPTS if before == 0 => answer(200, tar.clone()),
        SCRIPTS => answer(204, ""),
        _ if request.body.len() > 200_000 => answer(413, "too large"),
        _ => answer(200, "OK"),
    });
    assert!(runner(&folder, &region.origin, KEYS).status.success());
    let requests = region.requests();
    let results: Vec<&str> = requests.iter().filter_map(|r| r.field("loud.out")).collect();
    assert_eq!(results.iter().map(|text| text.len() > 200_000).collect::<Vec<_>>(), [true, false]);
    assert!(results[1].ends_with("[output cut off by the runner]\n"));
}
