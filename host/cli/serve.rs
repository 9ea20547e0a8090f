//! `so8t serve` and `so8t key`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::bundle::Opening;
use super::{print, tell};
use crate::audit::{Keys, Log, Writer};
use crate::pipeline::Narrator;
use crate::plugin::Policy;
use crate::serve::{Access, ApiKey, Auditor, Checked, Decide, Options, Scope, Server, Tls, run as run_server};
use crate::service::Service;
use crate::{Error, Result};

/// How many stored decisions a run is held against before it is served.
const STORED: usize = 50;
/// What a probability may differ by from the stored one, as in `so8t verify`: processors round differently.
const TOLERANCE: f32 = 0.01;

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of a finished run, or a bundle of it
    run: PathBuf,
    /// Where to listen; another address than this machine's own needs `--keys`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder of the audit log; without an entry in it nothing is answered
    #[arg(long, value_name = "DIR")]
    audit: PathBuf,
    /// The folder of the log's keys, instead of `AUDIT.keys`; best on another file system
    #[arg(long, value_name = "DIR")]
    audit_keys: Option<PathBuf>,
    /// The log's name in its checkpoints, instead of `so8t/` and the run's name
    #[arg(long, value_name = "NAME")]
    audit_name: Option<String>,
    /// After so many days the keyed hashes of requests are made with a new key
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    rotate_days: u64,
    /// Keep the texts of requests that name a subject, sealed under a key of the subject
    #[arg(long)]
    seal: bool,
    /// A file of keys, see `so8t key`; without it everybody who reaches the server may ask
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Listen without keys at an address that others reach
    #[arg(long, conflicts_with = "keys")]
    no_keys: bool,
    /// A chain of certificates in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// How many seconds a request may take, instead of what the manifest says
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
    /// The label that stands for a decision that takes longer, instead of what the manifest says
    #[arg(long, value_name = "LABEL")]
    on_timeout: Option<String>,
    /// How many texts may wait or be decided at once, instead of what the manifest says
    #[arg(long, value_name = "N")]
    queue: Option<usize>,
    /// The most bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_body: usize,
    /// The most open connections
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_connections: usize,
    /// Where the run's manifest lies, if it is no longer where it was
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The adapter that was evaluated, where it does not lie in the run's folder
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    opening: Opening,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

/// The folder of a log's keys, where none is named.
pub(super) fn keys_folder(audit: &Path, named: Option<&Path>) -> PathBuf {
    named.map_or_else(
        || {
            let mut name = audit.file_name().unwrap_or_default().to_os_string();
            name.push(".keys");
            audit.with_file_name(name)
        },
        Path::to_owned,
    )
}

pub(super) fn serve(arguments: &Arguments, policy: Policy) -> Result<()> {
    let narrator = Narrator::new(arguments.quiet);
    let access = match &arguments.keys {
        Some(path) => Access::read(path)?,
        None if arguments.listen.ip().is_loopback() || arguments.no_keys => Access::open(),
        None => {
            return Err(Error::manifest(format!(
                "`--listen {}` is reached by others: expected `--keys FILE`",
                arguments.listen
            ))
            .with_hint("`so8t key FILE --name NAME` makes a key; `--no-keys` lets everybody ask"));
        }
    };
    let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
        _ => None,
    };
    let service = open(arguments, &policy, narrator)?;
    let options = options(arguments, &service)?;
    options.check(service.about())?;
    narrator.say(held(&service.check(STORED)?)?);

    let keys = Keys::open(
        &keys_folder(&arguments.audit, arguments.audit_keys.as_deref()),
        Duration::from_secs(arguments.rotate_days.max(1) * 86_400),
    )?;
    let name = arguments.audit_name.clone().unwrap_or_else(|| origin(&service.about().name));
    let log = Log::open(&arguments.audit, keys.signer(&name)?)?;
    if log.cut() > 0 {
        narrator.warn(format!(
            "{} bytes at the end of the audit log were never answered: cut off, and kept in `cut`",
            log.cut()
        ));
    }
    narrator.say(format!("audit    {} entries in `{}`", log.size(), arguments.audit.display()));
    let auditor = Auditor { sink: Box::new(Writer::start(log)?), keys, folder: arguments.audit.clone() };
    let server = Server::new(Arc::new(service), auditor, access, options)?;
    let again = Arguments::again(arguments);
    let load = Box::new(move || open(&again, &policy, narrator).map(|service| Arc::new(service) as Arc<dyn Decide>));
    let scheme = if tls.is_some() { "https" } else { "http" };
    run_server(server, arguments.listen, tls, load, |address| {
        tell(format!("listening on {scheme}://{address}"));
    })
}

