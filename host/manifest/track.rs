//! `[track]`: where a run is shown while it works.

use serde::Deserialize;

use super::Places;
use crate::{Error, Result};

/// `[track]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackTable {
    /// The address of an MLflow server, `http://HOST:PORT` or `https://HOST`. A run never waits for it, and never fails because of it.
    pub mlflow: String,
    /// The experiment that the run is filed under.
    #[serde(default = "experiment")]
    pub experiment: String,
}

fn experiment() -> String {
    "so8t".to_owned()
}

/// Checks the address.
pub(super) fn check(table: &TrackTable, places: &Places) -> Result<()> {
    so8t_track::Mlflow::new(&table.mlflow, &table.experiment)
        .map(drop)
        .map_err(|error| error.context(format!("{}: `track.mlflow`", places.place(&["track", "mlflow"]))))?;
    match table.experiment.trim().is_empty() {
        true => Err(Error::manifest(format!(
            "{}: `track.experiment`: expected a name",
            places.place(&["track", "experiment"])
        ))),
        false => Ok(()),
    }
}
