//! `sstream mirror`, `check` and `repair`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use maas_simplestreams::fetch::RateLimit;
use maas_simplestreams::mirror::{Depth, Items, Mirror, MirrorOptions, Outcome, Plan};
use maas_simplestreams::repository::Source;
use maas_simplestreams::store::DiskWork;
use maas_simplestreams::trust::{MassRemoval, Rollback, TrustPolicy};
use maas_simplestreams::work::Retention;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::args::{self, Caution, Trust};
use crate::progress::Progress;
use crate::{Answer, open, say};

/// What `repair` needs to know of the last `mirror`.
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    source: String,
    path: Option<String>,
    keyrings: Vec<String>,
    fingerprints: Vec<String>,
    threshold: std::num::NonZeroUsize,
    allow_expired_keys: bool,
    no_verify: bool,
    max: Option<usize>,
    keep: bool,
    filters: Vec<String>,
    alternatives: Vec<String>,
    grace: u64,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    content_ids: Vec<String>,
    #[serde(default = "days_of_max_age")]
    max_age: u64,
    #[serde(default = "days_of_key_notice")]
    key_notice: u64,
}

fn days_of_max_age() -> u64 {
    14
}

fn days_of_key_notice() -> u64 {
    60
}

const SETTINGS: &str = "settings.json";

impl Settings {
    fn of(arguments: &args::Mirror) -> Result<Self, Box<dyn std::error::Error>> {
        let keyrings = arguments.trust.keyrings.iter().map(|name| {
            if name == "ubuntu-cloudimage" {
                return Ok(name.clone());
            }
            std::path::absolute(name).map(|path| path.display().to_string())
        });
        let source = if arguments.source.contains("://") {
            arguments.source.clone()
        } else {
            std::path::absolute(&arguments.source)?.display().to_string()
        };
        Ok(Self {
            source,
            path: arguments.path.clone(),
            keyrings: keyrings.collect::<Result<_, _>>()?,
            fingerprints: arguments.trust.fingerprints.clone(),
            threshold: arguments.trust.threshold,
            allow_expired_keys: arguments.trust.allow_expired_keys,
            no_verify: arguments.no_verify,
            max: arguments.max,
            keep: arguments.keep,
            filters: arguments.filters.iter().map(ToString::to_string).collect(),
            alternatives: arguments.alternatives.clone(),
            grace: arguments.grace,
            labels: arguments.caution.labels.clone(),
            content_ids: arguments.caution.content_ids.clone(),
            max_age: arguments.caution.max_age,
            key_notice: arguments.caution.key_notice,
        })
    }

