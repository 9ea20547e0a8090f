//! Numbers that name somebody: phones, My Numbers, cards and, where they are asked for, IP addresses.
//!
//! Digits are gathered into chains: groups with single separators between them. A match is some groups of a chain, in a shape
//! that such a number is written in, that is no part of a longer word, number or code. Time is linear: each group is the first
//! of at most one try, and a try looks at no more than eight groups.

use std::ops::Range;

use super::PolicyKind;
use super::checksums::{card, my_number};

/// What stands between two groups of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Hyphen,
    Space,
    Dot,
    /// `(`, perhaps with a space or a hyphen before it.
    Open,
    /// `)`, perhaps with a space or a hyphen behind it.
    Close,
}

/// Digits without anything between them.
#[derive(Clone, Copy, Debug)]
struct Group {
    start: usize,
    end: usize,
    /// What stands before it; `None` before the first.
    before: Option<Gap>,
}

/// The most groups that one number is written in.
const GROUPS: usize = 8;

/// The numbers of a folded text, in order.
pub(super) fn find(text: &str, with_ip: bool, found: &mut Vec<(PolicyKind, Range<usize>)>) {
    let bytes = text.as_bytes();
    let mut chain = Vec::new();
    let mut at = 0;
    while let Some(skipped) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + skipped;
        at = gather(bytes, start, &mut chain);
        let chain = Chain { text, bytes, groups: &chain };
        let mut first = 0;
        while first < chain.groups.len() {
            match chain.classify(first, with_ip) {
                Some((kind, range, taken)) => {
                    found.push((kind, range));
                    first += taken;
                }
                None => first += 1,
            }
        }
    }
}

/// Gathers the groups of the chain that starts at `start`; where it ends.
fn gather(bytes: &[u8], start: usize, chain: &mut Vec<Group>) -> usize {
    chain.clear();
    let (mut at, mut before) = (start, None);
    loop {
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        chain.push(Group { start: at, end: at + length, before });
        at += length;
        match gap(&bytes[at..]) {
            Some((gap, width)) if bytes.get(at + width).is_some_and(u8::is_ascii_digit) => {
                before = Some(gap);
                at += width;
            }
            _ => return at,
        }
    }
}

/// The separator that `bytes` starts with, and its length.
fn gap(bytes: &[u8]) -> Option<(Gap, usize)> {
    Some(match bytes {
        [b')', b' ' | b'-', ..] => (Gap::Close, 2),
        [b')', ..] => (Gap::Close, 1),
        [b' ' | b'-', b'(', ..] => (Gap::Open, 2),
        [b'(', ..] => (Gap::Open, 1),
        [b'-', ..] => (Gap::Hyphen, 1),
        [b' ', ..] => (Gap::Space, 1),
        [b'.', ..] => (Gap::Dot, 1),
        // U+3000, the ideographic space, and U+30FC, which stands for a hyphen between full-width digits.
        [0xE3, 0x80, 0x80, ..] => (Gap::Space, 3),
        [0xE3, 0x83, 0xBC, ..] => (Gap::Hyphen, 3),
        _ => return None,
    })
}

/// A chain within its text.
struct Chain<'a> {
    text: &'a str,
    bytes: &'a [u8],
    groups: &'a [Group],
}

