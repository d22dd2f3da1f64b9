//! A region and rack of the wire facts alone: just enough for a machine to become Deployed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::simulator::client::hex;
use crate::simulator::curtin::pack;
use crate::simulator::hardware;
use crate::simulator::machine::MachineState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    New,
    Commissioning,
    FailedCommissioning,
    Ready,
    Deploying,
    FailedDeployment,
    Deployed,
}

#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) status: Status,
    pub(super) netboot: bool,
    pub(super) power: Value,
    pub(super) macs: Vec<String>,
    pub(super) events: Vec<Value>,
    pub(super) resources: Option<Value>,
    pub(super) created: u32,
    /// curtin's storage configuration.
    pub(super) storage: Value,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) machines: BTreeMap<String, Known>,
    /// Method, path with query, and user agent of every request.
    pub(super) requests: Vec<(String, String, String)>,
    /// Answer this many requests below `/MAAS/` with 503.
    pub(super) outages: u32,
    /// Send other bytes than the URL promises.
    pub(super) corrupt: bool,
    /// Add to the clock that `Date` tells, and insist on it.
    pub(super) clock: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Mutex<Seen>>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

const KERNEL: &[u8] = b"a kernel";
const INITRD: &[u8] = b"an initrd";

fn squashfs() -> Vec<u8> {
    b"squash".repeat(50_000)
}

fn name_of(content: &[u8]) -> String {
    hex(&Sha256::digest(content))[..12].to_owned()
}

struct Answer(u16, Vec<u8>);

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer(200, body.into())
}

