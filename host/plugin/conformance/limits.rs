//! Laws of limits: ordinary work stays within them, and what exceeds them is cut without harm to anything else.

use serde_json::json;

use super::kit::Kit;
use super::law::{FUEL, LIFTED, Law, MEMORY, SECONDS};
use super::shrink::Broke;
use crate::{Limits, Plugin};
use so8t_base::{Fault, Result};

/// Work of a size, by a plugin: the same bytes for the same size.
pub(super) type Work<'a> = &'a dyn Fn(&Plugin, usize) -> Result<Vec<u8>>;

/// How much the work is that is done again and again under limits that cut it.
const CUT_SIZE: usize = 2000;

/// Tries the laws: `size` is that of the work that must stay within the plugin's limits, counted in `unit`.
pub(super) fn laws(kit: &mut Kit<'_>, plugin: &Plugin, work: Work<'_>, size: usize, unit: &str) {
    let all = [(FUEL, Fault::Fuel), (SECONDS, Fault::Seconds), (MEMORY, Fault::Memory), (LIFTED, Fault::Lifted)];
    let wanted: Vec<(Law, Fault)> = all.into_iter().filter(|(law, _)| kit.wants(*law)).collect();
    if wanted.is_empty() {
        return;
    }
    let first = work(plugin, size).err();
    for (law, fault) in wanted {
        let show = |size: usize| (format!("{size} {unit}"), json!({ unit: size }));
        match &first {
            Some(error) if error.fault() == Some(fault) => {
                kit.hold_size(law, size, show, |size| match work(plugin, size) {
                    Err(error) if error.fault() == Some(fault) => Err(Broke::from(error)),
                    _ => Ok(()),
                })
            }
            Some(error) => kit.skip(law, format!("its work fails: {}", first_line(error))),
            None => cut(kit, law, fault, plugin, work, (size.min(CUT_SIZE), unit)),
        }
    }
}

fn first_line(error: &so8t_base::Error) -> String {
    let text = error.to_string();
    text.split_once(": ").map_or(text.as_str(), |(_, words)| words).to_owned()
}

/// Under limits that are less and less, the work is done as before or ends with the error of that limit; and then, without
/// them, as before.
fn cut(kit: &mut Kit<'_>, law: Law, fault: Fault, plugin: &Plugin, work: Work<'_>, (size, unit): (usize, &str)) {
    let given = plugin.limits();
    let less = |part: f64| {
        let of = |limit: u64| ((limit as f64 * part) as u64).max(1);
        match fault {
            Fault::Fuel => Limits { fuel: of(given.fuel), ..given.clone() },
            Fault::Seconds => Limits { seconds: given.seconds * part, ..given.clone() },
            Fault::Memory => Limits { memory_bytes: of(given.memory_bytes), ..given.clone() },
            _ => Limits { lifted_bytes: of(given.lifted_bytes), ..given.clone() },
        }
    };
    let expected = match work(plugin, size) {
        Ok(expected) => expected,
        Err(error) => return kit.skip(law, format!("its work fails: {}", first_line(&error))),
    };
    let mut cut = 0;
    // The search for the smallest part would end at none: what is tried is every tenth part of the last.
    let parts: Vec<f64> = (1..=10).map(|power| 10_f64.powi(-power)).collect();
    let mut kept = Ok(());
    for part in parts {
        let limits = less(part);
        let outcome = match work(&plugin.with_limits(limits.clone()), size) {
            Ok(found) if found == expected => Ok(()),
            Ok(_) => Err(Broke("under a limit that was kept the results are others".into())),
            Err(error) if error.fault() == Some(fault) => {
                cut += 1;
                Ok(())
            }
            Err(error) => Err(Broke(format!("the limit ends it as something else: {}", first_line(&error)))),
        };
        let after = outcome.and_then(|()| match work(plugin, size) {
            Ok(found) if found == expected => Ok(()),
            Ok(_) => Err(Broke("after it was cut, a new instance gives other results".into())),
            Err(error) => Err(Broke(format!("after it was cut, a new instance fails: {}", first_line(&error)))),
        });
        if let Err(broke) = after {
            let value = json!({ unit: size, "limits": limits });
            kept = Err((broke, format!("{size} {unit} under {}", value["limits"]), value));
            break;
        }
    }
    // A plugin that does next to nothing may stay within any limit of time.
    if kept.is_ok() && cut == 0 && fault != Fault::Seconds {
        let broke = Broke("no limit, however small, cuts it".into());
        kept = Err((broke, format!("{size} {unit}"), json!({ unit: size })));
    }
    kit.hold_once(law, kept);
}
