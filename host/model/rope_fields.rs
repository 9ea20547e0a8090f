//! Rotary positions as a `config.json` states them: in old files beside the other fields and in `rope_scaling`, in new ones in
//! `rope_parameters`. What stands in several places must be the same in all of them.

use serde_json::{Map, Value};

use super::classes::Class;
use super::config::Fields;
use super::rope::{RopeScaling, longrope_attention_factor, yarn_attention_factor};
use super::{allowed, config_fields};
use so8t_base::{Error, Result};

/// What a file says of rotary positions.
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How many elements of a head turn.
    pub rotary_dim: usize,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
    /// Base of the frequencies of windowed layers, where they have their own.
    pub local_theta: Option<f64>,
}

impl Rope {
    /// Reads the fields as the class does.
    ///
    /// Errors name the field: one that the type has not, two places that disagree, a type that the class does not take.
    pub(super) fn read(fields: &Fields<'_>, class: Class, max_position: usize, head_dim: usize) -> Result<Self> {
        let (old, mut new) = (fields.optional_object("rope_scaling")?, fields.optional_object("rope_parameters")?);
        let mut local_theta = None;
        if class == Class::Gemma3 {
            (new, local_theta) = by_layer(fields, old.as_ref(), new)?;
        }
        let has = |object: &Option<Fields<'_>>| object.as_ref().is_some_and(|object| !object.0.is_empty());
        if let (true, true, Some(old), Some(new)) = (has(&old), has(&new), &old, &new) {
            agree(old, new)?;
        }
        let object = if has(&old) { old } else { new };
        let nothing = Map::new();
        let object = object.unwrap_or_else(|| Fields::empty(&nothing, "rope_scaling."));

        let kind = kind(&object, class)?;
        allowed::check(object.0, object.prefix(), &[config_fields::rope(kind)])?;
        let theta = one_of(fields, &object, "rope_theta")?.unwrap_or(class.description().rope_theta);
        let partial = one_of(fields, &object, "partial_rotary_factor")?.unwrap_or(1.0);
        if class != Class::Phi3 && partial != 1.0 {
            return Err(Error::model(format!(
                "field `partial_rotary_factor`: expected `1.0` (in this class all of a head turns), found `{partial}`"
            )));
        }
        if !(partial > 0.0 && partial <= 1.0) {
            return Err(Error::model(format!(
                "field `partial_rotary_factor`: expected a number above 0 and at most 1, found `{partial}`"
            )));
        }
        let rotary_dim = (head_dim as f64 * partial) as usize;
        let original = original(fields, &object, class, max_position, kind)?;
        let scaling = scaling(&object, kind, original, max_position)?;
        Ok(Self { theta, rotary_dim, scaling, local_theta })
    }
}

/// The object of the layers that see everything, and the base of the windowed ones: Gemma 3 has two kinds, which newer files say apart.
fn by_layer<'a>(
    fields: &Fields<'a>,
    old: Option<&Fields<'a>>,
    new: Option<Fields<'a>>,
) -> Result<(Option<Fields<'a>>, Option<f64>)> {
    const LOCAL: &str = "rope_local_base_freq";
    let outer = fields.optional_number(LOCAL)?;
    let Some(new) = new.filter(|new| !new.0.is_empty()) else { return Ok((None, Some(outer.unwrap_or(10_000.0)))) };
    if old.is_some_and(|old| !old.0.is_empty()) {
        return Err(Error::model("field `rope_scaling`: expected none beside `rope_parameters`, found one"));
    }
    allowed::check(new.0, new.prefix(), &[&[(allowed::Says::Read, &["full_attention", "sliding_attention"])]])?;
    let mut local_theta = outer;
    if let Some(local) = new.optional_object("sliding_attention")? {
        allowed::check(local.0, local.prefix(), &[config_fields::rope("default")])?;
        for name in ["rope_type", "type"] {
            if let Some(kind) = local.optional_text(name)?.filter(|kind| *kind != "default") {
                return Err(local.wrong(
                    name,
                    "`default` (nothing else is implemented for these layers)",
                    &Value::from(kind),
                ));
            }
        }
        if let Some(partial) = local.optional_number("partial_rotary_factor")?.filter(|partial| *partial != 1.0) {
            return Err(local.wrong("partial_rotary_factor", "`1.0`", &Value::from(partial)));
        }
        let inner = local.optional_number("rope_theta")?;
        if let (Some(inner), Some(outer)) = (inner, outer)
            && inner != outer
        {
            let expected = format!("as in `{}rope_theta`, `{inner}`", local.prefix());
            return Err(fields.wrong(LOCAL, &expected, &Value::from(outer)));
        }
        local_theta = inner.or(outer);
    }
    Ok((new.optional_object("full_attention")?, Some(local_theta.unwrap_or(10_000.0))))
}

