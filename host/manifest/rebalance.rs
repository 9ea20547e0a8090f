//! `[rebalance]`: how the classes of the training part are balanced.

use serde::Deserialize;
use toml::Spanned;

use super::places::At;
use crate::Result;
use crate::data::{RebalanceMethod, RebalanceSettings};

/// `[rebalance]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebalanceTable {
    /// `weights`, `over` or `under`.
    pub method: RebalanceMethod,
    /// How far, from 0 (nothing changes) to 1 (all classes equal).
    #[schemars(with = "Option<f64>")]
    pub strength: Option<Spanned<f64>>,
    /// The largest weight in relation to that of the largest class; the most times that an example stands.
    #[schemars(with = "Option<f64>")]
    pub most: Option<Spanned<f64>>,
}

/// Checks the numbers.
pub(super) fn resolve(table: &RebalanceTable, at: At<'_>) -> Result<RebalanceSettings> {
    let strength = table.strength.as_ref().map_or(1.0, |strength| *strength.get_ref());
    if !(0.0..=1.0).contains(&strength) {
        let span = table.strength.as_ref().map_or(0..0, Spanned::span);
        return Err(at(span).error(format!("`[rebalance] strength` is {strength}: expected a number from 0 to 1")));
    }
    let most = table.most.as_ref().map_or(10.0, |most| *most.get_ref());
    if !(1.0..=1000.0).contains(&most) {
        let span = table.most.as_ref().map_or(0..0, Spanned::span);
        return Err(at(span).error(format!("`[rebalance] most` is {most}: expected a number from 1 to 1000")));
    }
    Ok(RebalanceSettings { method: table.method, strength, most })
}
