//! `so8t plugin …`: one file a subcommand.

mod keygen;
mod pull;
mod push;
mod sign;

use clap::Subcommand;

use crate::Result;
use crate::plugin::Policy;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a pair of keys, to sign plugins with
    Keygen(keygen::Arguments),
    /// Sign a component: writes FILE.minisig beside it
    Sign(sign::Arguments),
    /// Push a component, and the signature beside it, to a registry
    Push(push::Arguments),
    /// Fetch a component from a registry
    Pull(pull::Arguments),
}

pub(super) fn run(command: &Command, policy: Policy) -> Result<()> {
    match command {
        Command::Keygen(arguments) => keygen::keygen(arguments),
        Command::Sign(arguments) => sign::sign(arguments),
        Command::Push(arguments) => push::push(arguments, policy),
        Command::Pull(arguments) => pull::pull(arguments, policy),
    }
}

/// The password of a secret key: `$SO8T_KEY_PASSWORD`, or `None`, where the terminal is asked.
fn password() -> Option<String> {
    std::env::var("SO8T_KEY_PASSWORD").ok()
}
