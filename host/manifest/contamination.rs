//! `[contamination]`: what to do about evaluation requests that training holds too.

use serde::Deserialize;
use toml::Spanned;

use super::places::At;
use crate::Result;
use crate::data::{ContaminationPolicy, ContaminationSettings};

/// `[contamination]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContaminationTable {
    /// What becomes of an evaluation row that training holds too.
    #[serde(default, alias = "policy")]
    pub action: ContaminationPolicy,
    /// From which similarity on two requests are near duplicates.
    #[schemars(with = "Option<f64>")]
    pub similarity: Option<Spanned<f64>>,
}

/// Checks the similarity.
pub(super) fn resolve(table: &ContaminationTable, at: At<'_>) -> Result<ContaminationSettings> {
    let similarity = table.similarity.as_ref().map_or(0.8, |similarity| *similarity.get_ref());
    if !(0.3..=1.0).contains(&similarity) {
        let span = table.similarity.as_ref().map_or(0..0, Spanned::span);
        return Err(at(span)
            .error(format!("`[contamination] similarity` is {similarity}: expected a number from 0.3 to 1"))
            .with_hint("below that, requests that merely share a phrase count as one"));
    }
    Ok(ContaminationSettings { policy: table.action, similarity })
}
