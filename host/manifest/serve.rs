//! `[serve]`: how the finished run answers requests. Nothing in a run depends on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::places::At;
use crate::Result;

/// `[serve]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeTable {
    /// How many seconds a request may take.
    #[schemars(with = "Option<f64>")]
    pub deadline: Option<Spanned<f64>>,
    /// The label that stands for a decision that takes longer; never the one that lets requests pass. Without it such a request is an error.
    pub on_timeout: Option<String>,
    /// How many texts may wait or be decided at once; more are refused.
    #[schemars(with = "Option<usize>")]
    pub queue: Option<Spanned<usize>>,
    /// The most texts of a request.
    #[schemars(with = "Option<usize>")]
    pub max_texts: Option<Spanned<usize>>,
    /// OpenAI's categories of moderation, each with the labels that mean it; those that are not named are left out of answers.
    #[serde(default)]
    pub categories: BTreeMap<String, Vec<String>>,
}

/// How a run answers, checked as far as it can be without its labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServePlan {
    /// How many seconds a request may take.
    pub deadline: f64,
    /// The label that stands for a decision that takes longer.
    pub on_timeout: Option<String>,
    /// How many texts may wait or be decided at once.
    pub queue: usize,
    /// The most texts of a request.
    pub max_texts: usize,
    /// OpenAI's categories, each with the labels that mean it.
    pub categories: BTreeMap<String, Vec<String>>,
}

impl Default for ServePlan {
    fn default() -> Self {
        Self { deadline: 10.0, on_timeout: None, queue: 256, max_texts: 64, categories: BTreeMap::new() }
    }
}

/// Checks the numbers, and that each category has labels.
pub(super) fn resolve(table: &ServeTable, at: At<'_>) -> Result<ServePlan> {
    let mut plan = ServePlan {
        on_timeout: table.on_timeout.clone(),
        categories: table.categories.clone(),
        ..ServePlan::default()
    };
    if let Some(deadline) = &table.deadline {
        plan.deadline = *deadline.get_ref();
        if !(plan.deadline > 0.0 && plan.deadline <= 3600.0) {
            let text = format!("`[serve] deadline` is {}: expected seconds above 0 and up to 3600", plan.deadline);
            return Err(at(deadline.span()).error(text));
        }
    }
    for (name, own, out) in
        [("queue", &table.queue, &mut plan.queue), ("max_texts", &table.max_texts, &mut plan.max_texts)]
    {
        let Some(own) = own else { continue };
        *out = *own.get_ref();
        if !(1..=1_000_000).contains(out) {
            return Err(at(own.span()).error(format!("`[serve] {name}` is {out}: expected 1 to 1000000")));
        }
    }
    if plan.max_texts > plan.queue {
        let span = table.max_texts.as_ref().or(table.queue.as_ref()).map_or(0..0, Spanned::span);
        let text = format!("`[serve] max_texts` is {}: expected at most `queue`, {}", plan.max_texts, plan.queue);
        return Err(at(span).error(text));
    }
    match plan.categories.iter().find(|(_, labels)| labels.is_empty()) {
        Some((name, _)) => Err(at(0..0)
            .error(format!("`[serve.categories] {name}` names no label: expected at least one"))
            .with_hint("leave a category out that no label means")),
        None => Ok(plan),
    }
}