/// Errors: a field that stands in both objects with other values.
fn agree(old: &Fields<'_>, new: &Fields<'_>) -> Result<()> {
    let same = |a: &Value, b: &Value| a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a));
    for (name, value) in new.0 {
        if let Some(other) = old.0.get(name)
            && !same(value, other)
        {
            return Err(old.wrong(name, &format!("as in `rope_parameters`, {}", allowed::short(value)), other));
        }
    }
    let only = |name: &&String| !old.0.contains_key(*name) && *name != "rope_theta" && *name != "rope_type";
    match new.0.keys().find(only) {
        Some(name) => Err(Error::model(format!(
            "field `rope_parameters.{name}`: expected it in `rope_scaling` too, which stands beside it and is read in its place"
        ))),
        None => Ok(()),
    }
}

/// The type of scaling, by its newest name.
fn kind<'a>(object: &Fields<'a>, class: Class) -> Result<&'a str> {
    let newest = |name: &'a str| match (name, class) {
        // The names in Phi-3's first files.
        ("su" | "yarn", Class::Phi3) | ("su", _) => "longrope",
        (name, _) => name,
    };
    let (new, old) = (object.optional_text("rope_type")?, object.optional_text("type")?);
    let kind = match (new.map(newest), old.map(newest)) {
        (Some(new), Some(old)) if new != old => {
            let found = Value::from(old);
            return Err(object.wrong("type", &format!("as `rope_type`, `{new}`"), &found));
        }
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => "default",
    };
    let known: &[&str] = match class {
        Class::Phi3 => &["default", "longrope"],
        // Positions of long sequences would need a second table for each of the two bases.
        Class::Gemma3 => &["default", "linear", "llama3", "yarn"],
        _ => &["default", "linear", "dynamic", "llama3", "longrope", "yarn"],
    };
    if known.contains(&kind) {
        return Ok(kind);
    }
    let object = object.prefix().trim_end_matches('.');
    Err(Error::model(format!("field `{object}`: expected the type `{}`, found `{kind}`", known.join("`, `"))))
}

/// A number that stands beside the object or within.
fn one_of(fields: &Fields<'_>, object: &Fields<'_>, name: &str) -> Result<Option<f64>> {
    match (object.optional_number(name)?, fields.optional_number(name)?) {
        (Some(inner), Some(outer)) if inner != outer => {
            let expected = format!("as in `{}{name}`, `{inner}`", object.prefix());
            Err(fields.wrong(name, &expected, &Value::from(outer)))
        }
        (inner, outer) => Ok(inner.or(outer)),
    }
}

/// The positions of the model before it was stretched.
fn original(fields: &Fields<'_>, object: &Fields<'_>, class: Class, max_position: usize, kind: &str) -> Result<usize> {
    const NAME: &str = "original_max_position_embeddings";
    let (inner, outer) = (object.optional_size(NAME)?, fields.optional_size(NAME)?);
    if let (Some(inner), Some(outer)) = (inner, outer)
        && inner != outer
        && matches!(kind, "llama3" | "longrope" | "yarn")
    {
        let expected = format!("as in `{}{NAME}`, `{inner}`", object.prefix());
        return Err(fields.wrong(NAME, &expected, &Value::from(outer)));
    }
    Ok(match class {
        // The class has this field, with a default that goes before what the object says.
        Class::Phi3 => outer.unwrap_or(4096),
        _ => outer.or(inner).unwrap_or(max_position),
    })
}

fn scaling(fields: &Fields<'_>, kind: &str, original: usize, max_position: usize) -> Result<RopeScaling> {
    // Where no factor is given, how much longer the model has become.
    let stretched = max_position as f64 / original as f64;
    Ok(match kind {
        "linear" => RopeScaling::Linear { factor: fields.number("factor")? },
        "dynamic" => RopeScaling::Dynamic { factor: fields.number("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: fields.number("factor")?,
            low: fields.number("low_freq_factor")?,
            high: fields.number("high_freq_factor")?,
            original,
        },
        "longrope" => {
            let factor = fields.optional_number("factor")?.unwrap_or(stretched);
            let attention_factor = fields.optional_number("attention_factor")?;
            RopeScaling::LongRope {
                short: fields.numbers("short_factor")?,
                long: fields.numbers("long_factor")?,
                original,
                attention_factor: attention_factor.unwrap_or_else(|| longrope_attention_factor(factor, original)),
            }
        }
        "yarn" => {
            let factor = fields.optional_number("factor")?.unwrap_or(stretched);
            // 0 stands for the default in both.
            let beta = |name: &str, default: f64| -> Result<f64> {
                Ok(fields.optional_number(name)?.filter(|beta| *beta != 0.0).unwrap_or(default))
            };
            let scale = fields.optional_number("mscale")?.zip(fields.optional_number("mscale_all_dim")?);
            let attention_factor = match fields.optional_number("attention_factor")? {
                Some(factor) => factor,
                None => yarn_attention_factor(factor, scale.filter(|(one, all)| *one != 0.0 && *all != 0.0)),
            };
            RopeScaling::Yarn {
                factor,
                original,
                attention_factor,
                beta_fast: beta("beta_fast", 32.0)?,
                beta_slow: beta("beta_slow", 1.0)?,
                truncate: fields.optional_bool("truncate")?.unwrap_or(true),
            }
        }
        _ => RopeScaling::None,
    })
}
