//! What is found as personal data or a secret, what is not, and how.

use so8t::data::Usage;
use so8t::data::policy::{Finder, Policy, PolicyAction, PolicyKind, PolicySettings, card, luhn, my_number};

use super::candidate;

fn finder() -> Finder {
    Finder::new(|_| true).unwrap()
}

/// The text with placeholders.
fn redacted(text: &str) -> String {
    finder().redacted(text).unwrap_or_else(|| text.to_owned())
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let finder = finder();
    for (text, expected) in cases {
        let found = finder.redacted(text).unwrap_or_else(|| (*text).to_owned());
        assert_eq!(found, *expected, "{text}");
    }
}

/// Texts in which nothing must be found.
#[track_caller]
fn check_none(cases: &[&str]) {
    let finder = finder();
    for text in cases {
        assert_eq!(finder.redacted(text), None, "{text}");
    }
}

#[test]
fn mail_addresses_are_found() {
    check(&[
        ("write to taro.yamada+work@example.co.jp.", "write to [MAIL]."),
        ("連絡はtaro@example.jpまで", "連絡は[MAIL]まで"),
        ("ｔａｒｏ＠ｅｘａｍｐｌｅ．ｃｏｍ に送って", "[MAIL] に送って"),
        ("<mailto:a_b@sub.example.org>, 'x@y.io'", "<mailto:[MAIL]>, '[MAIL]'"),
        ("a@example.com,b@example.com", "[MAIL],[MAIL]"),
        ("A@EXAMPLE.COM;", "[MAIL];"),
        ("taro@example.com.5", "[MAIL].5"),
        ("it is me@xn--eckwd4c7c.xn--zckzah", "it is [MAIL]"),
    ]);
    check_none(&[
        "@taro said so",
        "meet @ 5.30",
        "a@b",
        "user@localhost",
        "icon@2x.png",
        "react@18.2.0",
        "git@github.com:org/name",
        "x@y.c",
        "@decorator.method",
        "5 @ 3.50",
        "a..@.com",
        "name@-host.",
    ]);
}

#[test]
fn japanese_phone_numbers_are_found() {
    check(&[
        ("電話は090-1234-5678です", "電話は[PHONE]です"),
        ("080 1234 5678", "[PHONE]"),
        ("07012345678", "[PHONE]"),
        ("060-1234-5678", "[PHONE]"),
        ("０９０－１２３４－５６７８", "[PHONE]"),
        ("０９０ー１２３４ー５６７８まで", "[PHONE]まで"),
        ("０３　１２３４　５６７８", "[PHONE]"),
        ("03-1234-5678、06-1234-5678", "[PHONE]、[PHONE]"),
        ("(03)1234-5678", "[PHONE]"),
        ("03(1234)5678", "[PHONE]"),
        ("045-123-4567 / 0467-12-3456 / 01267-1-2345", "[PHONE] / [PHONE] / [PHONE]"),
        ("0120-123-456 0120-12-3456 0120-123456 0570-012-345 0800-123-4567", "[PHONE] [PHONE] [PHONE] [PHONE] [PHONE]"),
        ("050-1234-5678", "[PHONE]"),
        ("TEL0312345678", "TEL[PHONE]"),
        ("電話番号：0312345678", "電話番号：[PHONE]"),
        ("Tel: 0451234567.", "Tel: [PHONE]."),
        ("TEL/FAX 03-1234-5678/03-1234-5679", "TEL/FAX [PHONE]/[PHONE]"),
        ("2024-01-15 090-1234-5678", "2024-01-15 [PHONE]"),
    ]);
    check_none(&[
        "注文番号 0312345678",
        "ORD-090-1234-5678",
        "123-090-1234-5678",
        "090-1234-5678-90",
        "0901234567",
        "00012345678",
        "05-1234-5678",
        "000-1234-5678",
        "0-306-40615-2",
        "01-15-2024",
        "2024-01-15",
        "09012345678901",
        "a09012345678",
        "0312345678abc",
        "0.090-1234-5678",
        "10-1234-5678",
    ]);
}

