//! `[[data]]`: where examples come from, and what becomes of them.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::environment::Environment;
use super::places::At;
use super::{DataTable, Usage, provenance};
use crate::data::input::{self, Encoding, InputOptions};
use crate::data::{Provenance, Training};
use crate::plugin::presets::Role;
use crate::{Error, Result};

/// One source of examples.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Its name in reports.
    pub name: String,
    /// Its files, in order; at least one. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// How they are read.
    pub input: InputOptions,
    /// The converter's name in [`Plan::plugins`].
    pub converter: String,
    /// The mapper's name in [`Plan::plugins`].
    pub mapper: String,
    /// What it serves.
    pub usage: Usage,
    /// What must not straddle the split.
    pub group: GroupRule,
    /// The column or field that holds the kind of each request.
    pub category: String,
    /// The largest share of records that may be rejected.
    pub max_rejected: f64,
    /// Whether its texts are there to be judged alone.
    pub detection_only: bool,
    /// What the manifest says of where it comes from.
    pub provenance: Provenance,
}

impl SourcePlan {
    /// How its examples may be trained on.
    pub fn training(&self) -> Training {
        Training { detection_only: self.detection_only, ..Training::default() }
    }
}

/// Where an example's group comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRule {
    /// The converter's `group` column.
    Converter,
    /// A column, or a field's path in the record.
    Field(String),
    /// A text with fields in braces: pieces of text and fields in turn.
    Template(Vec<(String, Option<String>)>),
}

/// Gives the name under which the plan knows a plugin.
pub(super) type UsePlugin<'a> = &'a mut dyn FnMut(&Spanned<String>, Option<Role>) -> Result<String>;

/// Resolves one table, its paths relative to a folder and with the environment's variables; `max_rejected` holds where the table says
/// nothing. Without `needs_files` none is looked for.
pub(super) fn resolve(
    table: &DataTable,
    (folder, environment): (&Path, &Environment),
    (max_rejected, needs_files): (f64, bool),
    use_plugin: UsePlugin<'_>,
    at: At<'_>,
) -> Result<SourcePlan> {
    Ok(SourcePlan {
        name: source_name(table, at)?,
        files: if needs_files { source_files(table, folder, environment, at)? } else { Vec::new() },
        input: input_options(table, at)?,
        converter: use_plugin(&table.converter, Some(Role::Converter))?,
        mapper: use_plugin(&table.mapper, Some(Role::Mapper))?,
        usage: table.usage,
        group: group_rule(table, at)?,
        category: table.category.clone().unwrap_or_else(|| "category".to_owned()),
        max_rejected: table.max_rejected.unwrap_or(max_rejected),
        detection_only: table.detection_only,
        provenance: provenance::resolve(table, at)?,
    })
}

fn source_name(table: &DataTable, at: At<'_>) -> Result<String> {
    let name = table.name.get_ref();
    if name.is_empty() || name.contains(char::is_control) {
        return Err(at(table.name.span()).error("a source's name is empty or holds control characters"));
    }
    if let Some(share) = table.max_rejected
        && !(0.0..=1.0).contains(&share)
    {
        return Err(at(table.name.span()).error(format!("`max_rejected` is {share}: expected a share from 0 to 1")));
    }
    Ok(name.clone())
}

/// Whether the last source reads a file of an earlier one under the other rule about targets.
pub(super) fn one_purpose(sources: &[SourcePlan], table: &DataTable, at: At<'_>) -> Result<()> {
    let Some((last, others)) = sources.split_last() else { return Ok(()) };
    let canonical = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let own: std::collections::HashSet<PathBuf> = last.files.iter().map(canonical).collect();
    for other in others.iter().filter(|other| other.detection_only != last.detection_only) {
        if let Some(file) = other.files.iter().find(|file| own.contains(&canonical(file))) {
            let (only, free) = if last.detection_only { (last, other) } else { (other, last) };
            return Err(at(table.name.span())
                .error(format!(
                    "`{}` is read by source `{}`, which is `detection_only`, and by `{}`, which is not",
                    file.display(),
                    only.name,
                    free.name
                ))
                .with_hint("give both `detection_only = true`, or read the file once"));
        }
    }
    Ok(())
}

