//! `report.html` in a real browser: it renders without complaint, what moves works, and no request runs.
//!
//! Where no Chromium is found the tests say so and do nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use so8t::report::html::page;

use super::full;

/// The browser, or nothing with the reason printed.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let found =
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: none of `{}` is on PATH", names.join("`, `"));
    }
    found
}

/// What a page came to.
struct Outcome {
    /// The document after its scripts ran.
    document: String,
    /// What the console was told.
    console: Vec<String>,
}

impl Outcome {
    /// What the test's script wrote with `report`.
    fn reported(&self) -> Value {
        let text = self.document.split_once("<pre id=\"outcome\">").expect(&self.document).1;
        let text = text.split_once("</pre>").unwrap().0;
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
        serde_json::from_str(&text).expect(&text)
    }
}

/// Opens `page` with `address` behind its path in a window `width` pixels wide.
fn open(browser: &Path, page: &str, address: &str, width: u32) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, page).unwrap();
    let mut child = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--window-size={width},1600"))
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}{address}", file.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, err) = (read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap()));
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the browser did not end: {}", err.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let console = err.join().unwrap().lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Outcome { document: out.join().unwrap(), console }
}

/// Reads a pipe to its end on a thread of its own.
fn read_all(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The page with a script of the test's at its end, which the policy lets through by a nonce and nothing else. The script's value is
/// written into the document as JSON.
fn with_script(page: &str, script: &str) -> String {
    let script = format!(
        "<script nonce=\"test\">(function () {{ const outcome = (function () {{ {script} }}());\n\
         const place = document.createElement('pre'); place.id = 'outcome'; place.textContent = JSON.stringify(outcome);\n\
         document.body.append(place); }}());</script></body>"
    );
    let (policy, body) = ("script-src ", "</body>");
    assert!(page.matches(policy).count() == 1 && page.matches(body).count() == 1);
    page.replace(policy, "script-src 'nonce-test' ").replace(body, &script)
}

#[test]
fn the_page_renders_without_complaint() {
    let Some(browser) = browser() else { return };
    let page = page(&full::report());
    // Whatever the console is told is seen.
    let loud = open(&browser, &with_script(&page, "console.warn('heard'); return 1"), "", 1280);
    assert_eq!(loud.console.len(), 1, "{:?}", loud.console);
    assert!(loud.console[0].contains("heard"));
    let script = "
        const box = document.querySelector('.cards').getBoundingClientRect();
        const style = getComputedStyle(document.querySelector('.card'));
        return { cards: document.querySelectorAll('.card').length, wide: box.width > 500, padded: style.paddingLeft !== '0px',
                 hidden: document.querySelectorAll('.slider[hidden], #flip-filters[hidden], .languages[hidden]').length };";
    let outcome = open(&browser, &with_script(&page, script), "", 1280);
    assert_eq!(outcome.console, Vec::<String>::new());
    assert_eq!(outcome.reported(), json!({ "cards": 5, "wide": true, "padded": true, "hidden": 0 }));
}

#[test]
fn nothing_is_wider_than_a_phone() {
    let Some(browser) = browser() else { return };
    // A window of the browser has a least width; a frame has none.
    let inner = page(&full::report()).replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<!DOCTYPE html><body><iframe width=\"390\" height=\"800\" srcdoc=\"{inner}\"></iframe><pre id=\"outcome\"></pre><script>
        onload = () => {{ const page = frames[0].document.documentElement;
        outcome.textContent = JSON.stringify([page.clientWidth > 300 && page.clientWidth <= 390, page.scrollWidth - page.clientWidth]); }}
        </script></body>"
    );
    let outcome = open(&browser, &frame, "", 800);
    assert_eq!(outcome.reported(), json!([true, 0]));
}

#[test]
fn the_threshold_moves() {
    let Some(browser) = browser() else { return };
    let report = full::report();
    let script = "
        const read = () => ['threshold-output', 'threshold-was-pass', 'threshold-was-block', 'threshold-now-pass', 'threshold-now-block']
            .map(id => document.getElementById(id).textContent);
        const slider = document.getElementById('threshold-input');
        const dot = () => document.querySelector('.trade-off .dot.now[data-set-cx]').getAttribute('cx');
        const line = () => document.querySelector('.cursor').getAttribute('x1');
        const first = [read(), dot(), line()];
        slider.value = '10';
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        return { first: first[0], then: read(), says: slider.getAttribute('aria-valuetext'), moved: [dot() !== first[1], line() !== first[2]] };";
    let outcome = open(&browser, &with_script(&page(&report), script), "", 1280);
    assert_eq!(outcome.console, Vec::<String>::new());
    let rates = |threshold: &str| {
        let mut all = vec![threshold.to_owned()];
        for measured in [&report.before, &report.after] {
            for rate in ["unsafe_pass_rate", "over_block_rate"] {
                let name = format!("curves.threshold.{threshold}.{rate}");
                all.push(format!("{:.3}", measured.as_ref().unwrap().metrics.get(&name).unwrap().value.unwrap()));
            }
        }
        all
    };
    assert_ne!(rates("0.50"), rates("0.20"));
    assert_eq!(
        outcome.reported(),
        json!({ "first": rates("0.50"), "then": rates("0.20"), "says": "0.20", "moved": [true, true] })
    );
}