#[test]
fn international_phone_numbers_are_found() {
    check(&[
        ("+81-90-1234-5678", "[PHONE]"),
        ("+81 3 1234 5678", "[PHONE]"),
        ("+81 (0)3-1234-5678", "[PHONE]"),
        ("＋８１－３－１２３４－５６７８", "[PHONE]"),
        ("call +1 (212) 555-0123 now", "call [PHONE] now"),
        ("+12125550123", "[PHONE]"),
        ("+44 20 7946 0958", "[PHONE]"),
        ("+49 (30) 123456", "[PHONE]"),
        ("+886-2-1234-5678", "[PHONE]"),
        ("212-555-0123", "[PHONE]"),
        ("(212) 555-0123", "[PHONE]"),
        ("1-800-555-0123", "[PHONE]"),
        ("415.555.2671", "[PHONE]"),
    ]);
    check_none(&[
        "1+12345678901",
        "C++11",
        "+100 points",
        "+1 112 555 0123",
        "+81 90 1234",
        "+20240115",
        "+1234567890123456",
        "112-555-0123",
        "212-155-0123",
        "1.212.555",
        "123-45-6789",
    ]);
}

#[test]
fn my_numbers_need_their_check_digit() {
    // The example of the ordinance's formula by hand: 1·2+1·3+9·4+8·5+7·6+6·7+5·2+4·3+3·4+2·5+1·6 over the digits from the right.
    let digits = |text: &str| text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>();
    assert!(my_number(&digits("123456789018")));
    let valid = (0..10).filter(|check| my_number(&digits(&format!("12345678901{check}")))).collect::<Vec<_>>();
    assert_eq!(valid, [8], "one check digit of ten is right");
    assert!(!my_number(&digits("000000000000")) && !my_number(&digits("12345678901")));
    check(&[
        ("マイナンバーは123456789018です", "マイナンバーは[MY_NUMBER]です"),
        ("1234-5678-9018", "[MY_NUMBER]"),
        ("１２３４　５６７８　９０１８", "[MY_NUMBER]"),
        ("1234 5678 9018 と", "[MY_NUMBER] と"),
    ]);
    check_none(&[
        "123456789019",
        "1234-5678-9019",
        "A123456789018",
        "123456789018x",
        "550e8400-e29b-41d4-a716-123456789018",
        "1234 5678 9018 0000",
        "1234567890180",
        "12345-678901-8",
    ]);
}

#[test]
fn every_check_digit_of_a_my_number_is_told() {
    // An independent reading of the ordinance: weights of the eleven digits from the left are 6 5 4 3 2 7 6 5 4 3 2.
    let weights = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
    let mut state = 7_u64;
    for _ in 0..2_000 {
        let digits: Vec<u8> = (0..11).map(|_| (so8t_random(&mut state) % 10) as u8).collect();
        let sum: u32 = digits.iter().zip(weights).map(|(&digit, weight)| u32::from(digit) * weight).sum();
        let expected = if sum % 11 <= 1 { 0 } else { 11 - sum % 11 };
        for check in 0..10_u8 {
            let all = [digits.as_slice(), &[check]].concat();
            assert_eq!(my_number(&all), u32::from(check) == expected && digits.iter().any(|d| *d != check), "{all:?}");
        }
    }
}

/// A plain generator of numbers (xorshift).
fn so8t_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn cards_need_a_prefix_and_their_check_digit() {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect::<Vec<_>>();
    // The published test numbers of the networks.
    for number in [
        "4111111111111111",
        "4012888888881881",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
        "4222222222222",
        "6759649826438453",
    ] {
        assert!(luhn(&digits(number)) && card(&digits(number)), "{number}");
        assert_eq!(redacted(&format!("no {number}.")), "no [CARD].");
        let mut wrong = digits(number);
        let last = wrong.len() - 1;
        wrong[last] = (wrong[last] + 1) % 10;
        assert!(!card(&wrong), "{number}");
    }
    check(&[
        ("カード4111-1111-1111-1111で", "カード[CARD]で"),
        ("４１１１　１１１１　１１１１　１１１１", "[CARD]"),
        ("3782 822463 10005", "[CARD]"),
        ("3056-930902-5904", "[CARD]"),
        ("4111 1111 1111 1111, 5555 5555 5555 4444", "[CARD], [CARD]"),
    ]);
    check_none(&[
        "4111111111111112",
        "4111 1111-1111 1111",
        "411111111111111",
        "9784065212349",
        "978-4-06-521234-9",
        "4901234567894",
        "4512345678906",
        "1700000000000",
        "20240115103000",
        "0.4111111111111111",
        "x4111111111111111",
        "4111111111111111e5",
        "id-4111111111111111",
        "0000000000000000",
        "12345678901234567890123",
    ]);
}