impl Region {
    pub(super) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::default()).await
    }

    /// Cuts every connection, is away for a while, and comes back at the same address.
    pub(super) async fn restart(&mut self, away: Duration) {
        // Taken out first: the lock is not held while waiting.
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        tasks.shutdown().await;
        tokio::time::sleep(away).await;
        *self = Self::start_at(self.address, Arc::clone(&self.seen)).await;
    }

    async fn start_at(address: SocketAddr, seen: Arc<Mutex<Seen>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let region = Self { address, seen, tasks: Arc::new(Mutex::new(JoinSet::new())) };
        let accepting = region.clone();
        region.tasks.lock().unwrap().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let region = accepting.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| region.serve(request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        region
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Known) -> T) -> T {
        change(self.seen.lock().unwrap().machines.get_mut(id).unwrap())
    }

    pub(super) fn machine(&self, id: &str) -> Known {
        self.seen.lock().unwrap().machines[id].clone()
    }

    /// Ids of all machines, in the order of their ids.
    pub(super) fn ids(&self) -> Vec<String> {
        self.seen.lock().unwrap().machines.keys().cloned().collect()
    }

    pub(super) fn asked(&self, path: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let found = seen.requests.iter().filter(|(_, asked, _)| asked.contains(path));
        found.map(|(method, asked, agent)| format!("{method} {asked} {agent}")).collect()
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body =
            body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let field = |name: &str| {
            head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        let target = head.uri.path_and_query().unwrap().to_string();
        let method = head.method.to_string();
        self.seen.lock().unwrap().requests.push((
            method.clone(),
            target.clone(),
            field("user-agent"),
        ));
        // GRUB and UEFI leave the port out.
        let is_grub = target.starts_with("/grub/") && !field("user-agent").starts_with("python");
        if is_grub {
            assert_eq!(field("host"), "127.0.0.1");
        }
        let Answer(status, content) = self.answer(&method, &target, &field, &body);
        let clock = self.seen.lock().unwrap().clock;
        let mut response = Response::builder().status(status);
        if clock != 0 {
            let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(clock);
            let date = jiff::fmt::rfc2822::DateTimePrinter::new();
            let date = date.timestamp_to_rfc9110_string(&now).unwrap();
            response = response.header("date", date);
        }
        Ok(response.body(Full::new(content.into())).unwrap())
    }

    fn answer(
        &self,
        method: &str,
        target: &str,
        field: &dyn Fn(&str) -> String,
        body: &[u8],
    ) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_decode_str(path).decode_utf8().unwrap().into_owned();
        let mut seen = self.seen.lock().unwrap();
        if path.starts_with("/MAAS/") && seen.outages > 0 {
            seen.outages -= 1;
            return Answer(503, Vec::new());
        }
        if let Some(rest) = path.strip_prefix("/images/") {
            let squashfs = squashfs();
            let all: [&[u8]; 3] = [KERNEL, INITRD, &squashfs];
            let found = all.into_iter().find(|content| rest.starts_with(&name_of(content)));
            return match found {
                Some(_) if seen.corrupt => ok("something else"),
                Some(content) => ok(content),
                None if rest.ends_with(".efi") => ok("MZ"),
                None => Answer(404, Vec::new()),
            };
        }
        if let Some(rest) = path.strip_prefix("/MAAS/") {
            return self.maas(&mut seen, method, rest, query, field, body);
        }
        self.boot_file(&seen, &path)
    }

    fn boot_file(&self, seen: &Seen, path: &str) -> Answer {
        let missing = Answer(404, Vec::new());
        if path.ends_with(".lst") {
            return ok("");
        }
        let url = self.url();
        if path == "/ipxe.cfg" {
            return ok(format!(
                "#!ipxe\nchain {url}/ipxe.cfg-${{mac}} ||\nchain {url}/ipxe.cfg-default-amd64\n"
            ));
        }
        if path == "/grub/grub.cfg" {
            return ok(
                "configfile /grub/grub.cfg-${net_default_mac}\nconfigfile /grub/grub.cfg-default-amd64\n",
            );
        }
        let (loader, name) = if let Some(name) = path.strip_prefix("/ipxe.cfg-") {
            ("ipxe", name)
        } else if let Some(name) = path.strip_prefix("/grub/grub.cfg-") {
            ("grub", name)
        } else if let Some(name) = path.strip_prefix("/pxelinux.cfg/") {
            ("pxelinux", name)
        } else {
            return missing;
        };
        let mac = name.strip_prefix("01-").unwrap_or(name).replace('-', ":");
        let found = seen.machines.iter().find(|(_, known)| known.macs.contains(&mac));
        let (local, host, preseed) = match found {
            Some((id, known)) => (
                known.status == Status::Deployed
                    || (known.status == Status::Deploying && !known.netboot),
                id.clone(),
                format!("{url}/MAAS/metadata/latest/by-id/{id}/?op=get_preseed"),
            ),
            None if name.starts_with("default") => (
                false,
                "maas-enlist".to_owned(),
                format!("{url}/MAAS/metadata/latest/enlist-preseed/?op=get_enlist_preseed"),
            ),
            None => return missing,
        };
        let labels = "ubuntu/amd64/ga-24.04/noble/stable";
        let squash = format!("{url}/images/{}/{labels}/squashfs", name_of(&squashfs()));
        let kernel = format!("images/{}/{labels}/boot-kernel", name_of(KERNEL));
        let initrd = format!("images/{}/{labels}/boot-initrd", name_of(INITRD));
        let line = format!(
            "nomodeset root=squash:{squash} ip=::::{host}:BOOTIF:dhcp ip6=off \
             cc:{{'datasource_list': ['MAAS']}}end_cc cloud-config-url={preseed} ro \
             overlayroot=tmpfs overlayroot_cfgdisk=disabled log_host=127.0.0.1 log_port=5247 ---"
        );
        ok(match (loader, local) {
            ("ipxe", false) => format!(
                "#!ipxe\nkernel {url}/{kernel}\nimgargs boot-kernel {line} BOOTIF=01-${{mac}}\n\
                 initrd {url}/{initrd}\nboot\n"
            ),
            ("ipxe", true) => "#!ipxe\nsanboot --no-describe --drive 0x80 ||\nexit\n".to_owned(),
            ("grub", false) => {
                let line = line.replace('{', "\\{").replace('}', "\\}");
                format!(
                    "set default=\"0\"\nset timeout=0\n\nmenuentry 'Ephemeral' {{\n    echo 'x'\n    \
                     linux  /{kernel} {line} BOOTIF=01-${{net_default_mac}}\n    \
                     initrd /{initrd}\n}}\n"
                )
            }
            ("grub", true) => {
                "menuentry 'Local' {\n    search --set=root --file /efi/boot/bootx64.efi\n    \
                 chainloader /efi/boot/bootx64.efi\n    boot\n}\n"
                    .to_owned()
            }
            (_, false) => format!(
                "DEFAULT execute\n\nLABEL execute\n  SAY Booting\n  KERNEL {url}/{kernel}\n  \
                 INITRD {url}/{initrd}\n  APPEND {line}\n  IPAPPEND 2\n"
            ),
            (_, true) => {
                "DEFAULT local\nLABEL local\n  KERNEL chain.c32\n  APPEND hd0\n".to_owned()
            }
        })
    }

    fn maas(
        &self,
        seen: &mut Seen,
        method: &str,
        path: &str,
        query: &str,
        field: &dyn Fn(&str) -> String,
        body: &[u8],
    ) -> Answer {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        if path == "api/2.0/machines/" && method == "GET" {
            let macs = query.split("mac_address=").nth(1).unwrap_or_default();
            let macs = percent_decode_str(macs).decode_utf8().unwrap().into_owned();
            let known = seen
                .machines
                .values()
                .any(|m| macs.split(',').any(|x| m.macs.contains(&x.to_owned())));
            return ok(known.to_string());
        }
        if path == "api/2.0/machines/" {
            let macs: Vec<String> = form["mac_addresses"].split(',').map(str::to_owned).collect();
            assert_eq!(form["power_type"], "webhook");
            let id = format!("m{}", macs[0].replace(':', ""));
            let power = serde_json::from_str(&form["power_parameters"]).unwrap();
            let known = seen.machines.entry(id.clone()).or_insert(Known {
                status: Status::New,
                netboot: true,
                power,
                macs,
                events: Vec::new(),
                resources: None,
                created: 0,
                storage: Value::Null,
            });
            known.created += 1;
            return ok(json!({"system_id": id}).to_string());
        }
        let Some(path) = path.strip_prefix("metadata/") else { return Answer(404, Vec::new()) };
        if path.starts_with("latest/enlist-preseed/") {
            return ok(self.preseed(None, Status::New));
        }
        if let Some(rest) = path.strip_prefix("latest/by-id/") {
            let id = rest.trim_end_matches('/');
            let Some(known) = seen.machines.get_mut(id) else { return Answer(404, Vec::new()) };
            if method == "POST" {
                assert_eq!(form["op"], "netboot_off");
                known.netboot = false;
                return ok("OK");
            }
            return ok(self.preseed(Some(id), known.status));
        }
        let authorization = field("authorization");
        if seen.clock != 0 && !authorization.is_empty() {
            let stamp = authorization.split("oauth_timestamp=").nth(1).unwrap();
            let stamp: i64 =
                stamp.trim_matches('"').split(['"', ',']).next().unwrap().parse().unwrap();
            if (stamp - jiff::Timestamp::now().as_second() - seen.clock).abs() > 300 {
                return Answer(401, Vec::new());
            }
        }
        let id = authorization
            .split("oauth_token=")
            .nth(1)
            .map(|rest| rest.trim_start_matches('"').split(['"', ',']).next().unwrap().to_owned());
        if path.starts_with("status/") {
            assert!(field("content-type").is_empty() || field("user-agent").starts_with("Curtin"));
            let event: Value = serde_json::from_slice(body).unwrap();
            let known = seen.machines.get_mut(&id.unwrap()).unwrap();
            let top_fail =
                !event["name"].as_str().unwrap().contains('/') && event["result"] == "FAIL";
            if top_fail && known.status == Status::Deploying {
                known.status = Status::FailedDeployment;
            }
            known.events.push(event);
            return Answer(204, Vec::new());
        }
        let is_curtin = path.starts_with("curtin/");
        let item = path.trim_start_matches("curtin/").strip_prefix("2012-03-01/").unwrap();
        let runner = "Content-Type: multipart/mixed; boundary=\"==b==\"\nMIME-Version: 1.0\n\n\
            --==b==\nContent-Type: text/x-shellscript; charset=\"utf-8\"\n\n#!/bin/sh\nexec maas-runner\n--==b==--\n";
        let Some(id) = id else {
            return match item {
                "meta-data/instance-id" => ok("i-maas-enlistment"),
                "meta-data/local-hostname" => ok("maas-enlisting-node"),
                "user-data" => ok(runner),
                "maas-scripts" => ok(scripts(Status::New)),
                _ => Answer(404, Vec::new()),
            };
        };
        let known = seen.machines.get_mut(&id).unwrap();
        match item {
            "meta-data/instance-id" => ok(id),
            "meta-data/local-hostname" => ok(format!("{id}.maas")),
            "meta-data/public-keys" => ok("ssh-ed25519 AAAA user@test\n"),
            "meta-data/vendor-data" => ok("cloud-init: \"#cloud-config\\n{}\"\n"),
            "user-data" if known.status == Status::Deploying && !is_curtin => {
                known.status = Status::Deployed;
                ok("#cloud-config\nhostname: mine\n")
            }
            "user-data" => ok(runner),
            "maas-scripts" => match known.status {
                Status::Commissioning if known.resources.is_none() => ok(scripts(known.status)),
                Status::Deploying => {
                    if known.events.iter().any(|event| event["name"] == "cmd-install") {
                        Answer(204, Vec::new())
                    } else {
                        ok(scripts(known.status))
                    }
                }
                _ => Answer(204, Vec::new()),
            },
            "curtin-installer" => {
                assert!(authorization.contains("oauth_signature=&"), "{authorization}");
                let storage = known.storage.clone();
                ok(self.installer(&id, &storage))
            }
            "" => {
                let text = String::from_utf8_lossy(body).into_owned();
                let value = |name: &str| {
                    let rest = text.split(&format!("name=\"{name}\"\r\n\r\n")).nth(1)?;
                    Some(rest.split("\r\n").next()?.to_owned())
                };
                let file = |name: &str| {
                    let rest = text.split(&format!("filename=\"{name}\"\r\n")).nth(1)?;
                    Some(rest.split("\r\n").nth(2)?.to_owned())
                };
                if let Some(out) = file("50-maas-01-commissioning.out") {
                    known.resources = serde_json::from_str(&out).ok();
                }
                known.status = match (known.status, value("status").unwrap().as_str()) {
                    (Status::New, "COMMISSIONING") => Status::Commissioning,
                    (Status::Commissioning, "OK") => Status::Ready,
                    (Status::New | Status::Commissioning, "FAILED") => Status::FailedCommissioning,
                    (Status::Deploying, "FAILED") => Status::FailedDeployment,
                    (status, _) => status,
                };
                ok("OK")
            }
            _ => Answer(404, Vec::new()),
        }
    }

    fn preseed(&self, id: Option<&str>, status: Status) -> String {
        let url = self.url();
        let Some(id) = id else {
            return format!(
                "#cloud-config\ndatasource:\n  MAAS:\n    metadata_url: {url}/MAAS/metadata/\n\
                 power_state: {{delay: now, mode: poweroff, timeout: 1800, \
                 condition: test ! -e /tmp/block-poweroff}}\n"
            );
        };
        let keys = format!("consumer_key: ck, token_key: {id}, token_secret: ts");
        let (folder, mode) =
            if status == Status::Deploying { ("curtin", "reboot") } else { ("", "poweroff") };
        format!(
            "#cloud-config\ndatasource:\n  MAAS: {{metadata_url: '{url}/MAAS/metadata/{folder}', {keys}}}\n\
             reporting:\n  maas: {{type: webhook, endpoint: '{url}/MAAS/metadata/status/{id}', {keys}}}\n\
             power_state: {{delay: now, mode: {mode}, timeout: 1800}}\n"
        )
    }

    fn installer(&self, id: &str, storage: &Value) -> Vec<u8> {
        let url = self.url();
        let keys = format!("consumer_key: ck, token_key: {id}, token_secret: ts");
        pack(&[
            ("curtin/configs/config-000.cfg", storage.to_string()),
            (
                "curtin/configs/config-001.cfg",
                format!(
                    "reporting:\n  maas: {{type: webhook, endpoint: '{url}/MAAS/metadata/status/{id}', {keys}}}\n\
                     install: {{log_file: /tmp/install.log, error_tarfile: /tmp/curtin-logs.tar, \
                     post_files: [/tmp/install.log, /tmp/curtin-logs.tar]}}\n"
                ),
            ),
            (
                "curtin/configs/config-002.cfg",
                format!(
                    "cloudconfig:\n  maas-cloud-config:\n    content: |\n      #cloud-config\n      \
                     datasource:\n        MAAS: {{{keys}, metadata_url: '{url}/MAAS/metadata/'}}\n  \
                     maas-reporting:\n    content: |\n      #cloud-config\n      reporting:\n        \
                     maas: {{type: webhook, endpoint: '{url}/MAAS/metadata/status/{id}', {keys}}}\n      \
                     manual_cache_clean: true\n\
                     late_commands:\n  maas: [wget, --no-proxy, '{url}/MAAS/metadata/latest/by-id/{id}/', \
                     --post-data, op=netboot_off, -O, /dev/null]\n"
                ),
            ),
        ])
    }
}

