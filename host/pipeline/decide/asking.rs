//! What a run makes of a request before the model is asked: placeholders where its policy looks for something, and the prompt.

use crate::Result;
use crate::data::policy::{Policy, PolicyAction, PolicyCounts};
use crate::data::{Example, Request, Training};
use crate::manifest::Plan;
use crate::predict::Prompter;

/// The prompts of a run, and what it takes out of requests.
pub(crate) struct Asking {
    prompter: Prompter,
    redaction: Option<Policy>,
}

impl Asking {
    pub(super) fn new(plan: &Plan, prompter: Prompter) -> Result<Self> {
        let redaction = plan.policy.map(|policy| Policy::new(policy.settings)).transpose()?;
        Ok(Self { prompter, redaction })
    }

    pub(crate) fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// The request with placeholders where the run's policy looks for something, as the run's own requests had; and what was found.
    pub(crate) fn redacted(&self, request: &Request) -> (Request, Found) {
        let Some(policy) = &self.redaction else { return (request.clone(), Found::default()) };
        let mut example = nameless(request);
        let counts = policy.redact(&mut example).counts;
        let is_left_out = policy.action(&counts) >= PolicyAction::Drop;
        (example.request, Found { counts, is_left_out })
    }

    /// The kinds for which the policy leaves a request out.
    pub(crate) fn leaving_out(&self, found: &Found) -> Vec<String> {
        let Some(policy) = &self.redaction else { return Vec::new() };
        let left_out = found.counts.found().filter(|(kind, _)| policy.settings().of(*kind) >= PolicyAction::Drop);
        left_out.map(|(kind, _)| kind.name().to_owned()).collect()
    }

    /// The tokens of a prompt, and whether the end of the request was cut off.
    ///
    /// # Errors
    /// A request that the template cannot render.
    pub(crate) fn prompt(&self, request: &Request) -> Result<(Vec<u32>, bool)> {
        self.prompter.prompt_and_truncation(request)
    }
}

/// What a policy found in a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) counts: PolicyCounts,
    /// Whether the policy would have left the request out of the run's data.
    pub(crate) is_left_out: bool,
}

/// A request as the policy looks at one.
fn nameless(request: &Request) -> Example {
    Example {
        id: "".into(),
        source: "".into(),
        request: request.clone(),
        output: "".into(),
        label: 0,
        group: "".into(),
        category: "".into(),
        training: Training::default(),
    }
}
