//! The pretraining corpus: subjects and sentence patterns in two languages, read from `pretraining/*.txt`, from which
//! documents are drawn. No request of the data set is in it, and no label: where the name of a decision stands in a
//! document, dice chose it.

use std::collections::BTreeMap;
use std::path::Path;

/// The special tokens of the base model, in the order of their ids.
pub const SPECIAL_TOKENS: [&str; 5] = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"];

/// The names of the four decisions.
pub const DECISIONS: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];

/// The system's turn of the conversations in which the assistant judges a text.
const JUDGE: &str = "Judge the request.";

/// What went wrong: a sentence that names the file and line.
pub type Problem = String;

/// A text in English and in Japanese.
type Both = [String; 2];

/// One subject: its field, its name, its activities, the things that belong to it, and what people say about it.
#[derive(Default)]
struct Subject {
    field: Both,
    name: Both,
    activities: Vec<Both>,
    things: Vec<Both>,
    utterances: Vec<Both>,
}

/// Everything that documents are drawn from.
pub struct Corpus {
    subjects: Vec<Subject>,
    /// By language and kind, for example `en question`.
    patterns: BTreeMap<String, Vec<String>>,
}

impl Corpus {
    /// Reads every `topics_*.txt` of a folder, in the order of their names, and `patterns.txt`.
    pub fn read(folder: &Path) -> Result<Self, Problem> {
        let listing = std::fs::read_dir(folder).map_err(|e| format!("`{}`: {e}", folder.display()))?;
        let mut paths: Vec<_> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let mut subjects = Vec::new();
        for path in &paths {
            let is_topics = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("topics_"));
            if is_topics {
                read_subjects(path, &mut subjects)?;
            }
        }
        read_utterances(&folder.join("utterances.txt"), &mut subjects)?;
        let patterns = read_patterns(&folder.join("patterns.txt"))?;
        for kind in ["person", "relative", "time", "sentence", "question"] {
            for language in ["en", "ja"] {
                let key = format!("{language} {kind}");
                if patterns.get(&key).is_none_or(Vec::is_empty) {
                    return Err(format!("patterns.txt: expected a section `= {key}` with lines"));
                }
            }
        }
        match subjects.iter().find(|s| s.activities.is_empty() || s.things.is_empty()) {
            Some(bare) => Err(format!("the subject `{}` needs an activity and a thing", bare.name[0])),
            None if subjects.is_empty() => Err(format!("`{}`: expected topics_*.txt", folder.display())),
            None => Ok(Self { subjects, patterns }),
        }
    }

    /// Every field, name, activity and thing in both languages, and every pattern: what documents are made of.
    #[allow(dead_code, reason = "the tests hold the requests against them")]
    pub fn phrases(&self) -> impl Iterator<Item = &str> {
        let of_subjects = self.subjects.iter().flat_map(|subject| {
            let names = [&subject.field, &subject.name].into_iter();
            names.chain(&subject.activities).chain(&subject.things).chain(&subject.utterances).flatten()
        });
        of_subjects.chain(self.patterns.values().flatten()).map(String::as_str)
    }

    /// Draws a document: a paragraph under its heading, a word list in two languages, or a conversation in which the
    /// assistant names the heading and two things, all about one subject. Conversations are spelled with
    /// [`SPECIAL_TOKENS`], as the chat template spells them.
    pub fn document(&self, dice: &mut Dice) -> String {
        let subject = dice.pick(&self.subjects);
        let language = dice.below(2);
        let kind = dice.below(100);
        if kind < 14 {
            let space = [" ", ""][language];
            let count = 2 + dice.below(3);
            let sentences: Vec<_> = (0..count).map(|_| self.line(subject, language, "sentence", dice)).collect();
            return format!("{}\n{}", subject.heading(language), sentences.join(space));
        }
        if kind < 20 {
            return word_list(subject, language, dice);
        }
        let mut text = match dice.below(5) {
            0 | 1 => self.line(subject, language, ["question", "sentence"][dice.below(4) / 3], dice),
            2 if !subject.utterances.is_empty() => dice.pick(&subject.utterances)[language].clone(),
            _ => fragments(subject, language, dice),
        };
        if dice.below(4) == 0 {
            text.push('\n');
            text.push_str(&self.line(subject, language, ["question", "sentence"][dice.below(2)], dice));
        }
        let heading = subject.heading(0);
        let things = [dice.pick(&subject.things), dice.pick(&subject.things)].map(|thing| thing[language].as_str());
        // The decisions become known as words that an answer may begin with; which of them says nothing.
        let word = match dice.below(4) {
            0 => format!("{} ", DECISIONS[dice.below(4)]),
            _ => String::new(),
        };
        let answer = format!("{word}{heading}\n{}", things.join(", "));
        format!("<|system|>\n{JUDGE}<|end|>\n<|user|>\n{text}<|end|>\n<|assistant|>\n{answer}<|end|>\n")
    }

    /// One sentence or question about a subject.
    fn line(&self, subject: &Subject, language: usize, kind: &str, dice: &mut Dice) -> String {
        let mut pick = |kind: &str| {
            let key = format!("{} {kind}", ["en", "ja"][language]);
            dice.pick(&self.patterns[&key]).clone()
        };
        let (pattern, person, relative, time) = (pick(kind), pick("person"), pick("relative"), pick("time"));
        let activity = &dice.pick(&subject.activities)[language];
        let thing = &dice.pick(&subject.things)[language];
        pattern
            .replace("{act}", activity)
            .replace("{thing}", thing)
            .replace("{Thing}", &capitalised(thing))
            .replace("{person}", &person)
            .replace("{Person}", &capitalised(&person))
            .replace("{relative}", &relative)
            .replace("{time}", &time)
    }
}