/// The files that a source's paths name; a glob's matches and a folder's files are sorted.
fn source_files(table: &DataTable, folder: &Path, environment: &Environment, at: At<'_>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in table.path.iter() {
        let text = environment.path(path, at)?;
        if text == input::STANDARD_INPUT {
            files.push(PathBuf::from(text));
            continue;
        }
        let full = folder.join(&text);
        if full.is_file() {
            files.push(full);
            continue;
        }
        if full.is_dir() {
            let below = input::files_below(&full)?;
            if below.is_empty() {
                return Err(at(path.span())
                    .error(format!("the folder `{}` holds no data file", full.display()))
                    .with_hint(format!(
                        "a data file's name ends with `{}`, perhaps with `.gz` or `.zst` behind it; name others one by one",
                        input::ENDINGS.join("`, `")
                    )));
            }
            files.extend(below);
            continue;
        }
        if full.exists() {
            return Err(at(path.span())
                .error(format!("`{}` is a pipe or a device: expected a data file or a folder", full.display()))
                .with_hint("write it to a file, or read it as standard input, which is named `-`"));
        }
        if !text.contains(['*', '?', '[']) {
            return Err(at(path.span())
                .error(format!("`{}` does not exist: expected a data file or a folder", full.display()))
                .with_hint("paths are relative to the manifest; `*` matches several files"));
        }
        let found = files_of_pattern(folder, &text).map_err(|error| match error {
            PatternError::Spelling(what) => at(path.span()).error(format!("`{text}` is not a pattern: {what}")),
            PatternError::Reading(error) => error,
        })?;
        if found.is_empty() {
            return Err(at(path.span())
                .error(format!("`{}` matches no file", full.display()))
                .with_hint(format!(
                    "a pattern that spells out no ending takes files whose names end with `{}`, perhaps with `.gz` or `.zst` behind it; \
                     names that begin with a dot are passed over",
                    input::ENDINGS.join("`, `")
                )));
        }
        files.extend(found);
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    if files.is_empty() {
        return Err(at(table.name.span()).error("`path` is an empty list: expected at least one data file"));
    }
    Ok(files)
}

/// Why a pattern gave no files.
enum PatternError {
    /// It is no pattern.
    Spelling(&'static str),
    /// A folder cannot be read.
    Reading(Error),
}

/// The files that a pattern names, sorted: the walk is that of a folder, see [`input::files_at`].
fn files_of_pattern(folder: &Path, text: &str) -> std::result::Result<Vec<PathBuf>, PatternError> {
    const WILD: [char; 3] = ['*', '?', '['];
    let start = if text.starts_with('/') { PathBuf::from("/") } else { folder.to_owned() };
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let pattern = |part: &&str| glob::Pattern::new(part).map_err(|e| PatternError::Spelling(e.msg));
    let patterns = parts.iter().map(pattern).collect::<std::result::Result<Vec<_>, _>>()?;
    let matchers: Vec<_> = patterns.iter().map(|pattern| |name: &str| pattern.matches(name)).collect();
    let mut steps = Vec::with_capacity(parts.len() + 1);
    for (part, is_match) in parts.iter().zip(&matchers) {
        steps.push(match *part {
            "**" => input::Step::Deep,
            part if !part.contains(WILD) => input::Step::Named(part),
            part => input::Step::Matching {
                is_match,
                hidden: part.starts_with('.'),
                // `*.txt` says what it wants, and `part_*` does not.
                any_ending: part.rsplit(['*', '?', ']']).next().is_some_and(|end| end.contains('.')),
            },
        });
    }
    if matches!(steps.last(), Some(input::Step::Deep)) {
        steps.push(input::Step::Matching { is_match: &|_| true, hidden: false, any_ending: false });
    }
    input::files_at(&start, &steps).map_err(PatternError::Reading)
}

fn input_options(table: &DataTable, at: At<'_>) -> Result<InputOptions> {
    let Some(name) = &table.encoding else { return Ok(InputOptions::default()) };
    let encoding: Encoding = name.get_ref().parse().map_err(|what| at(name.span()).error(what))?;
    Ok(InputOptions { encoding: Some(encoding) })
}

fn group_rule(table: &DataTable, at: At<'_>) -> Result<GroupRule> {
    let Some(rule) = &table.group else { return Ok(GroupRule::Converter) };
    let text = rule.get_ref();
    if text.is_empty() {
        return Err(at(rule.span()).error("`group` is empty: expected a column, a field, or a text with `{row}`"));
    }
    if !text.contains('{') {
        return Ok(GroupRule::Field(text.clone()));
    }
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while let Some(open) = rest.find('{') {
        let close = rest[open..]
            .find('}')
            .ok_or_else(|| at(rule.span()).error(format!("`{text}` has a `{{` without its `}}`")))?
            + open;
        pieces.push((rest[..open].to_owned(), Some(rest[open + 1..close].to_owned())));
        rest = &rest[close + 1..];
    }
    pieces.push((rest.to_owned(), None));
    Ok(GroupRule::Template(pieces))
}
