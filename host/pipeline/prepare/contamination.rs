//! The stage that looks for the evaluation requests in the training part.

use std::io::Write as _;
use std::path::Path;

use crate::data::{Contamination, ContaminationPolicy, Parts};
use crate::manifest::Plan;
use crate::{Error, Result, files};

/// The list of evaluation rows that training holds too, in the run's folder.
pub(in crate::pipeline) const FILE: &str = "contamination.jsonl";

/// Looks for the evaluation requests in the training part, where the manifest asks for it, and does what its policy says. All pairs
/// are listed in `contamination.jsonl`, also where the run fails for them.
pub(in crate::pipeline) fn look_for(plan: &Plan, parts: &mut Parts, folder: &Path) -> Result<Option<Contamination>> {
    let path = folder.join(FILE);
    let Some(settings) = plan.contamination else {
        let _ = std::fs::remove_file(path);
        return Ok(None);
    };
    let found = Contamination::find(parts, settings, plan.seed);
    files::write_with(&path, |file| {
        found.pairs.iter().try_for_each(|pair| {
            serde_json::to_writer(&mut *file, pair)?;
            file.write_all(b"\n")
        })
    })?;
    if settings.policy == ContaminationPolicy::Fail && found.rows() > 0 {
        let first = found.pairs.iter().take(3).map(|pair| format!("`{}` and `{}`", pair.eval, pair.train));
        return Err(Error::data(format!(
            "{} of {} evaluation rows stand in the training part too ({} to the letter, {} after normalisation, {} nearly), and \
             `[contamination] action` is `fail`; the first: {}",
            found.rows(),
            parts.eval.len(),
            found.exact,
            found.normalised,
            found.near,
            first.collect::<Vec<_>>().join(", ")
        ))
        .with_hint(format!("`{}` lists all pairs; give them one `group`, or drop them", path.display())));
    }
    if settings.policy == ContaminationPolicy::Drop {
        parts.drop_contaminated(&found.pairs.iter().map(|pair| pair.eval.as_str()).collect());
    }
    Ok(Some(found.shortened()))
}

/// What a reader must know of evaluation rows that training holds too.
pub(in crate::pipeline) fn warning(found: &Contamination, parts: &Parts) -> Option<String> {
    let rows = found.rows();
    let (exact, normalised, near) = (found.exact, found.normalised, found.near);
    let how = format!("{exact} to the letter, {normalised} after normalisation, {near} nearly");
    match found.policy {
        _ if rows == 0 => None,
        ContaminationPolicy::Drop => Some(format!(
            "contamination: {rows} of {} evaluation rows were dropped, since training holds them too ({how}): `{FILE}`",
            rows + parts.eval.len()
        )),
        _ => Some(format!(
            "contamination: training holds {rows} of {} evaluation rows too ({how}), so that what is measured may flatter the \
             model: `{FILE}`",
            parts.eval.len()
        )),
    }
}
