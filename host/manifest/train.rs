//! `[train]`: whether what it says fits together, and the rest of the manifest.

use super::validation::{self, ValidationPlan};
use super::{Embeddings, Manifest, Places, PredictMode, Quantization};
use crate::train::{ADAPTER_KEYS, AnswerForm, Method, TrainConfig};
use crate::{Error, Result};

/// Checks the table as far as it can be done without opening a plugin or a model, and resolves its validation.
///
/// # Errors
/// The first key that makes no sense, with its place in the manifest.
pub(super) fn resolve(manifest: &Manifest, metrics: &[String], places: &Places) -> Result<Option<ValidationPlan>> {
    let Some(config) = &manifest.train else { return Ok(None) };
    full(manifest, config, places)?;
    config.check().map_err(|error| places.locate_key(error))?;
    if config.answer == AnswerForm::Thinking && manifest.predict.mode == PredictMode::Score {
        let what = "`train.answer` is `thinking`, which trains answers that do not begin with a label, as `[predict] mode = \"score\"` expects";
        return Err(places.locate_key(Error::manifest(what)).with_hint("use `[predict] mode = \"generate\"`"));
    }
    validation::resolve(config, metrics, places)
}

/// Where all weights are trained, no key may speak of adapters or of other precisions than f32.
fn full(manifest: &Manifest, config: &TrainConfig, places: &Places) -> Result<()> {
    if config.method != Method::Full {
        return Ok(());
    }
    let why = "since `method = \"full\"` trains";
    if let Some(key) = ADAPTER_KEYS.into_iter().find(|key| places.holds(&["train", key])) {
        let what = format!("`train.{key}` is of adapters: expected it to be left out, {why} all weights");
        return Err(places.locate_key(Error::manifest(what)));
    }
    let Some(model) = &manifest.model else { return Ok(()) };
    let spelled = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    if model.quantization != Quantization::None {
        let key = if places.holds(&["model", "quantization"]) { "model.quantization" } else { "train.method" };
        let found = spelled(&model.quantization);
        let what =
            format!("`{key}`: expected `[model] quantization = \"none\"`, {why} weights in f32, found `{found}`");
        let error = places.locate_key(Error::manifest(what));
        return Err(match key {
            "train.method" => error.with_hint(format!("without the key, a model's weights are kept in `{found}`")),
            _ => error,
        });
    }
    match model.embeddings {
        None | Some(Embeddings::F32) => Ok(()),
        Some(other) => {
            let found = spelled(&other);
            let what = format!("`model.embeddings`: expected `f32` or nothing, {why} them too, found `{found}`");
            Err(places.locate_key(Error::manifest(what)))
        }
    }
}
