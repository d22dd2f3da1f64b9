//! The region's runner in the ephemeral system: enlists, fetches scripts, runs and reports them.

mod bundle;
mod form;
mod script;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use self::bundle::{Bundle, Kind, Script};
use self::form::Form;
use self::script::Output;
use super::boot::Boot;
use super::client::{Agent, Request};
use super::cloud_init::{CloudConfig, Scripts};
use super::curtin;
use super::ephemeral::LoadedRoot;
use super::error::Stuck;
use super::event::Stage;
use super::fault::FaultKind;
use super::machine::Datasource;
use super::metadata::{Dialect, Signed};

/// Seconds before each further try of a request.
const PAUSES: [f64; 7] = [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
/// Real time at every pace: it tells the region that the machine is alive.
const HEARTBEAT: Duration = Duration::from_secs(120);

/// Runs the runner with what the preseed says.
pub(crate) async fn run(boot: &Boot, config: &CloudConfig, root: &LoadedRoot) -> Scripts {
    let Some(datasource) = config.datasource.clone() else { return Scripts::Failed };
    match Runner::run(boot, datasource, root).await {
        Ok(scripts) => scripts,
        Err(stuck) => {
            boot.tell(Stage::Problem, format!("the runner stops: {stuck}")).await;
            Scripts::Failed
        }
    }
}

/// Runs a packed curtin that came as user data, as until MAAS 3.6.
pub(crate) async fn old_style_install(boot: &Boot, body: &[u8], root: &LoadedRoot) -> Scripts {
    match curtin::install(boot, body, root).await {
        curtin::Installation::Succeeded(_) => Scripts::Succeeded,
        curtin::Installation::Failed { .. } => Scripts::Failed,
        curtin::Installation::PowerFailed => Scripts::PowerFailed,
    }
}

struct Runner<'a> {
    boot: &'a Boot,
    root: &'a LoadedRoot,
    signed: Signed<'a>,
    base: String,
    metadata_url: String,
}

/// A script that has run.
struct Ran {
    script: Script,
    output: Output,
}

impl Ran {
    fn passed(&self) -> bool {
        self.output.exit_status == 0
    }
}

impl<'a> Runner<'a> {
    fn new(boot: &'a Boot, datasource: Datasource, root: &'a LoadedRoot) -> Self {
        let keys = datasource.credentials;
        Self {
            boot,
            root,
            signed: Signed::new(boot.wire(), boot.pace, keys, Dialect::Quoted),
            base: format!("{}/2012-03-01/", datasource.metadata_url.trim_end_matches('/')),
            metadata_url: datasource.metadata_url,
        }
    }

