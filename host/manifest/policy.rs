//! `[redaction]`: what becomes of personal data and secrets, and whether sources must state their licence.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::DataTable;
use super::places::At;
use crate::Result;
use crate::data::policy::{PolicyAction, PolicyKind, PolicySettings};

/// `[redaction]`. A kind's own key comes before `pii` and `secrets`.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTable {
    /// Mail and postal addresses, phones, cards, My Numbers.
    #[serde(default)]
    pub pii: PolicyAction,
    /// Keys and tokens.
    #[serde(default)]
    pub secrets: PolicyAction,
    /// Mail addresses.
    pub mail: Option<PolicyAction>,
    /// Phone numbers.
    pub phone: Option<PolicyAction>,
    /// My Numbers.
    pub my_number: Option<PolicyAction>,
    /// Payment cards.
    pub card: Option<PolicyAction>,
    /// Postal addresses.
    pub address: Option<PolicyAction>,
    /// IPv4 addresses; kept unless this says otherwise.
    pub ip: Option<PolicyAction>,
    /// Whether a source without a licence is an error.
    #[serde(default)]
    pub strict: bool,
}

/// What the policy asks for, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyPlan {
    /// What becomes of each kind.
    pub settings: PolicySettings,
    /// Whether a source without a licence is an error.
    pub strict: bool,
}

/// What becomes of each kind.
pub(super) fn resolve(table: &PolicyTable) -> PolicyPlan {
    let mut settings = PolicySettings::default();
    for (kind, action) in [
        (PolicyKind::Mail, table.mail.unwrap_or(table.pii)),
        (PolicyKind::Phone, table.phone.unwrap_or(table.pii)),
        (PolicyKind::MyNumber, table.my_number.unwrap_or(table.pii)),
        (PolicyKind::Card, table.card.unwrap_or(table.pii)),
        (PolicyKind::Address, table.address.unwrap_or(table.pii)),
        (PolicyKind::Key, table.secrets),
        (PolicyKind::Ip, table.ip.unwrap_or(PolicyAction::Keep)),
    ] {
        settings.set(kind, action);
    }
    PolicyPlan { settings, strict: table.strict }
}

/// A source without a licence statement, where the policy is strict.
///
/// # Errors
/// With the place of the source's name.
pub(super) fn require_licence(policy: Option<&PolicyTable>, source: &DataTable, at: At<'_>) -> Result<()> {
    if source.licence.is_none() && policy.is_some_and(|policy| policy.strict) {
        let name: &Spanned<String> = &source.name;
        return Err(at(name.span())
            .error(format!("source `{}` states no licence, and `[redaction] strict` is true", name.get_ref()))
            .with_hint(
                "add `licence = \"…\"` to its `[[data]]`: an SPDX expression such as `CC-BY-4.0`, or a sentence",
            ));
    }
    Ok(())
}
