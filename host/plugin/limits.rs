//! What one call of a plugin may use.

use serde::{Deserialize, Serialize};

/// The limits of every call into a plugin. In a manifest: `fuel`, `seconds`, `memory_mb`, `result_mb` (MiB).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Limits {
    /// Units of work, about one a WebAssembly instruction: the same on every machine.
    pub fuel: u64,
    /// Wall time.
    pub seconds: f64,
    /// Memory of the guest, its tables included, over all calls.
    pub memory_bytes: u64,
    /// Host memory that what the guest returns may take.
    pub lifted_bytes: u64,
}

impl Default for Limits {
    /// 20 G units of fuel, 30 seconds, 512 MiB of guest memory, 128 MiB of results.
    fn default() -> Self {
        Self { fuel: 20_000_000_000, seconds: 30.0, memory_bytes: 512 * MIB, lifted_bytes: 128 * MIB }
    }
}

impl Limits {
    /// Checks that every limit is a positive number that the sandbox can enforce.
    pub fn check(&self) -> Result<(), String> {
        let seconds = self.seconds;
        if !(seconds > 0.0 && seconds <= 86_400.0) {
            return Err(format!("expected `seconds` between 0 and 86400, found `{seconds}`"));
        }
        for (key, value) in [("fuel", self.fuel), ("memory_mb", self.memory_bytes), ("result_mb", self.lifted_bytes)] {
            if value == 0 {
                return Err(format!("expected `{key}` greater than 0, found `0`"));
            }
        }
        Ok(())
    }
}

const MIB: u64 = 1 << 20;

/// The limits as a manifest spells them.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    /// Units of work, about one a WebAssembly instruction.
    fuel: u64,
    /// Wall time in seconds.
    seconds: f64,
    /// Memory of the guest in MiB.
    memory_mb: u64,
    /// Host memory that what the guest returns may take, in MiB.
    #[serde(alias = "lifted_mb")]
    result_mb: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Limits::default().into()
    }
}

impl schemars::JsonSchema for Limits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limits".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Keys::json_schema(generator)
    }
}

impl From<Limits> for Keys {
    fn from(limits: Limits) -> Self {
        Self {
            fuel: limits.fuel,
            seconds: limits.seconds,
            memory_mb: limits.memory_bytes.div_ceil(MIB),
            result_mb: limits.lifted_bytes.div_ceil(MIB),
        }
    }
}

impl TryFrom<Keys> for Limits {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let bytes = |key: &str, value: u64| {
            value.checked_mul(MIB).ok_or_else(|| format!("expected `{key}` in MiB, found `{value}`"))
        };
        let limits = Self {
            fuel: keys.fuel,
            seconds: keys.seconds,
            memory_bytes: bytes("memory_mb", keys.memory_mb)?,
            lifted_bytes: bytes("result_mb", keys.result_mb)?,
        };
        limits.check()?;
        Ok(limits)
    }
}

/// `bytes` as a manifest would spell them: `memory_mb = 64`, or in bytes where they are no whole number of MiB.
pub(super) fn spelled(key: &str, bytes: u64) -> String {
    if bytes.is_multiple_of(MIB) {
        format!("`{key}_mb = {}`", bytes / MIB)
    } else {
        format!("{bytes} bytes of `{key}_mb`")
    }
}
