//! How fast texts are searched for personal data and secrets: megabytes of text per second of processor time, one thread.
//!
//!     cargo run --release --example bench_policy [FILE…]
//!
//! Without files: made-up requests in Japanese and English, one in fifty of which holds something. With files: their lines.

#[path = "measure/process.rs"]
mod process;

use so8t::data::policy::{Finder, PolicyKind};

fn main() -> so8t::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let sets: Vec<(String, Vec<String>)> = if files.is_empty() {
        vec![("made-up, Japanese".to_owned(), made_up(true)), ("made-up, English".to_owned(), made_up(false))]
    } else {
        let read = |file: &String| -> so8t::Result<_> {
            let text = so8t::files::read_text(std::path::Path::new(file))?;
            Ok((file.clone(), text.lines().map(str::to_owned).collect()))
        };
        files.iter().map(read).collect::<so8t::Result<_>>()?
    };
    let finder = Finder::new(|kind| kind != PolicyKind::Ip)?;
    println!("{:24} {:>8} {:>8} {:>9} {:>8}", "texts", "rows", "MB", "found", "MB/CPU s");
    for (name, texts) in sets {
        let bytes: usize = texts.iter().map(String::len).sum();
        // As many passes as last a while.
        let passes = (200_000_000 / bytes.max(1)).max(1);
        let mut best = f64::MAX;
        let mut found = 0;
        for _ in 0..3 {
            let start = process::processor_seconds();
            for _ in 0..passes {
                found = texts.iter().map(|text| finder.find(text).len()).sum();
            }
            best = best.min((process::processor_seconds() - start) / passes as f64);
        }
        let megabytes = bytes as f64 / 1e6;
        println!("{name:24} {:8} {megabytes:8.1} {found:9} {:8.0}", texts.len(), megabytes / best.max(1e-9));
    }
    Ok(())
}

/// 40,000 requests of a few sentences.
fn made_up(japanese: bool) -> Vec<String> {
    let plain = match japanese {
        true => [
            "この契約書の要点を三つにまとめてください。",
            "2024年度の売上は前年比12.5%増でした。",
            "注文番号は20240115-0032です。",
            "薬を一度に飲むとどうなりますか？",
        ],
        false => [
            "Summarise the main points of this contract. ",
            "Sales rose by 12.5 % to 1,204,300 in 2024. ",
            "The order is 20240115-0032. ",
            "What happens if I take both at once? ",
        ],
    };
    let rare = match japanese {
        true => [
            "連絡先は090-1234-5678です。",
            "taro@example.co.jpへ。",
            "東京都渋谷区神南1-2-3に住む。",
            "カードは4111-1111-1111-1111。",
        ],
        false => [
            "Call +1 (212) 555-0123. ",
            "Mail jane.doe@example.com. ",
            "I live at 221 Baker Street. ",
            "Card 4111 1111 1111 1111. ",
        ],
    };
    (0..40_000_usize)
        .map(|row| {
            let mut text: String = (0..8).map(|place| plain[(row * 7 + place * 3 + row / 9) % 4]).collect();
            if row % 50 == 0 {
                text.push_str(rare[row / 50 % 4]);
            }
            text
        })
        .collect()
}
