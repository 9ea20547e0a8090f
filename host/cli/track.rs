//! `so8t track`, and the process that shows a run in MLflow while it works.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use so8t_track::{Artefact, FinishedRun, Following, Mlflow, follow as follow_run, tensorboard};

use super::{print, print_json, tell};
use crate::manifest::ManifestFile;
use crate::pipeline::Settings;
use crate::report::{Report, html};
use crate::{Error, Result, files, plain};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folders of runs
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The address of an MLflow server
    #[arg(long, value_name = "URL", required_unless_present = "tensorboard")]
    mlflow: Option<String>,
    /// The experiment that runs are filed under
    #[arg(long, default_value = "so8t", value_name = "NAME")]
    experiment: String,
    /// Make what was trained a version of the registered model of this name
    #[arg(long, value_name = "NAME", requires = "mlflow")]
    register: Option<String>,
    /// A folder for TensorBoard's event files
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Send the texts of requests, of the policy and of the template too
    #[arg(long)]
    with_texts: bool,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Follow one run until standard input ends
    #[arg(long, hide = true, requires = "mlflow")]
    follow: bool,
}

pub(super) fn track(arguments: &Arguments) -> Result<()> {
    let mlflow = arguments.mlflow.as_deref().map(|url| Mlflow::new(url, &arguments.experiment)).transpose()?;
    if let (true, Some(mlflow), [folder]) = (arguments.follow, &mlflow, arguments.runs.as_slice()) {
        return follower(folder, mlflow, arguments);
    }
    // Nothing is sent where one of them cannot be read.
    let runs: Vec<FinishedRun> =
        arguments.runs.iter().map(|folder| FinishedRun::read(folder)).collect::<Result<_>>()?;
    let mut results = Vec::new();
    for run in &runs {
        let mut result = json!({ "run": run.folder, "digest": run.digest });
        if let Some(mlflow) = &mlflow {
            let pushed =
                mlflow.push(run, &artefacts(run, arguments)?, arguments.register.as_deref(), arguments.with_texts)?;
            mlflow.clear_followed(&run.folder)?;
            pushed.notes.iter().for_each(|note| tell(format_args!("warning: {note}")));
            let what = if pushed.was_there { "was there already" } else { "sent" };
            if !arguments.json {
                let version =
                    pushed.version.as_ref().map_or_else(String::new, |version| format!(", version {version}"));
                print(&format!(
                    "{}  {what} as {}, {} values{version}\n",
                    run.folder.display(),
                    pushed.run_id,
                    pushed.metrics
                ))?;
            }
            result["mlflow"] = json!({ "run_id": pushed.run_id, "was_there": pushed.was_there, "values": pushed.metrics, "version": pushed.version });
        }
        if let Some(folder) = &arguments.tensorboard {
            let file = tensorboard::write(run, folder)?;
            if !arguments.json {
                print(&format!("{}\n", file.display()))?;
            }
            result["tensorboard"] = json!(file);
        }
        results.push(result);
    }
    match arguments.json {
        true => print_json(&json!({ "schema": "so8t.tracked/1", "runs": results })),
        false => Ok(()),
    }
}

/// The files that are sent along. Without texts the page is made of `report.json`, which holds none.
fn artefacts(run: &FinishedRun, arguments: &Arguments) -> Result<Vec<Artefact>> {
    let mut names = vec![
        "report.json",
        "report.md",
        "predictions_before.parquet",
        "predictions_after.parquet",
        "so8t.lock",
        "training.json",
        "calibration.json",
    ];
    if arguments.with_texts {
        names.extend(["report.html", "so8t.toml"]);
    }
    if arguments.register.is_some() {
        names.extend(run.trained_files());
    }
    let own = |name: &&str| Ok(Artefact { path: (*name).to_owned(), bytes: run.file(name)? });
    let mut all: Vec<Artefact> =
        names.iter().filter(|name| run.files.contains_key(**name)).map(own).collect::<Result<_>>()?;
    if !arguments.with_texts {
        let report: Report = serde_json::from_slice(&run.file("report.json")?)
            .map_err(|e| Error::data(format!("`report.json`: {e}")))?;
        all.push(Artefact {
            path: "report.html".to_owned(),
            bytes: plain::spelled(&html::page(&report)).as_bytes().to_vec(),
        });
    }
    Ok(all)
}

/// A process that follows a run; it ends by itself after the run, whether that ended or was killed.
pub(super) struct Follower(#[expect(dead_code, reason = "its standard input ends with this process")] Child);

/// Starts a process that shows the run while it works, where the manifest asks for it. The run goes on without it where it cannot be started.
pub(super) fn follow(manifest: &ManifestFile, settings: &Settings) -> Result<Option<Follower>> {
    let Some(table) = &manifest.manifest.track else { return Ok(None) };
    let folder = match &settings.output {
        Some(folder) => folder.clone(),
        None => manifest.resolve()?.output,
    };
    let start = || -> std::io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("track").arg(std::path::absolute(folder)?).args([
            "--mlflow",
            &table.mlflow,
            "--experiment",
            &table.experiment,
            "--follow",
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for the run: what it leaves is still to be sent.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    };
    match start() {
        Ok(child) => Ok(Some(Follower(child))),
        Err(error) => {
            tell(format_args!("warning: the run is not shown in MLflow while it works: {error}"));
            Ok(None)
        }
    }
}

/// How often the finished run is sent, where the server does not answer.
const TRIES: u32 = 6;

fn follower(folder: &Path, mlflow: &Mlflow, arguments: &Arguments) -> Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    std::thread::spawn(move || {
        // It ends with the process that holds the other end, however that ends.
        let mut rest = Vec::new();
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        flag.store(true, Ordering::SeqCst);
    });
    // What an earlier run left there sealed is not this one's.
    let before = files::sha256_file(&folder.join("SHA256SUMS")).ok();
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut following = Following::new(folder, &name);
    let sealed = follow_run(&mut following, mlflow, Duration::from_secs(1), || !ended.load(Ordering::SeqCst));
    let is_new = sealed && files::sha256_file(&folder.join("SHA256SUMS")).ok() != before;
    if !is_new {
        return following.end(mlflow, "KILLED");
    }
    let run = FinishedRun::read(folder)?;
    let artefacts = artefacts(&run, arguments)?;
    for attempt in 0..TRIES {
        let sent = mlflow
            .push(&run, &artefacts, arguments.register.as_deref(), arguments.with_texts)
            .and_then(|_| mlflow.clear_followed(folder));
        match sent {
            Ok(_) => return Ok(()),
            Err(error) if attempt + 1 == TRIES => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_secs(1 << attempt)),
        }
    }
    Ok(())
}