#[test]
fn keys_are_found_by_their_prefixes() {
    // Made up, and put together here so that no scanner takes this file for a leak.
    let letters = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5kL7n";
    let made = [
        format!("AKIA{}", "ABCDEFGH234567AB"),
        format!("ghp_{}", &letters[..36]),
        format!("github_pat_{letters}"),
        format!("glpat-{}", &letters[..20]),
        format!("xoxb-{}", "123456789012-abcdefABCDEF"),
        format!("sk-{}", &letters[..32]),
        format!("sk-proj-{letters}"),
        format!("sk_live_{}", &letters[..24]),
        format!("AIza{}", &letters[..35]),
        format!("hf_{}", &letters[..34]),
        format!("npm_{}", &letters[..36]),
        format!("SG.{}.{}{}", &letters[..22], letters, "abc"),
        format!("dop_v1_{}", "0123456789abcdef".repeat(4)),
        format!("eyJ{0}.eyJ{0}.{0}", &letters[..20]),
    ];
    for key in &made {
        assert_eq!(redacted(&format!("token = \"{key}\";")), "token = \"[KEY]\";", "{key}");
        assert_eq!(redacted(&format!("鍵は{key}です")), "鍵は[KEY]です", "{key}");
        assert_eq!(finder().redacted(&format!("x{key}")).filter(|text| text.contains("[KEY]")), None, "{key}");
    }
    let block =
        |name: &str| format!("-----BEGIN {name}-----\nMIIEpAIBAAKCAQEA1234567890abcdef\nAAAA\n-----END {name}-----");
    check(&[
        (&format!("a {} b", block("RSA PRIVATE KEY")), "a [KEY] b"),
        (&format!("a {} b", block("PRIVATE KEY").replace('\n', "\\n")), "a [KEY] b"),
        (&block("OPENSSH PRIVATE KEY")[..68], "[KEY]"),
        ("postgres://me:secret@db.example.com/x", "postgres[KEY]/x"),
    ]);
    check_none(&[
        "AKIA is a prefix",
        "AKIAabcdefghijklmnop",
        "sk-learn-compatible-estimators-for-everybody",
        "task-AbC123AbC123AbC123AbC123",
        "ghp_short",
        "xoxo-love-and-kisses-forever",
        "sk_live_short",
        "eyJhbGciOi.eyJzdWIi",
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA1234567890abcdef\n-----END CERTIFICATE-----",
        "a file begins with -----BEGIN PRIVATE KEY----- and then the key follows",
        "https://example.com/a:b@c",
        "SG. is Singapore",
    ]);
}

#[test]
fn addresses_lead_to_a_house() {
    check(&[
        ("〒100-0001 東京都千代田区千代田1-1です", "[ADDRESS]です"),
        ("住所は東京都渋谷区神南１－２－３です", "住所は[ADDRESS]です"),
        ("大阪府大阪市北区梅田三丁目1番3号に届けて", "[ADDRESS]に届けて"),
        ("北海道札幌市中央区北1条西2丁目", "北海道札幌市中央区北1条西2丁目"),
        ("渋谷区神南1丁目2番3号", "[ADDRESS]"),
        ("神奈川県横浜市西区みなとみらい2-2-1 ランドマーク101号室", "[ADDRESS]"),
        ("愛知県名古屋市中区栄123番地4", "[ADDRESS]"),
        ("〒１６０－００２２", "[ADDRESS]"),
        ("I live at 221 Baker Street.", "I live at [ADDRESS]."),
        ("1600 Pennsylvania Ave NW, Washington", "[ADDRESS] NW, Washington"),
        ("12 Oak Dr, Springfield, IL 62704 is it", "[ADDRESS] is it"),
        ("350 Fifth Avenue, New York, NY 10118-0110", "[ADDRESS]"),
        ("742 Evergreen Terrace, Springfield, OR", "[ADDRESS]"),
        ("5 N. Main St. Apt 4B", "[ADDRESS]"),
    ]);
    check_none(&[
        "東京都渋谷区にある3つの公園",
        "東京都の人口は1400万人",
        "大阪府大阪市の3番人気の店",
        "京都府京都市で2-3日過ごす",
        "北海道札幌市内2-3日の旅",
        "銀座の一丁目",
        "In 2008 Wall Street fell",
        "3 Different Ways",
        "wait 10 Minutes Dr. Smith",
        "Top 10 Street foods in the city of 5 roads",
        "5 street lamps",
        "the 3 Musketeers Way of life",
    ]);
}

