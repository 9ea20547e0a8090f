use std::io::Read;

use encoding_rs::{EUC_JP, ISO_2022_JP, SHIFT_JIS, WINDOWS_1252};
use so8t::data::input::{self, InputOptions};

use super::read_as;

/// Japanese as it is written, 40 lines of it behind plain ASCII.
fn japanese() -> String {
    let mut text = "{\"id\": 0, \"text\": \"plain\"}\n".repeat(20_000);
    for i in 0..40 {
        text.push_str(&format!(
            "{{\"id\": {i}, \"text\": \"これは試験です。髙島さん①、ソフトウェアの表示は「能力」と~\\\\\"}}\n"
        ));
    }
    text
}

fn encoded(encoding: &'static encoding_rs::Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, lost) = encoding.encode(text);
    assert!(!lost, "{}", encoding.name());
    bytes.into_owned()
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    format!("{mark}{text}")
        .encode_utf16()
        .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
        .collect()
}

#[test]
fn utf8_is_given_as_it_is() {
    for text in ["", "a", "é", "\u{feff}これ", "\u{feff}", &japanese()] {
        assert_eq!(read_as("a", text.as_bytes(), None).unwrap(), *text);
        assert_eq!(read_as("a", text.as_bytes(), Some("utf-8")).unwrap(), *text);
    }
}

#[test]
fn utf16_is_told_by_its_mark_or_declared() {
    let text = japanese() + "😀";
    for little in [true, false] {
        let name = if little { "utf-16le" } else { "utf-16be" };
        for declared in [None, Some("utf-16"), Some(name)] {
            assert_eq!(read_as("a", &utf16(&text, little, true), declared).unwrap(), text, "{declared:?}");
        }
        assert_eq!(read_as("a", &utf16(&text, little, false), Some(name)).unwrap(), text);
        let error = read_as("a", &utf16(&text, little, false), None).unwrap_err();
        let expected = format!(
            "cannot read `FILE`: it begins with a zero byte among the first two, as UTF-16 without a byte order mark does\n\
             hint: declare `encoding = \"{name}\"`"
        );
        assert_eq!(error, expected);
        let error = read_as("a", &utf16(&text, little, false), Some("utf-16")).unwrap_err();
        assert!(error.contains("declared as UTF-16, and has no byte order mark that says which"), "{error}");
        let other = if little { "utf-16be" } else { "utf-16le" };
        let error = read_as("a", &utf16(&text, little, true), Some(other)).unwrap_err();
        assert!(
            error.contains(&format!("declared as {}, and begins with the byte order mark", other.to_uppercase())),
            "{error}"
        );
    }
    assert_eq!(read_as("a", b"", Some("utf-16")).unwrap(), "");
}

#[test]
fn broken_utf16_names_the_byte() {
    let mut odd = utf16("ab\ncd", true, true);
    odd.push(0x41);
    assert_eq!(
        read_as("a", &odd, None).unwrap_err(),
        "cannot read `FILE`: the byte at offset 12 (0x41, line 2) is not UTF-16LE"
    );
    // A surrogate that is alone.
    let alone = [&utf16("a\nb", true, true)[..], &[0x00, 0xd8], &utf16("cd", true, false)].concat();
    let error = read_as("a", &alone, None).unwrap_err();
    assert_eq!(error, "cannot read `FILE`: the byte at offset 8 (0x00 0xd8, line 2) is not UTF-16LE");
    let error = read_as("a", &[0xff, 0xfe, 0, 0, 0x41, 0, 0, 0], None).unwrap_err();
    assert_eq!(error, "cannot read `FILE`: it begins with the byte order mark of UTF-32, which is not read");
}

