//! What `eval` measures, and where its results go: never over the report of a finished run.

use std::path::{Path, PathBuf};

use super::decide::{hold_deciding, trained_in};
use super::model::session::Learner;
use super::settings::Settings;
use super::train::artifact::Trained;
use super::verify::checksums;
use crate::manifest::ManifestFile;
use crate::report::Report;
use crate::train::peft;
use crate::{Error, Result, files};

/// Which model is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// What the manifest's run trained, where it is finished, else the base model.
    #[default]
    Latest,
    /// The base model.
    Base,
    /// The base model with the adapter in a folder, in PEFT's format.
    Adapter(PathBuf),
}

/// What is measured, and where the results go.
pub(super) struct Target {
    /// What was trained; the base model where absent.
    pub(super) trained: Option<Trained>,
    /// The folder of the results, where it is not the run's.
    pub(super) output: Option<PathBuf>,
    /// What a reader must know of what is measured.
    pub(super) note: Option<String>,
}

impl Target {
    /// Finds it.
    ///
    /// # Errors
    /// An adapter that is not there, or what a run trained and is no longer as it was.
    pub(super) fn find(manifest: &ManifestFile, settings: &Settings, measure: &Measure) -> Result<Self> {
        let plan = manifest.resolve()?;
        let folder = settings.output.clone().unwrap_or_else(|| plan.output.clone());
        let own = is_finished_run(&folder);
        let home =
            if own { Some(folder.clone()) } else { Some(plan.output.clone()).filter(|home| is_finished_run(home)) };
        let mut note = None;
        let trained = match measure {
            Measure::Base => None,
            Measure::Adapter(folder) => {
                check_adapter(folder)?;
                Some(Trained::Adapter(folder.clone()))
            }
            Measure::Latest => match &home {
                Some(home) => {
                    let seal = checksums::read(home)?;
                    let trained = trained_in(home, &seal);
                    if trained.is_some() {
                        hold_deciding(home, &seal)?;
                        note = stale(home, manifest)?;
                    }
                    trained
                }
                None => None,
            },
        };
        let ending = match (measure, &trained) {
            (Measure::Adapter(_), _) => "eval-adapter",
            (_, Some(_)) => "eval",
            (_, None) => "eval-base",
        };
        let output = own.then(|| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            folder.with_file_name(format!("{name}-{ending}"))
        });
        Ok(Self { trained, output, note })
    }
}

/// What is measured, in words.
pub(super) fn words(learner: &Learner, before: bool, trained: Option<&Trained>) -> String {
    let base = format!("the base model `{}`", learner.files.name);
    match (before, trained) {
        (_, None) => base,
        (true, Some(trained)) => format!("{base}, and what was trained: `{}`", trained.folder().display()),
        (false, Some(trained)) => format!("what was trained: `{}`, on {base}", trained.folder().display()),
    }
}

/// Whether a folder holds a run that ended in a report.
fn is_finished_run(folder: &Path) -> bool {
    folder.join(checksums::FILE).is_file()
        && Report::read(&folder.join("report.json")).is_ok_and(|report| report.run.command == "run")
}

/// What to say where a manifest is no longer the one with which a run trained.
fn stale(home: &Path, manifest: &ManifestFile) -> Result<Option<String>> {
    let own = files::read_text(&home.join("so8t.toml"))?;
    Ok((own != manifest.text).then(|| {
        format!(
            "`{}` has changed since the run in `{}`: rows that it was trained on may be among those measured now",
            manifest.path.display(),
            home.display()
        )
    }))
}

/// Refuses a folder that holds no adapter, before any work is done.
fn check_adapter(folder: &Path) -> Result<()> {
    let lacking = [peft::SETTINGS, peft::TENSORS].into_iter().find(|name| !folder.join(name).is_file());
    match lacking {
        None => Ok(()),
        Some(name) => Err(Error::manifest(format!(
            "`--adapter {}`: expected a folder with `{}` and `{}`, found no `{name}`",
            folder.display(),
            peft::SETTINGS,
            peft::TENSORS
        ))
        .with_hint("the adapter of a finished run is the folder `adapter` in the run's folder")),
    }
}