impl Chain<'_> {
    /// The number that begins with group `first`, and how many groups it has.
    fn classify(&self, first: usize, with_ip: bool) -> Option<(PolicyKind, Range<usize>, usize)> {
        let is_tied = self.is_tied_before(first);
        if !is_tied {
            for groups in [1, 3, 4, 5] {
                if self.is_card(first, groups) {
                    return Some((PolicyKind::Card, self.range(first, groups), groups));
                }
            }
            for groups in [1, 3] {
                if self.is_my_number(first, groups) {
                    return Some((PolicyKind::MyNumber, self.range(first, groups), groups));
                }
            }
            if let Some(groups) = self.international(first) {
                let range = self.range(first, groups);
                return Some((PolicyKind::Phone, range.start - 1..range.end, groups));
            }
            for groups in [3, 2, 1] {
                if self.is_japanese(first, groups) {
                    return Some((PolicyKind::Phone, self.with_bracket(first, groups), groups));
                }
            }
            if with_ip && self.is_ip(first) {
                return Some((PolicyKind::Ip, self.range(first, 4), 4));
            }
        }
        // «1-800-555-0123»: the one belongs to it.
        let prefixed = first > 0 && self.digits(first - 1) == b"1" && !self.is_tied_before(first - 1);
        if (!is_tied || prefixed) && self.is_north_american(first) {
            let start =
                if prefixed && is_tied { self.groups[first - 1].start } else { self.with_bracket(first, 3).start };
            return Some((PolicyKind::Phone, start..self.groups[first + 2].end, 3));
        }
        None
    }

    fn digits(&self, group: usize) -> &[u8] {
        &self.bytes[self.groups[group].start..self.groups[group].end]
    }

    fn range(&self, first: usize, groups: usize) -> Range<usize> {
        self.groups[first].start..self.groups[first + groups - 1].end
    }

    /// As [`Chain::range`], with the bracket before it.
    fn with_bracket(&self, first: usize, groups: usize) -> Range<usize> {
        let range = self.range(first, groups);
        let opens = self.groups.get(first + 1).is_some_and(|group| group.before == Some(Gap::Close));
        let bracket = opens && groups > 1 && range.start > 0 && self.bytes[range.start - 1] == b'(';
        range.start - usize::from(bracket)..range.end
    }

    /// Whether what stands before a group makes it a part of something longer.
    fn is_tied_before(&self, first: usize) -> bool {
        let start = self.groups[first].start;
        match self.groups[first].before {
            Some(Gap::Hyphen | Gap::Dot) => return true,
            Some(_) => return false,
            None => {}
        }
        match self.bytes[..start] {
            [.., before, b'-' | b'.' | b'_'] => before.is_ascii_alphanumeric() || before == b'_',
            [.., letter] if letter.is_ascii_alphabetic() => !self.is_called(start),
            [.., b'_'] => true,
            _ => false,
        }
    }

    /// Whether a word such as `TEL` ends right before `start`.
    fn is_called(&self, start: usize) -> bool {
        let head = &self.bytes[..start];
        ["tel", "fax", "phone"].iter().any(|word| {
            let at = head.len().checked_sub(word.len());
            at.is_some_and(|at| {
                head[at..].eq_ignore_ascii_case(word.as_bytes())
                    && !at.checked_sub(1).is_some_and(|at| head[at].is_ascii_alphanumeric())
            })
        })
    }

    /// Whether what stands behind some groups makes them a part of something longer.
    fn is_tied_after(&self, first: usize, groups: usize) -> bool {
        match self.groups.get(first + groups) {
            Some(next) => matches!(next.before, Some(Gap::Hyphen | Gap::Dot)),
            None => match self.bytes[self.groups[first + groups - 1].end..] {
                [byte, ..] if byte.is_ascii_alphanumeric() || byte == b'_' => true,
                [b'-', byte, ..] => byte.is_ascii_alphanumeric(),
                _ => false,
            },
        }
    }

    /// Whether the groups exist and have these lengths, and nothing longer than them goes on behind.
    fn has_shape(&self, first: usize, shape: &[usize]) -> bool {
        first + shape.len() <= self.groups.len()
            && shape.iter().enumerate().all(|(index, &length)| self.digits(first + index).len() == length)
            && !self.is_tied_after(first, shape.len())
    }

    /// The separators within some groups.
    fn gaps(&self, first: usize, groups: usize) -> impl Iterator<Item = Gap> {
        self.groups[first + 1..first + groups].iter().filter_map(|group| group.before)
    }

    /// Whether all separators within some groups are hyphens, or all are spaces.
    fn is_even(&self, first: usize, groups: usize) -> bool {
        let mut gaps = self.gaps(first, groups);
        let Some(one) = gaps.next() else { return true };
        matches!(one, Gap::Hyphen | Gap::Space) && gaps.all(|gap| gap == one)
    }

    /// The values of the digits of some groups.
    fn values(&self, first: usize, groups: usize) -> Vec<u8> {
        (first..first + groups).flat_map(|group| self.digits(group)).map(|digit| digit - b'0').collect()
    }

    fn is_card(&self, first: usize, groups: usize) -> bool {
        let shapes: &[&[usize]] = match groups {
            1 => {
                return (13..=19).contains(&self.digits(first).len())
                    && !self.is_tied_after(first, 1)
                    && card(&self.values(first, 1));
            }
            3 => &[&[4, 6, 5], &[4, 6, 4]],
            4 => &[&[4, 4, 4, 4]],
            _ => &[&[4, 4, 4, 4, 3]],
        };
        shapes.iter().any(|shape| self.has_shape(first, shape))
            && self.is_even(first, groups)
            && card(&self.values(first, groups))
    }

    fn is_my_number(&self, first: usize, groups: usize) -> bool {
        let shape: &[usize] = if groups == 1 { &[12] } else { &[4, 4, 4] };
        // Four more digits would make it something else.
        let has_four = |group: usize| group < self.groups.len() && self.digits(group).len() == 4;
        let goes_on = groups == 3 && (has_four(first + 3) || first.checked_sub(1).is_some_and(has_four));
        self.has_shape(first, shape)
            && !goes_on
            && self.is_even(first, groups)
            && my_number(&self.values(first, groups))
    }

    /// A number with its country's code (ITU-T E.164: at most 15 digits): how many groups it has.
    fn international(&self, first: usize) -> Option<usize> {
        let start = self.groups[first].start;
        let [head @ .., b'+'] = &self.bytes[..start] else { return None };
        if head.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'+') {
            return None;
        }
        let (mut digits, mut best) = (Vec::new(), None);
        for (index, group) in self.groups[first..].iter().take(GROUPS).enumerate() {
            let own = self.digits(first + index);
            // «+81 (0)3-…»: the zero in brackets is not dialled.
            let is_trunk = own == b"0" && group.before == Some(Gap::Open);
            if !is_trunk {
                digits.extend_from_slice(own);
            }
            if digits.len() > 15 {
                break;
            }
            if is_e164(&digits) && !self.is_tied_after(first, index + 1) {
                best = Some(index + 1);
            }
        }
        best
    }

    /// A number as it is written within Japan (総務省, 電気通信番号計画).
    fn is_japanese(&self, first: usize, groups: usize) -> bool {
        let head = self.digits(first);
        if head.first() != Some(&b'0') {
            return false;
        }
        let is = |shape: &[usize]| self.has_shape(first, shape);
        let mobile = matches!(head, [b'0', b'5'..=b'9', b'0']);
        let free = matches!(head, b"0120" | b"0570" | b"0990");
        let two = matches!(head, b"03" | b"04" | b"06");
        match groups {
            3 => {
                let gaps: Vec<Gap> = self.gaps(first, 3.min(self.groups.len() - first)).collect();
                let is_bracketed = match gaps[..] {
                    [Gap::Close, Gap::Hyphen] => first == 0 || self.groups[first].before == Some(Gap::Open),
                    [Gap::Open, Gap::Close] => true,
                    _ => false,
                };
                let area = matches!(head, [b'0', b'1'..=b'9', b'1'..=b'9']);
                (is_bracketed || (gaps.len() == 2 && self.is_even(first, 3)))
                    && ((two && is(&[2, 4, 4]))
                        || (mobile && is(&[3, 4, 4]))
                        || (area && is(&[3, 3, 4]))
                        || (free && is(&[4, 3, 3]))
                        || (head == b"0800" && is(&[4, 3, 4]))
                        || (head.get(1).is_some_and(|digit| *digit != b'0') && (is(&[4, 2, 4]) || is(&[5, 1, 4]))))
            }
            2 => {
                self.groups.get(first + 1).is_some_and(|group| group.before == Some(Gap::Hyphen))
                    && ((two && is(&[2, 8])) || (mobile && is(&[3, 8])) || (free && is(&[4, 6])))
            }
            _ => {
                let after = |n: usize| head.get(n).is_some_and(|digit| *digit != b'0');
                let is_mobile = matches!(head, [b'0', b'5' | b'7'..=b'9', b'0', ..]) && after(3) && is(&[11]);
                let is_line = after(1) && is(&[10]);
                let is_toll_free = head.starts_with(b"0800") && is(&[11]);
                is_mobile || ((is_line || is_toll_free) && self.is_announced(first))
            }
        }
    }

    /// Whether a word shortly before says that a phone number follows: ten digits without separators are too often something else.
    fn is_announced(&self, first: usize) -> bool {
        const WORDS: [&str; 14] = [
            "電話",
            "でんわ",
            "携帯",
            "連絡先",
            "☎",
            "📞",
            "tel",
            "Tel",
            "TEL",
            "phone",
            "Phone",
            "fax",
            "FAX",
            "call",
        ];
        let end = self.groups[first].start;
        let mut start = end.saturating_sub(30);
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        let before = &self.text[start..end];
        WORDS.iter().any(|word| before.contains(word))
    }

    /// Area, exchange and line of the North American Numbering Plan: NXX-NXX-XXXX, where N is 2 to 9.
    fn is_north_american(&self, first: usize) -> bool {
        if !self.has_shape(first, &[3, 3, 4]) {
            return false;
        }
        let gaps: Vec<Gap> = self.gaps(first, 3).collect();
        matches!(gaps[..], [Gap::Hyphen, Gap::Hyphen] | [Gap::Dot, Gap::Dot] | [Gap::Close, Gap::Hyphen])
            && (first..first + 2).all(|group| self.digits(group)[0] >= b'2')
    }

    /// Four numbers to 255 without leading zeros, joined by dots.
    fn is_ip(&self, first: usize) -> bool {
        first + 4 <= self.groups.len()
            && self.gaps(first, 4).all(|gap| gap == Gap::Dot)
            && !self.is_tied_after(first, 4)
            && (first..first + 4).all(|group| {
                let digits = self.digits(group);
                digits.len() <= 3
                    && (digits.len() == 1 || digits[0] != b'0')
                    && digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')) <= 255
            })
    }
}

/// Whether digits are a country's code and a national number whose length fits it. Of most countries only the lengths that occur
/// at all are known here: 9 to 15 digits in all.
fn is_e164(digits: &[u8]) -> bool {
    match digits {
        [b'1', area, _, _, exchange, ..] => digits.len() == 11 && *area >= b'2' && *exchange >= b'2',
        [b'8', b'1', b'5' | b'7'..=b'9', b'0', ..] => digits.len() == 12,
        [b'8', b'1', first, ..] => digits.len() == 11 && *first != b'0',
        [b'2'..=b'9', ..] => (9..=15).contains(&digits.len()),
        _ => false,
    }
}