#[test]
fn japanese_encodings_are_read_where_declared_and_where_certain() {
    let text = japanese();
    for (encoding, names) in
        [(SHIFT_JIS, &["shift_jis", "cp932", "sjis", "Windows-31J"][..]), (EUC_JP, &["euc-jp", "EUC-JP"])]
    {
        // EUC-JP has no circled digits.
        let text = if encoding == EUC_JP { text.replace(['①', '髙'], "") } else { text.clone() };
        let bytes = encoded(encoding, &text);
        assert_eq!(read_as("a", &bytes, None).unwrap(), text, "{} is certain", encoding.name());
        for name in names {
            assert_eq!(read_as("a", &bytes, Some(name)).unwrap(), text, "{name}");
        }
    }
    let bytes = encoded(ISO_2022_JP, "id,text\n1,これは\n");
    assert_eq!(read_as("a", &bytes, Some("iso-2022-jp")).unwrap(), "id,text\n1,これは\n");
    assert_eq!(
        read_as("a", &bytes, None).unwrap_err(),
        "cannot read `FILE`: the byte at offset 10 (0x1b, line 2) begins a sequence of ISO-2022-JP, and what the text is in is not certain\n\
         hint: declare what is right in `[[data]]`: `encoding = \"iso-2022-jp\"` reads `1,これは`"
    );
}

#[test]
fn an_escape_is_told_wherever_a_piece_ends() {
    // Each member of gzip is a piece of its own.
    let text = encoded(ISO_2022_JP, "id,text\n1,これ\n");
    let member = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, text).unwrap();
        encoder.finish().unwrap()
    };
    let whole = read_as("a", &text, None).unwrap_err();
    assert!(whole.contains("the byte at offset 10 (0x1b, line 2) begins a sequence of ISO-2022-JP"), "{whole}");
    for cut in 9..14 {
        let pieces = [member(&text[..cut]), member(&text[cut..])].concat();
        assert_eq!(read_as("a", &pieces, None).unwrap_err(), whole, "cut at {cut}");
    }
    // One that begins nothing is a character like any other, at the end too.
    for text in ["a\u{1b}", "a\u{1b}$", "\u{1b}[31mred"] {
        assert_eq!(read_as("a", text.as_bytes(), None).unwrap(), text);
        let pieces: Vec<u8> = text.bytes().flat_map(|byte| member(&[byte])).collect();
        assert_eq!(read_as("a", &pieces, None).unwrap(), text);
    }
    // The escape is named, not a wrong byte behind it.
    let error = read_as("a", b"a\x1b$B$3\xd4\xd4", None).unwrap_err();
    assert!(error.contains("the byte at offset 1 (0x1b, line 1) begins a sequence of ISO-2022-JP"), "{error}");
}

#[test]
fn on_doubt_nothing_is_guessed() {
    // Too little to be certain; both encodings can read it.
    let short = encoded(SHIFT_JIS, "id,text\n1,\"はい、そうです\"\n");
    let error = read_as("a", &short, None).unwrap_err();
    assert_eq!(
        error.lines().next().unwrap(),
        "cannot read `FILE`: the byte at offset 11 (0x82, line 2) is not UTF-8, and what the text is in is not certain"
    );
    assert!(error.contains("`encoding = \"shift_jis\"` reads `1,\"はい、そうです\"`"), "{error}");
    // Half-width katakana are the classic trap.
    let half = encoded(SHIFT_JIS, "ｱｲｳｴｵ ﾃｽﾄ");
    assert!(read_as("a", &half, None).is_err());
    // Other languages in other encodings, long enough to tempt.
    let french = encoded(WINDOWS_1252, &"Où êtes-vous allé cet été, à la forêt où à la plage ?\n".repeat(200));
    let error = read_as("a", &french, None).unwrap_err();
    assert!(error.contains("the byte at offset 1 (0xf9, line 1) is not UTF-8"), "{error}");
    assert!(error.contains("`encoding = \"windows-1252\"` reads `Où êtes-vous allé"), "{error}");
    for (encoding, sample) in [
        (encoding_rs::GBK, "今天天气很好，我们一起去公园散步吧。你觉得怎么样？"),
        (encoding_rs::BIG5, "今天天氣很好，我們一起去公園散步吧。你覺得怎麼樣？"),
        (encoding_rs::EUC_KR, "오늘은 날씨가 정말 좋네요. 우리 함께 공원에 갈까요? ㅋㅋㅋㅋ"),
        (encoding_rs::WINDOWS_1251, "Сегодня хорошая погода, пойдём гулять в парк?"),
    ] {
        let error = read_as("a", &encoded(encoding, &sample.repeat(100)), None).unwrap_err();
        assert!(error.contains("is not UTF-8, and what the text is in is not certain"), "{}: {error}", encoding.name());
    }
}