impl Arguments {
    /// What opens the run a second time.
    fn again(&self) -> Self {
        Self {
            run: self.run.clone(),
            audit: self.audit.clone(),
            audit_keys: None,
            audit_name: None,
            keys: None,
            tls_certificate: None,
            tls_key: None,
            on_timeout: None,
            manifest: self.manifest.clone(),
            adapter: self.adapter.clone(),
            opening: self.opening.clone(),
            ..*self
        }
    }
}

fn open(arguments: &Arguments, policy: &Policy, narrator: Narrator) -> Result<Service> {
    let (manifest, adapter) = (arguments.manifest.as_deref(), arguments.adapter.as_deref());
    Service::open(&arguments.opening.place(&arguments.run, manifest, adapter, policy)?, policy, narrator)
}

/// What the manifest says, and what the command line says instead.
fn options(arguments: &Arguments, service: &Service) -> Result<Options> {
    let plan = service.plan();
    let deadline = arguments.deadline.unwrap_or(plan.deadline);
    if !(deadline > 0.0 && deadline <= 3600.0) {
        return Err(Error::manifest(format!(
            "`--deadline`: expected seconds above 0 and up to 3600, found `{deadline}`"
        )));
    }
    let queue = arguments.queue.unwrap_or(plan.queue);
    Ok(Options {
        deadline: Duration::from_secs_f64(deadline),
        on_timeout: arguments.on_timeout.clone().or_else(|| plan.on_timeout.clone()),
        queue,
        max_texts: if arguments.queue.is_some() { plan.max_texts.min(queue) } else { plan.max_texts },
        max_body: arguments.max_body,
        max_connections: arguments.max_connections,
        categories: plan.categories.clone(),
        seal: arguments.seal,
        ..Options::default()
    })
}

/// What comes of a check against stored decisions, as a line.
///
/// # Errors
/// Decisions that differ, or probabilities that differ by more than processors do.
fn held(checked: &Checked) -> Result<String> {
    if checked.decisions > 0 || checked.largest_difference > TOLERANCE {
        return Err(Error::data(format!(
            "the run does not decide as it was measured: {} of {} stored decisions differ, probabilities by up to {:e}",
            checked.decisions, checked.rows, checked.largest_difference
        )));
    }
    Ok(match checked.bits {
        0 => format!("checked  {} stored decisions, the same to the last bit", checked.rows),
        bits => format!(
            "checked  {} stored decisions, the same; probabilities of {bits} differ by up to {:e}, as between processors",
            checked.rows, checked.largest_difference
        ),
    })
}

/// A log's name of a run's.
fn origin(run: &str) -> String {
    let plain = |c: char| if c.is_whitespace() || c.is_control() || c == '+' { '-' } else { c };
    format!("so8t/{}", run.chars().map(plain).collect::<String>())
}

#[derive(Args)]
pub(super) struct KeyArguments {
    /// The file of keys, which is made where there is none
    file: PathBuf,
    /// The key's name in the audit log
    #[arg(long)]
    name: String,
    /// What it is for: `decide`, `think`, `metrics`; may be given several times. Without it `decide`
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// The most texts a second
    #[arg(long)]
    rate: Option<f64>,
}

fn scope(text: &str) -> std::result::Result<Scope, String> {
    match text {
        "decide" => Ok(Scope::Decide),
        "think" => Ok(Scope::Think),
        "metrics" => Ok(Scope::Metrics),
        _ => Err("expected `decide`, `think` or `metrics`".to_owned()),
    }
}

pub(super) fn key(arguments: &KeyArguments) -> Result<()> {
    let scopes = if arguments.scopes.is_empty() { vec![Scope::Decide] } else { arguments.scopes.clone() };
    let (key, own) = ApiKey::generate(&arguments.name, scopes, arguments.rate)?;
    Access::add(&arguments.file, own)?;
    tell("the key is shown this once; the file holds its digest alone");
    print(&format!("{key}\n"))
}