    async fn run(
        boot: &'a Boot,
        datasource: Datasource,
        root: &'a LoadedRoot,
    ) -> Result<Scripts, Stuck> {
        let mut runner = Self::new(boot, datasource, root);
        let mut earlier = Vec::new();
        if runner.signed.credentials.is_none() {
            match runner.enlist().await? {
                Some((known, ran)) => {
                    runner = known;
                    earlier = ran;
                }
                None => return Ok(Scripts::Succeeded),
            }
        }
        let heartbeat = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let form = Form::signal("WORKING", "Elapsed time (real): 0:02:00");
                if let Err(stuck) = runner.post(form).await {
                    boot.tell(Stage::Problem, format!("heartbeat: {stuck}")).await;
                }
            }
        };
        tokio::select! {
            ended = runner.follow(earlier) => ended,
            () = heartbeat => Ok(Scripts::Failed),
        }
    }

    /// `http://host:port`.
    fn origin(&self) -> Result<String, Stuck> {
        let url = reqwest::Url::parse(&self.metadata_url)
            .map_err(|_| Stuck(format!("metadata_url {:?} is not a URL", self.metadata_url)))?;
        Ok(url.origin().ascii_serialization())
    }

    /// Makes an unknown machine known; `None` when it is known already.
    async fn enlist(&self) -> Result<Option<(Self, Vec<Ran>)>, Stuck> {
        let boot = self.boot;
        let origin = self.origin()?;
        let macs = boot.machine.read(|state| state.macs.clone());
        let macs = macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("op", "is_registered")
            .append_pair("mac_address", &macs)
            .finish();
        let api = format!("{origin}/MAAS/api/2.0/machines/");
        let url = format!("{api}?{query}");
        let reply = self.request(&|| Request::get(Agent::Runner, &url)).await?;
        if reply.trim() == "true" {
            boot.tell(Stage::Enlisted, "known to the region already").await;
            return Ok(None);
        }
        let scripts = match self.bundle().await? {
            Some(mut bundle) => bundle.take(Kind::Commissioning),
            None => Vec::new(),
        };
        let commission =
            scripts.is_empty() || scripts.iter().any(|script| !script.has_tag("bmc-config"));
        let mut ran = Vec::new();
        let serial: Vec<Script> = scripts.into_iter().filter(|s| s.parallel == 0).collect();
        let failing = self.failing(&serial);
        for (number, script) in serial.into_iter().enumerate() {
            let output = self.execute(&script, failing == Some(number)).await;
            ran.push(Ran { script, output });
        }
        let found = ran.iter().find_map(|ran| ran.output.power.clone());
        let mut form: Vec<(&str, String)> = vec![
            ("architecture", "amd64".to_owned()),
            ("mac_addresses", macs),
            ("commission", if commission { "True" } else { "False" }.to_owned()),
        ];
        // Without a script that looks for the BMC nothing would ever switch the machine.
        let power = found.unwrap_or_else(|| self.power_parameters());
        form.push(("power_type", "webhook".to_owned()));
        form.push(("power_parameters", power.to_string()));
        let mut machine = self.create(&api, &form).await?;
        if boot.strikes(FaultKind::EnlistTwice) {
            boot.tell(Stage::Fault, FaultKind::EnlistTwice.name()).await;
            machine = self.create(&api, &form).await?;
        }
        let id = machine["system_id"]
            .as_str()
            .ok_or_else(|| Stuck("the enlisted machine has no system_id".to_owned()))?;
        boot.learn_system_id(id);
        boot.tell(Stage::Enlisted, format!("as {id}")).await;
        let url = format!("{origin}/MAAS/metadata/latest/by-id/{id}/?op=get_preseed");
        let preseed = self.request(&|| Request::get(Agent::Runner, &url)).await?;
        let datasource = CloudConfig::parse(&preseed)
            .map_err(|reason| Stuck(format!("{url}: {reason}")))?
            .datasource
            .filter(|datasource| datasource.credentials.is_some())
            .ok_or_else(|| Stuck(format!("{url} gives no credentials")))?;
        Ok(commission.then(|| (Self::new(boot, datasource, self.root), ran)))
    }

    /// The webhook that stands for this machine's BMC.
    fn power_parameters(&self) -> Value {
        let machine = format!("{}/machines/{}", self.boot.shared.power_url, self.boot.mac);
        json!({
            "power_on_uri": format!("{machine}/on"),
            "power_off_uri": format!("{machine}/off"),
            "power_query_uri": machine,
            "power_on_regex": r"status.*\:.*running",
            "power_off_regex": r"status.*\:.*stopped",
            "power_verify_ssl": "n",
        })
    }

    async fn create(&self, api: &str, form: &[(&str, String)]) -> Result<Value, Stuck> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let reply = self
            .request(&|| {
                Request::post(Agent::Runner, api, body.clone().into_bytes())
                    .content_type("application/x-www-form-urlencoded")
            })
            .await?;
        serde_json::from_str(&reply)
            .map_err(|error| Stuck(format!("the enlisted machine is not JSON: {error}")))
    }

    async fn request<'r>(
        &self,
        request: &(dyn Fn() -> Request<'r> + Sync),
    ) -> Result<String, Stuck> {
        Ok(self.signed.send_patiently(&PAUSES, request).await?.text())
    }

    async fn bundle(&self) -> Result<Option<Bundle>, Stuck> {
        let url = format!("{}maas-scripts", self.base);
        let reply =
            self.signed.send_patiently(&PAUSES, &|| Request::get(Agent::Runner, &url)).await?;
        if reply.status == 204 || reply.body.is_empty() {
            return Ok(None);
        }
        Bundle::read(&reply.body).map(Some).map_err(|reason| Stuck(format!("{url}: {reason}")))
    }

    /// Runs what the region has for this machine until there is nothing more.
    async fn follow(&self, mut earlier: Vec<Ran>) -> Result<Scripts, Stuck> {
        let mut bundle = if earlier.is_empty() { self.bundle().await? } else { None };
        let mut announced = None;
        if bundle.is_none() {
            self.signal("COMMISSIONING", "Commissioning begins").await?;
            announced = Some(Kind::Commissioning).filter(|_| !earlier.is_empty());
            bundle = self.bundle().await?;
        }
        let mut done = BTreeSet::new();
        for ran in &mut earlier {
            let known = bundle.as_ref().and_then(|bundle| bundle.find(&ran.script.name));
            if let Some(known) = known {
                ran.script.script_result_id = known.script_result_id;
                ran.script.script_version_id = known.script_version_id;
                done.insert(ran.script.key());
            }
            self.report(ran).await?;
        }
        let failed = earlier.iter().filter(|ran| !ran.passed()).count();
        if failed > 0 {
            return self.failed(Kind::Commissioning, failed).await;
        }
        while let Some(mut current) = bundle {
            let next = Kind::ALL.into_iter().find_map(|kind| {
                let mut scripts = current.take(kind);
                scripts.retain(|script| !script.has_finished && !done.contains(&script.key()));
                (!scripts.is_empty()).then_some((kind, scripts))
            });
            let Some((kind, scripts)) = next else { break };
            if announced != Some(kind) {
                let said = format!("Running {} {} scripts", scripts.len(), kind.folder());
                self.signal(kind.status(), &said).await?;
                announced = Some(kind);
            }
            let failing = if kind == Kind::Commissioning { self.failing(&scripts) } else { None };
            let mut failed = 0;
            for (number, script) in scripts.into_iter().enumerate() {
                done.insert(script.key());
                self.tell_start(&script).await?;
                let output = self.execute(&script, failing == Some(number)).await;
                if output.power_failed {
                    return Ok(Scripts::PowerFailed);
                }
                let ran = Ran { script, output };
                self.report(&ran).await?;
                failed += usize::from(!ran.passed());
            }
            if failed > 0 {
                return self.failed(kind, failed).await;
            }
            // What was found may call for further scripts.
            bundle = self.bundle().await?;
        }
        self.signal("OK", "All scripts successfully ran").await?;
        Ok(Scripts::Succeeded)
    }

    async fn failed(&self, kind: Kind, count: usize) -> Result<Scripts, Stuck> {
        let said = format!("{count} {} scripts failed to run", kind.folder());
        self.signal("FAILED", &said).await?;
        Ok(Scripts::Failed)
    }

    /// Which script the fault strikes.
    fn failing(&self, scripts: &[Script]) -> Option<usize> {
        let count = scripts.len().checked_sub(1)?;
        self.boot.strikes(FaultKind::CommissioningFails).then_some(count / 2)
    }

    async fn execute(&self, script: &Script, fault: bool) -> Output {
        self.boot.pace.work(2.0).await;
        let output = if fault {
            self.boot.tell(Stage::Fault, FaultKind::CommissioningFails.name()).await;
            Output::failed(1, "the simulated hardware does not answer")
        } else if script.has_tag("bmc-config") || script.name.ends_with("bmc-config") {
            Output {
                power: Some(self.power_parameters()),
                ..Output::said("INFO: found a webhook BMC")
            }
        } else if script.name == "50-curtin-install" || script.mentions("curtin-installer") {
            self.install().await
        } else {
            script::run(self.boot, script).await
        };
        let status = output.exit_status;
        self.boot.tell(Stage::Script, format!("{} exits with {status}", script.name)).await;
        output
    }

    async fn install(&self) -> Output {
        let url = format!("{}curtin-installer", self.base);
        let keys = self.signed.credentials.clone();
        let signed = Signed::new(self.boot.wire(), self.boot.pace, keys, Dialect::Unquoted);
        let reply = signed.send_patiently(&PAUSES, &|| Request::get(Agent::Wget, &url)).await;
        let installer = match reply {
            Ok(reply) => reply.body,
            Err(error) => return Output::failed(1, &error.to_string()),
        };
        match curtin::install(self.boot, &installer, self.root).await {
            curtin::Installation::Succeeded(log) => Output::said(&log),
            curtin::Installation::Failed { log, reason } => {
                Output::failed(3, &format!("{log}{reason}"))
            }
            curtin::Installation::PowerFailed => {
                Output { power_failed: true, ..Output::failed(1, "the power failed") }
            }
        }
    }

    async fn tell_start(&self, script: &Script) -> Result<(), Stuck> {
        if script.needs_packages() {
            let said = format!("Installing dependencies of {}", script.name);
            self.post(Form::signal("INSTALLING", &said).script(script)).await?;
        }
        let said = format!("Starting {}", script.name);
        self.post(Form::signal("WORKING", &said).script(script)).await
    }

    async fn report(&self, ran: &Ran) -> Result<(), Stuck> {
        let (script, output) = (&ran.script, &ran.output);
        let said = format!("Finished {}: {}", script.name, output.exit_status);
        let mut form = Form::signal("WORKING", &said)
            .script(script)
            .field("exit_status", &output.exit_status.to_string())
            .field("runtime", &format!("{:.3}", output.runtime));
        if let Some(power) = &output.power {
            form =
                form.field("power_type", "webhook").field("power_parameters", &power.to_string());
        }
        let combined = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let form = form
            .file(&script.name, &combined)
            .file(&format!("{}.out", script.name), &output.stdout)
            .file(&format!("{}.err", script.name), &output.stderr);
        let form = match &output.result {
            Some(result) => form.file(&format!("{}.yaml", script.name), result.as_bytes()),
            None => form,
        };
        self.post(form).await
    }

    async fn signal(&self, status: &str, error: &str) -> Result<(), Stuck> {
        self.boot.tell(Stage::Signal, format!("{status}: {error}")).await;
        self.post(Form::signal(status, error)).await
    }

    async fn post(&self, form: Form) -> Result<(), Stuck> {
        let (content_type, body) = form.finish();
        let reply = self
            .signed
            .send_patiently(&PAUSES, &|| {
                Request::post(Agent::Runner, &self.base, body.clone()).content_type(&content_type)
            })
            .await?;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(Stuck(format!("a signal was answered with {} instead of 200", reply.status)))
        }
    }
}