#[test]
fn mixed_text_is_an_error_and_single_wrong_bytes_are_the_converters_to_reject() {
    let line = "これは試験です。\n";
    let mixed = [line.repeat(30).as_bytes(), &encoded(SHIFT_JIS, &line.repeat(30))].concat();
    let error = read_as("a", &mixed, None).unwrap_err();
    assert!(error.contains("the byte at offset 750 (0x82, line 31) is not UTF-8"), "{error}");
    assert!(error.contains("the file may be damaged or mixed"), "{error}");
    // One wrong byte among many right characters: the text is UTF-8, and the bytes go on as they are.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let bytes = [line.repeat(30).as_bytes(), b"\xff\n", line.as_bytes()].concat();
    std::fs::write(&path, &bytes).unwrap();
    let mut found = Vec::new();
    std::io::Read::read_to_end(&mut so8t::data::input::open(&path, &Default::default()).unwrap(), &mut found).unwrap();
    assert_eq!(found, bytes);
}

#[test]
fn a_wrong_declaration_names_the_byte() {
    for (text, encoding, expected) in [
        (&b"a\n\x82\xa0\x82\xff"[..], "shift_jis", "the byte at offset 4 (0x82 0xff, line 2) is not Shift_JIS"),
        (b"ok \x82", "shift_jis", "the byte at offset 3 (0x82, line 1) is not Shift_JIS"),
        ("日本".as_bytes(), "euc-jp", "is not EUC-JP"),
        (b"\xef\xbb\xbfabc", "shift_jis", "it is declared as Shift_JIS, and begins with the byte order mark of UTF-8"),
        (b"\xff\xfea\0", "utf-8", "it is declared as UTF-8, and begins with the byte order mark of UTF-16LE"),
    ] {
        let error = read_as("a", text, Some(encoding)).unwrap_err();
        assert!(error.contains(expected), "{encoding}: {error}");
    }
    let error = "klingon".parse::<so8t::data::input::Encoding>().unwrap_err();
    assert!(error.starts_with("`klingon` is not an encoding: expected `utf-8`, `utf-16`"), "{error}");
}

#[test]
fn any_bytes_are_taken_and_how_they_are_read_does_not_matter() {
    let (japanese, _, _) = SHIFT_JIS.encode("これは、とても長い試験の文です。");
    let pieces: [&[u8]; 10] = [
        b"plain text\n",
        "日本語です".as_bytes(),
        &japanese,
        b"\xff",
        b"\0",
        b"\r\n",
        b"\x1b$B",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x82",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut state = 1_u64;
    for _ in 0..400 {
        let mut bytes = Vec::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(pieces[(state >> 33) as usize % pieces.len()]);
        }
        std::fs::write(&path, &bytes).unwrap();
        for encoding in [None, Some("utf-8"), Some("shift_jis"), Some("utf-16le")] {
            let options = InputOptions { encoding: encoding.map(|name| name.parse().unwrap()) };
            let read = |size: usize| -> (Vec<u8>, Option<String>) {
                let mut reader = input::open(&path, &options).unwrap();
                let (mut all, mut piece) = (Vec::new(), vec![0; size]);
                loop {
                    match reader.read(&mut piece) {
                        Ok(0) => return (all, None),
                        Ok(read) => all.extend_from_slice(&piece[..read]),
                        Err(error) => return (all, Some(input::failed(&path, error).to_string())),
                    }
                }
            };
            let (whole, error) = read(1 << 20);
            assert_eq!((whole.clone(), error.clone()), read(3), "{encoding:?}: {bytes:?}");
            if error.is_none() && matches!(encoding, Some("shift_jis" | "utf-16le")) {
                assert!(std::str::from_utf8(&whole).is_ok(), "{bytes:?}");
            }
        }
    }
}