#[test]
fn ip_addresses_are_found_only_where_they_are_asked_for() {
    check(&[("ping 192.168.10.1 now", "ping [IP] now"), ("8.8.8.8:53", "[IP]:53")]);
    check_none(&["1.2.3.4.5", "v1.2.3.4", "256.1.1.1", "1.2.3", "01.2.3.4"]);
    let others = Finder::new(|kind| kind != PolicyKind::Ip).unwrap();
    assert_eq!(others.redacted("192.168.10.1"), None);
}

#[test]
fn findings_do_not_overlap_and_lie_between_characters() {
    let pieces = [
        "０９０－１２３４－５６７８",
        "taro@example.com",
        "東京都渋谷区神南1-2-3",
        "4111 1111 1111 1111",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "@",
        "＋８１",
        "〒",
        "123456789018",
        "丁目",
        " Street",
        "221 Baker",
        "📞",
        "\u{0}",
        "ー",
        "(",
        ")",
        "-",
        " ",
        "sk-",
        "://",
        "a:b@",
        "。",
        "é",
        "\n",
    ];
    let finder = finder();
    let mut state = 3_u64;
    for _ in 0..3_000 {
        let text: String = (0..so8t_random(&mut state) % 12)
            .map(|_| pieces[(so8t_random(&mut state) % pieces.len() as u64) as usize])
            .collect();
        let found = finder.find(&text);
        let mut end = 0;
        for finding in &found {
            assert!(finding.range.start >= end && finding.range.end > finding.range.start, "{text:?}: {found:?}");
            assert!(text.get(finding.range.clone()).is_some(), "{text:?}: {found:?}");
            end = finding.range.end;
        }
        let apart = format!("{text}\ntaro@example.com\n{text}\n4111 1111 1111 1111\n");
        let once = finder.redacted(&apart).unwrap();
        assert!(
            !once.contains("\ntaro@example.com\n") && !once.contains("\n4111 1111 1111 1111\n"),
            "{apart:?} → {once:?}"
        );
    }
}

#[test]
fn time_is_linear_on_hostile_texts() {
    let finder = finder();
    for unit in [
        "@a.",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "1-",
        "+1 ",
        "東京都",
        "〒100-0001 ",
        "1 A Street ",
        "丁目",
        "://a:",
        "sk-",
        "sk-a",
        "eyJa.",
        "０",
        "(0)",
    ] {
        // Quadratic time would be minutes: the bound leaves room for a machine with other work.
        let text = unit.repeat((4 << 20) / unit.len());
        let start = std::time::Instant::now();
        std::hint::black_box(finder.find(&text).len());
        assert!(start.elapsed().as_secs() < 20, "`{unit}`: {:?}", start.elapsed());
    }
}

#[test]
fn examples_are_redacted_and_their_names_numbered() {
    let mut settings = PolicySettings::default();
    settings.set(PolicyKind::Card, PolicyAction::Drop);
    let mut policy = Policy::new(settings).unwrap();
    let mut example = candidate("mail a@example.com", 0, "b@example.com", Usage::Both).example;
    example.request.input = "090-1234-5678".into();
    example.output = "sent to a@example.com and c@example.com".into();
    let judged = policy.redact(&mut example);
    assert_eq!((&*example.request.instruction, &*example.request.input), ("mail [MAIL]", "[PHONE]"));
    assert_eq!(example.output, "sent to [MAIL] and [MAIL]");
    assert_eq!(judged.counts.by_name(), [("mail".to_owned(), 3), ("phone".to_owned(), 1)].into());
    assert_eq!(policy.action(&judged.counts), PolicyAction::Redact);
    assert!(judged.is_named);
    let mut second = candidate("x", 0, "b@example.com", Usage::Both).example;
    assert_eq!((policy.rename(&mut example), policy.rename(&mut second)), (2, 2));
    assert_eq!(example.group, second.group);
    assert!(example.id != second.id && !example.id.contains("example.com"), "{}", example.id);
    assert_eq!(policy.text("`a@example.com` is no label"), "`[MAIL]` is no label");

    let mut card = candidate("4111111111111111", 0, "", Usage::Both).example;
    let judged = policy.redact(&mut card);
    assert_eq!(policy.action(&judged.counts), PolicyAction::Drop);
}
