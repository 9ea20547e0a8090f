//! Postal addresses: Japanese ones by postal code, prefecture or 丁目, and street addresses of the United States.
//!
//! A name of a city or a street alone is no address: it must lead to a house. What is looked at around a clue is bounded.

use std::ops::Range;

use regex::Regex;

use super::boundary;
use so8t_base::{Error, Result};

/// What makes an address likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clue {
    /// 〒, or a prefecture's name: the address begins here.
    Head,
    /// 丁目: the address reaches from before to behind.
    Chome,
    /// The name of a kind of street.
    Street,
}

/// The characters of a text that are looked at before and behind a clue.
const BEFORE: usize = 48;
const BEHIND: usize = 96;

const PREFECTURES: [&str; 47] = [
    "北海道",
    "青森県",
    "岩手県",
    "宮城県",
    "秋田県",
    "山形県",
    "福島県",
    "茨城県",
    "栃木県",
    "群馬県",
    "埼玉県",
    "千葉県",
    "東京都",
    "神奈川県",
    "新潟県",
    "富山県",
    "石川県",
    "福井県",
    "山梨県",
    "長野県",
    "岐阜県",
    "静岡県",
    "愛知県",
    "三重県",
    "滋賀県",
    "京都府",
    "大阪府",
    "兵庫県",
    "奈良県",
    "和歌山県",
    "鳥取県",
    "島根県",
    "岡山県",
    "広島県",
    "山口県",
    "徳島県",
    "香川県",
    "愛媛県",
    "高知県",
    "福岡県",
    "佐賀県",
    "長崎県",
    "熊本県",
    "大分県",
    "宮崎県",
    "鹿児島県",
    "沖縄県",
];

/// Kinds of streets whose names mean little else.
const CLEAR: &str = "Street|Avenue|Ave|Boulevard|Blvd|Road|Rd|Lane|Parkway|Pkwy|Highway|Hwy";
/// Kinds of streets that are also words or titles: a city or a flat must follow.
const VAGUE: &str = "St|Drive|Dr|Court|Ct|Place|Pl|Way|Terrace|Circle|Ln|Square";

/// How a house's place is written: 1丁目2番3号, 二丁目3-4, 1-2-3, 123番地4. A number and の or 番 alone would be any counted thing.
const HOUSE: &str = r"(?:(?:[0-9]{1,2}|[一二三四五六七八九十]{1,3})丁目(?:[0-9]{1,4}(?:番地?(?:の?[0-9]{1,4})?号?|(?:[-ーの][0-9]{1,4}){0,2}号?))?|[0-9]{1,5}番地(?:[の-]?[0-9]{1,4}(?:号|-[0-9]{1,4})?)?|[0-9]{1,4}番[0-9]{1,4}号?|[0-9]{1,4}(?:[-ー][0-9]{1,4}){1,3}(?:号)?)";

/// The patterns of addresses.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    head: Regex,
    chome: Regex,
    street: Regex,
}

impl Addresses {
    pub(super) fn new() -> Result<Self> {
        let compile =
            |pattern: &str| Regex::new(pattern).map_err(|e| Error::internal(format!("an address's pattern: {e}")));
        let name = r"[\p{Han}\p{Hiragana}\p{Katakana}々ヶケー]";
        let house = format!(r"{HOUSE}(?:[ 　]?[^\s、。,\x22<>]{{0,15}}?[0-9]{{1,4}}号室)?");
        let place = format!(r"{name}{{1,8}}?[市区町村郡]{name}{{0,20}}?[ 　]?{house}");
        let prefecture = PREFECTURES.join("|");
        let tail = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl)\.? ?#?[A-Za-z0-9-]{1,6}|,? #[0-9A-Za-z-]{1,6})";
        let city = r"(?:,? [A-Z][a-z]{1,15}(?: [A-Z][a-z]{1,15}){0,2},? [A-Z]{2}(?: [0-9]{5}(?:-[0-9]{4})?)?\b)";
        let number = r"\b[0-9]{1,5}[A-Z]?";
        let way = r"(?:(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.? )?(?:(?:[A-Z][a-z]{1,15}|[0-9]{1,3}(?:st|nd|rd|th)) ){1,3}?";
        Ok(Self {
            head: compile(&format!(
                r"\A(?:〒[ 　]?[0-9]{{3}}-?[0-9]{{4}}(?:[ 　\n]{{0,2}}(?:{prefecture})?[ 　]?{place})?|(?:{prefecture})[ 　]?{place})"
            ))?,
            chome: compile(&format!(r"{name}{{1,8}}?[市区町村]{name}{{1,12}}?{house}"))?,
            street: compile(&format!(
                r"(?P<number>{number}) {way}(?:(?:{CLEAR})\b\.?(?P<tail>{tail}?{city}?)|(?:{VAGUE})\b\.?(?P<must>{tail}{city}?|{city}))"
            ))?,
        })
    }

    /// What makes an address likely, and of what kind it is.
    pub(super) fn clues() -> impl Iterator<Item = (String, Clue)> {
        let heads = PREFECTURES.iter().chain(&["〒"]).map(|name| ((*name).to_owned(), Clue::Head));
        let streets = CLEAR.split('|').chain(VAGUE.split('|')).map(|name| (format!(" {name}"), Clue::Street));
        heads.chain([("丁目".to_owned(), Clue::Chome)]).chain(streets)
    }

    /// The address that a clue belongs to, not before `from`.
    pub(super) fn around(&self, text: &str, clue: Clue, at: Range<usize>, from: usize) -> Option<Range<usize>> {
        if clue == Clue::Head {
            let end = boundary(text, at.end + BEHIND * 3);
            let found = self.head.find(&text[at.start..end])?;
            let range = at.start..at.start + found.end();
            return (is_place(found.as_str()) && !is_counted(&text[range.end..])).then_some(range);
        }
        let start = boundary(text, at.start.saturating_sub(BEFORE)).max(from);
        let window = &text[start..boundary(text, at.end + BEHIND)];
        let pattern = if clue == Clue::Chome { &self.chome } else { &self.street };
        let found = pattern.captures(window)?;
        let whole = found.get(0)?;
        let range = start + whole.start()..start + whole.start() + whole.as_str().trim_end_matches('.').len();
        if !(range.start <= at.start && at.end <= range.end) {
            return None;
        }
        let is_address = match clue {
            Clue::Street => {
                let number = found.name("number").map_or("", |number| number.as_str());
                let tail =
                    [found.name("tail"), found.name("must")].into_iter().flatten().map(|m| m.len()).sum::<usize>();
                // «In 2008 Wall Street fell»: a year.
                tail > 0
                    || !(number.len() == 4
                        && (number.starts_with("18") || number.starts_with("19") || number.starts_with("20")))
            }
            _ => is_place(whole.as_str()) && !is_counted(&text[range.end..]),
        };
        is_address.then_some(range)
    }
}

/// Whether a match reads as one name after another, not as a sentence about a place.
fn is_place(text: &str) -> bool {
    !["では", "には", "にある", "から", "まで", "を", "です", "という", "について"]
        .iter()
        .any(|word| text.contains(word))
}

/// Whether what follows makes the last number one of counted things, as in `2-3日` and `10-20人`.
fn is_counted(rest: &str) -> bool {
    rest.chars().next().is_some_and(|letter| "日月年時分人回個件円位歳倍割%％代章点".contains(letter))
}