#[test]
fn the_language_switches_and_is_kept_in_the_address() {
    let Some(browser) = browser() else { return };
    let page = page(&full::report());
    let read = "
        const read = () => ({ lang: document.documentElement.lang, hash: location.hash,
            heading: document.getElementById('flips').innerText, option: document.querySelector('#filter-change option').textContent,
            pressed: document.querySelector('.languages [aria-pressed=\"true\"]').textContent });";
    let english =
        json!({ "lang": "en", "hash": "", "heading": "Changed decisions", "option": "all", "pressed": "English" });
    let mut japanese =
        json!({ "lang": "ja", "hash": "#lang=ja", "heading": "変わった判断", "option": "すべて", "pressed": "日本語" });
    let clicks = format!(
        "{read} const seen = [read()]; for (const name of ['ja', 'en']) {{
        document.querySelector('button[data-language=\"' + name + '\"]').click(); seen.push(read()); }} return seen;"
    );
    let outcome = open(&browser, &with_script(&page, &clicks), "", 1280);
    assert_eq!(outcome.console, Vec::<String>::new());
    assert_eq!(outcome.reported(), json!([english, japanese, english]));
    // From the address, with a section before it.
    japanese["hash"] = json!("#flips&lang=ja");
    let outcome = open(&browser, &with_script(&page, &format!("{read} return [read()];")), "#flips&lang=ja", 1280);
    assert_eq!(outcome.reported(), json!([japanese]));
}

#[test]
fn the_filters_choose_rows() {
    let Some(browser) = browser() else { return };
    let report = full::report();
    let flips = &report.comparison.as_ref().unwrap().flips;
    let script = "
        const set = (name, value) => { const field = document.getElementById('filter-' + name); field.value = value;
            field.dispatchEvent(new Event('change', { bubbles: true })); };
        const count = () => [[...document.querySelectorAll('#flip-rows > tr')].filter(row => row.offsetHeight > 0).length,
            document.querySelector('#flip-shown .shown').textContent];
        const all = count(); set('change', 'worsened'); const worsened = count(); set('source', '社内検証'); set('gold', 'DENY');
        return [all, worsened, count()];";
    let outcome = open(&browser, &with_script(&page(&report), script), "", 1280);
    assert_eq!(outcome.console, Vec::<String>::new());
    let worsened = || flips.iter().filter(|flip| flip.change == so8t::evaluate::Change::Worsened);
    let some = worsened().filter(|flip| flip.source == "社内検証" && flip.gold == "DENY").count();
    let expected = [flips.len(), worsened().count(), some].map(|n| json!([n, n.to_string()]));
    assert!(some > 0 && some < worsened().count());
    assert_eq!(outcome.reported(), json!(expected));
}

#[test]
fn no_request_runs() {
    let Some(browser) = browser() else { return };
    let report = full::report();
    let whole = page(&report);
    let script = "
        document.querySelectorAll('details').forEach(element => { element.open = true; });
        return { title: document.title, scripts: document.scripts.length, images: document.images.length,
                 texts: [...document.querySelectorAll('.request .text')].slice(0, 3).map(element => element.textContent) };";
    let expected = json!({
        "title": format!("{} – so8t", report.run.name), "scripts": 2, "images": 0,
        "texts": full::HOSTILE.map(|text| text.replace('\u{202e}', "\u{fffd}")),
    });
    let outcome = open(&browser, &with_script(&whole, script), "", 1280);
    assert_eq!(outcome.reported(), expected);
    assert_eq!(outcome.console, Vec::<String>::new());
    // Escaping alone is enough: the same without the policy.
    let start = whole.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let end = start + whole[start..].find('>').unwrap() + 1;
    let bare = format!("{}{}", &whole[..start], &whole[end..]);
    let scripted =
        bare.replace("</body>", &with_script("script-src </body>", script)["script-src 'nonce-test' ".len()..]);
    assert_eq!(open(&browser, &scripted, "", 1280).reported(), expected);
    // Each of the requests would run if it stood there as it is, so the check can fail.
    for text in full::HOSTILE {
        let raw =
            bare.replacen("<div class=\"text\" dir=\"auto\">", &format!("<div class=\"text\" dir=\"auto\">{text}"), 1);
        assert!(open(&browser, &raw, "", 1280).document.contains("<title>owned</title>"), "{text}");
    }
    // The policy alone is enough too.
    let raw = whole.replacen(
        "<div class=\"text\" dir=\"auto\">",
        &format!("<div class=\"text\" dir=\"auto\">{}", full::HOSTILE[0]),
        1,
    );
    let outcome = open(&browser, &raw, "", 1280);
    assert!(
        !outcome.document.contains("<title>owned</title>") && outcome.console[0].contains("Content Security Policy")
    );
}
