//! `[quality]`: the gates of a prepared set.

use serde::Deserialize;
use toml::Spanned;

use super::places::At;
use crate::Result;
use crate::data::{Gate, GateAction, Language, QualitySettings};

/// `[quality]`. A gate without a table has its default; one without an action warns.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityTable {
    /// The share of the smallest class in the training part.
    #[schemars(with = "Option<LeastTable>")]
    pub class_balance: Option<Spanned<LeastTable>>,
    /// Duplicates, exact and normalised, among the accepted examples.
    #[schemars(with = "Option<MostTable>")]
    pub duplicates: Option<Spanned<MostTable>>,
    /// Training requests that nearly repeat another.
    #[schemars(with = "Option<NearTable>")]
    pub near_duplicates: Option<Spanned<NearTable>>,
    /// Requests without a letter and without a digit.
    #[schemars(with = "Option<MostTable>")]
    pub empty: Option<Spanned<MostTable>>,
    /// Requests that are too long.
    #[schemars(with = "Option<LongTable>")]
    pub too_long: Option<Spanned<LongTable>>,
    /// Shares of languages: `ja`, `en`, `other`.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, BoundsTable>")]
    pub languages: std::collections::BTreeMap<Spanned<String>, Spanned<BoundsTable>>,
    /// Duplicates with another label.
    #[schemars(with = "Option<MostTable>")]
    pub label_conflicts: Option<Spanned<MostTable>>,
    /// Rejected records.
    #[schemars(with = "Option<MostTable>")]
    pub rejected: Option<Spanned<MostTable>>,
}

/// A gate with a least share.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeastTable {
    /// The least share.
    pub min: Option<f64>,
    /// What becomes of a set below it.
    #[serde(default)]
    pub action: GateAction,
}

/// A gate with a greatest share.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MostTable {
    /// The greatest share.
    pub max: Option<f64>,
    /// What becomes of a set above it.
    #[serde(default)]
    pub action: GateAction,
}

/// The gate of near duplicates.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NearTable {
    /// The greatest share.
    pub max: Option<f64>,
    /// From which similarity on two requests are near.
    pub similarity: Option<f64>,
    /// What becomes of a set above it.
    #[serde(default)]
    pub action: GateAction,
}

/// The gate of long requests.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongTable {
    /// The greatest share.
    pub max: Option<f64>,
    /// The most characters of a request that is not too long.
    pub characters: Option<usize>,
    /// What becomes of a set above it.
    #[serde(default)]
    pub action: GateAction,
}

/// A gate with a least and a greatest share.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundsTable {
    /// The least share.
    pub min: Option<f64>,
    /// The greatest share.
    pub max: Option<f64>,
    /// What becomes of a set outside.
    #[serde(default)]
    pub action: GateAction,
}

/// Checks that bounds are shares and languages are known. Without a table the gates that cost nothing warn.
pub(super) fn resolve(table: Option<&QualityTable>, at: At<'_>) -> Result<QualitySettings> {
    let defaults = QualitySettings::default();
    let Some(table) = table else { return Ok(defaults) };
    let share = |span: std::ops::Range<usize>, gate: &str, key: &str, value: f64| match (0.0..=1.0).contains(&value) {
        true => Ok(value),
        false => Err(at(span).error(format!("`{gate}` has `{key} = {value}`: expected a share from 0 to 1"))),
    };
    let most = |name: &str, own: &Option<Spanned<MostTable>>, default: Gate| match own {
        None => Ok(default),
        Some(own) => {
            let MostTable { max, action } = *own.get_ref();
            let max = share(own.span(), name, "max", max.unwrap_or(default.max))?;
            Ok(Gate { max, action, ..default })
        }
    };
    let class_balance = match &table.class_balance {
        None => defaults.class_balance,
        Some(own) => {
            let LeastTable { min, action } = *own.get_ref();
            let min = share(own.span(), "class_balance", "min", min.unwrap_or(defaults.class_balance.min))?;
            Gate { min, action, ..defaults.class_balance }
        }
    };
    let near = match &table.near_duplicates {
        None => (QualitySettings::NEAR, QualitySettings::SIMILARITY),
        Some(own) => {
            let NearTable { max, similarity, action } = *own.get_ref();
            let max = share(own.span(), "near_duplicates", "max", max.unwrap_or(QualitySettings::NEAR.max))?;
            let similarity = similarity.unwrap_or(QualitySettings::SIMILARITY);
            if !(0.3..=1.0).contains(&similarity) {
                return Err(at(own.span()).error(format!(
                    "`near_duplicates` has `similarity = {similarity}`: expected a number from 0.3 to 1"
                )));
            }
            (Gate { max, action, ..QualitySettings::NEAR }, similarity)
        }
    };
    let too_long = match &table.too_long {
        None => defaults.too_long,
        Some(own) => {
            let LongTable { max, characters, action } = *own.get_ref();
            let max = share(own.span(), "too_long", "max", max.unwrap_or(defaults.too_long.0.max))?;
            (Gate { max, action, ..defaults.too_long.0 }, characters.unwrap_or(defaults.too_long.1))
        }
    };
    let languages = table.languages.iter().map(|(name, own)| language(name, own, &share, at)).collect::<Result<_>>()?;
    Ok(QualitySettings {
        class_balance,
        duplicates: most("duplicates", &table.duplicates, defaults.duplicates)?,
        near_duplicates: Some(near),
        empty: most("empty", &table.empty, defaults.empty)?,
        too_long,
        languages,
        label_conflicts: most("label_conflicts", &table.label_conflicts, defaults.label_conflicts)?,
        rejected: most("rejected", &table.rejected, defaults.rejected)?,
    })
}

type Share<'a> = &'a dyn Fn(std::ops::Range<usize>, &str, &str, f64) -> Result<f64>;

/// The gate of one language.
fn language(
    name: &Spanned<String>,
    own: &Spanned<BoundsTable>,
    share: Share<'_>,
    at: At<'_>,
) -> Result<(Language, Gate)> {
    let known = [Language::Ja, Language::En, Language::Other];
    let Some(language) = known.into_iter().find(|language| language.name() == name.get_ref()) else {
        return Err(at(name.span())
            .error(format!("`languages` has `{}`: expected `ja`, `en` or `other`", name.get_ref()))
            .with_hint("a request's language is told by its scripts alone"));
    };
    let BoundsTable { min, max, action } = *own.get_ref();
    let gate = format!("languages.{}", language.name());
    if min.is_none() && max.is_none() {
        return Err(at(own.span()).error(format!("`{gate}` has no bound: expected `min`, `max` or both")));
    }
    let (min, max) =
        (share(own.span(), &gate, "min", min.unwrap_or(0.0))?, share(own.span(), &gate, "max", max.unwrap_or(1.0))?);
    if min > max {
        return Err(at(own.span()).error(format!("`{gate}` has `min = {min}` above `max = {max}`")));
    }
    Ok((language, Gate { min, max, action }))
}