    /// Written so that only the owner reads it: the URL may hold credentials.
    fn save(&self, mirror: &Mirror) -> Result<(), Box<dyn std::error::Error>> {
        use std::io::Write;
        let path = mirror.state_directory().join(SETTINGS);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(&serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }

    fn load(mirror: &Mirror) -> Result<Self, Box<dyn std::error::Error>> {
        let path = mirror.state_directory().join(SETTINGS);
        let text = std::fs::read(&path).map_err(|error| {
            format!("{} (was this made by `sstream mirror`?): {error}", path.display())
        })?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn trust(&self) -> Trust {
        Trust {
            keyrings: self.keyrings.clone(),
            fingerprints: self.fingerprints.clone(),
            threshold: self.threshold,
            allow_expired_keys: self.allow_expired_keys,
        }
    }

    fn policy(&self) -> Result<TrustPolicy, Box<dyn std::error::Error>> {
        open::policy(&Caution {
            max_age: self.max_age,
            key_notice: self.key_notice,
            content_ids: self.content_ids.clone(),
            labels: self.labels.clone(),
        })
    }

    fn source(&self, policy: TrustPolicy) -> Result<Source, Box<dyn std::error::Error>> {
        let url = open::source_url(&self.source, self.path.as_deref())?;
        Ok(open::source(url, &self.trust(), self.no_verify)?.policy(policy))
    }

    fn options(&self) -> Result<MirrorOptions, Box<dyn std::error::Error>> {
        let mut options = MirrorOptions::default();
        for filter in &self.filters {
            options.filters.push(filter.parse()?);
        }
        options.retention = match (self.max, self.keep) {
            (None, _) => Retention::AsSource,
            (Some(max), false) => Retention::Newest(max),
            (Some(max), true) => Retention::Keep(max),
        };
        for root in &self.alternatives {
            options.alternatives.push(open::source_url(root, None)?);
        }
        options.grace = Duration::from_secs(self.grace);
        Ok(options)
    }
}

pub(crate) async fn run(arguments: args::Mirror) -> Answer {
    let settings = Settings::of(&arguments)?;
    let mut policy = settings.policy()?;
    policy.removed_percent = arguments.removed_percent;
    if arguments.allow_rollback {
        policy.rollback = Rollback::Allow;
    }
    if arguments.allow_mass_removal {
        policy.mass_removal = MassRemoval::Allow;
    }
    let source = settings.source(policy)?;
    let mut options = settings.options()?;
    options.fetch.jobs = arguments.jobs;
    // The runtime does nothing else.
    options.fetch.disk_work = DiskWork::Inline;
    options.fetch.rate_limit = arguments.limit_rate.map(RateLimit::new);
    options.fetch.minimum_rate = arguments.minimum_rate;
    options.fetch.attempts = arguments.attempts.get();
    options.fetch.idle_timeout = Duration::from_secs(arguments.network.idle_timeout.get());
    options.space_margin = arguments.keep_free;
    if arguments.no_item_download {
        options.items = Items::Skip;
    }
    let transport = open::transport(&arguments.network)?;
    if arguments.dry_run {
        let destination = &arguments.destination;
        let plan = Mirror::plan_for(destination, source, transport, &options, open::now()).await?;
        show_plan(&plan, arguments.output.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut mirror = Mirror::open(&arguments.destination).await?;
    settings.save(&mirror)?;
    let progress = Progress::new(arguments.output.json);
    let outcome = mirror.sync(source, transport, &options, &progress, open::now()).await;
    drop(progress);
    finish(outcome?, arguments.output.json)
}

fn show_plan(plan: &Plan, as_json: bool) -> std::io::Result<()> {
    if as_json {
        let added: Vec<_> = plan.added.iter().map(|version| version.pedigree.0.clone()).collect();
        let removed: Vec<_> =
            plan.removed.iter().map(|version| version.pedigree.0.clone()).collect();
        let paths: Vec<_> = plan.paths().iter().map(ToString::to_string).collect();
        say!(
            "{}",
            json!({"added": added, "removed": removed, "bytes": plan.bytes(), "paths": paths})
        );
        return Ok(());
    }
    for version in &plan.added {
        say!("+ {}", version.pedigree);
    }
    for version in &plan.removed {
        say!("- {}", version.pedigree);
    }
    say!("{} bytes to fetch", plan.bytes());
    Ok(())
}

fn finish(outcome: Outcome, as_json: bool) -> Answer {
    for alarm in &outcome.alarms {
        eprintln!("sstream: warning: {alarm}");
    }
    for problem in &outcome.problems {
        eprintln!("sstream: warning: left out {problem}");
    }
    if as_json {
        let alarms: Vec<_> = outcome.alarms.iter().map(ToString::to_string).collect();
        let problems: Vec<_> = outcome.problems.iter().map(ToString::to_string).collect();
        say!(
            "{}",
            json!({"event": "done", "added": outcome.added, "removed": outcome.removed,
            "bytes": outcome.bytes, "published": outcome.published, "deleted": outcome.deleted,
            "skipped": outcome.skipped, "alarms": alarms,
            "problems": problems})
        );
    } else {
        say!(
            "{} versions added, {} removed, {} bytes fetched, {} documents published, {} files deleted",
            outcome.added,
            outcome.removed,
            outcome.bytes,
            outcome.published,
            outcome.deleted
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a mirror that must be there.
pub(crate) async fn existing(path: &Path) -> Result<Mirror, Box<dyn std::error::Error>> {
    if !path.join(maas_simplestreams::mirror::STATE_DIRECTORY).is_dir() {
        return Err(format!("`{}` is no mirror", path.display()).into());
    }
    Ok(Mirror::open(path).await?)
}

pub(crate) async fn check(arguments: args::Check) -> Answer {
    let mirror = existing(&arguments.destination).await?;
    let depth = if arguments.sizes { Depth::Sizes } else { Depth::Contents };
    let damages = mirror.check(depth).await?;
    for damage in &damages {
        if arguments.output.json {
            say!("{}", json!({"path": damage.path.as_str(), "damage": damage.kind.to_string()}));
        } else {
            say!("{damage}");
        }
    }
    Ok(if damages.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn repair(arguments: args::Repair) -> Answer {
    let mut mirror = existing(&arguments.destination).await?;
    let settings = Settings::load(&mirror)?;
    let source = settings.source(settings.policy()?)?;
    let progress = Progress::new(arguments.output.json);
    let outcome = mirror
        .repair(
            source,
            open::transport(&arguments.network)?,
            &settings.options()?,
            &progress,
            open::now(),
        )
        .await;
    drop(progress);
    finish(outcome?, arguments.output.json)
}