/// The storage section for a machine, of a layout that fits or does not.
pub(super) fn storage(state: &MachineState, size: &str) -> Value {
    let disk = hardware::disks(state).remove(0);
    json!({"storage": {"version": 1, "config": [
        {"id": "d", "type": "disk", "serial": disk.serial, "ptable": "gpt", "grub_device": true},
        {"id": "p", "type": "partition", "device": "d", "number": 1, "size": size},
        {"id": "f", "type": "format", "volume": "p", "fstype": "ext4"},
        {"id": "m", "type": "mount", "device": "f", "path": "/"},
    ]}})
}

fn scripts(status: Status) -> Vec<u8> {
    let (kind, folder, names): (_, _, &[&str]) = match status {
        Status::Deploying => ("deployment_scripts", "deployment", &["50-curtin-install"]),
        _ => (
            "commissioning_scripts",
            "commissioning",
            &[
                "20-maas-03-machine-resources",
                "30-maas-01-bmc-config",
                "50-maas-01-commissioning",
                "maas-lshw",
            ],
        ),
    };
    let mut list = String::new();
    for (number, name) in names.iter().enumerate() {
        let tags = if name.ends_with("bmc-config") { r#"["bmc-config"]"# } else { "[]" };
        let result = if status == Status::New { "null".to_owned() } else { number.to_string() };
        let comma = if number > 0 { "," } else { "" };
        write!(
            list,
            r#"{comma}{{"name":"{name}","path":"{folder}/{name}","script_result_id":{result},"timeout_seconds":60.0,"parallel":0,"hardware_type":0,"parameters":{{}},"packages":{{}},"tags":{tags}}}"#
        )
        .unwrap();
    }
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    };
    add("index.json", &format!(r#"{{"1.0":{{"{kind}":[{list}]}}}}"#));
    for name in names {
        add(&format!("{folder}/{name}"), "#!/bin/sh\n");
    }
    builder.into_inner().unwrap()
}