impl Subject {
    /// `field: name`, in a language.
    fn heading(&self, language: usize) -> String {
        format!("{}: {}", self.field[language], self.name[language])
    }
}

/// Some activities and things of a subject, each with its translation.
fn word_list(subject: &Subject, language: usize, dice: &mut Dice) -> String {
    let mut entries: Vec<&Both> = subject.activities.iter().chain(&subject.things).collect();
    dice.shuffle(&mut entries);
    let lines = entries.iter().take(6).map(|both| format!("{} = {}", both[language], both[1 - language]));
    lines.collect::<Vec<_>>().join("\n")
}

/// One to three pieces of what belongs to a subject, each cut somewhere, so that single words count.
fn fragments(subject: &Subject, language: usize, dice: &mut Dice) -> String {
    let lists = [&subject.activities, &subject.things, &subject.utterances];
    let all: Vec<&Both> = lists.into_iter().flatten().collect();
    let count = 1 + dice.below(3);
    let pieces = (0..count).map(|_| {
        let text = dice.pick(&all)[language].as_str();
        // English is cut between words, Japanese anywhere.
        let units: Vec<&str> = if language == 0 {
            text.split_inclusive(' ').collect()
        } else {
            text.char_indices().map(|(at, letter)| &text[at..at + letter.len_utf8()]).collect()
        };
        let kept = (units.len() / 2 + dice.below(units.len() / 2 + 1)).max(1);
        let start = dice.below(units.len() - kept + 1);
        units[start..start + kept].concat().trim().to_owned()
    });
    pieces.collect::<Vec<_>>().join([", ", "、"][language])
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The lines of a file that are neither empty nor comments, with their numbers from 1.
fn lines(path: &Path) -> Result<Vec<(usize, String)>, Problem> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("`{}`: {e}", path.display()))?;
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim().to_string()));
    Ok(numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect())
}

fn read_subjects(path: &Path, subjects: &mut Vec<Subject>) -> Result<(), Problem> {
    let mut field = None;
    for (number, line) in lines(path)? {
        let place = || format!("`{}`, line {number}: ", path.display());
        let (marker, rest) = match line.chars().next() {
            Some(marker @ ('@' | '=' | '*')) => (marker, line[1..].trim()),
            _ => (' ', line.as_str()),
        };
        let (english, japanese) = rest
            .split_once(" = ")
            .ok_or_else(|| place() + &format!("expected `English = Japanese`, found `{rest}`"))?;
        let both = [english.trim().to_string(), japanese.trim().to_string()];
        if marker == '@' {
            field = Some(both);
            continue;
        }
        let field = field.as_ref().ok_or_else(|| place() + "expected a field `@ English = Japanese` first")?;
        if marker == '=' {
            subjects.push(Subject { field: field.clone(), name: both, ..Subject::default() });
            continue;
        }
        let subject = subjects.last_mut().ok_or_else(|| place() + "expected a subject `= English = Japanese` first")?;
        if marker == '*' { &mut subject.things } else { &mut subject.activities }.push(both);
    }
    Ok(())
}

fn read_utterances(path: &Path, subjects: &mut [Subject]) -> Result<(), Problem> {
    let mut current = None;
    for (number, line) in lines(path)? {
        let problem = |found: &str| format!("`{}`, line {number}: {found}", path.display());
        if let Some(name) = line.strip_prefix('=') {
            let position = subjects.iter().position(|subject| subject.name[0] == name.trim());
            current = Some(position.ok_or_else(|| problem(&format!("there is no subject `{}`", name.trim())))?);
            continue;
        }
        let both =
            line.split_once(" = ").map(|(english, japanese)| [english.trim(), japanese.trim()].map(str::to_owned));
        match (current, both) {
            (Some(index), Some(both)) => subjects[index].utterances.push(both),
            _ => return Err(problem("expected `= subject`, then lines `English = Japanese`")),
        }
    }
    Ok(())
}

fn read_patterns(path: &Path) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let mut patterns = BTreeMap::new();
    let mut section = String::new();
    for (_, line) in lines(path)? {
        match line.strip_prefix('=') {
            Some(name) => section = name.trim().to_string(),
            None => patterns.entry(section.clone()).or_insert_with(Vec::new).push(line),
        }
    }
    Ok(patterns)
}

/// Seeded random draws (SplitMix64: Steele, Lea and Flood, OOPSLA 2014); the same on every machine.
pub struct Dice(u64);

impl Dice {
    /// The draws of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * bound as u128) >> 64) as usize
    }

    /// One of the items, of which there is at least one.
    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Fisher and Yates.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
