//! An import file, CSV or JSON lines.

use std::path::Path;

use amplinkd::{
    cli::import::{
        check::{self, Checked},
        read::{Shape, lines},
    },
    domain::request::Kind,
    engine::wish::Wish,
};
use serde_json::{Value, json};

/// Lines that are read again alone: the first few show what there is to see.
const ALONE_MAX: usize = 8;

/// Every property of one file.
pub fn hold(text: &[u8]) {
    let shape = Shape::guess(Path::new("-"), text);
    let Some(checked) = understood(text, shape) else { return };
    assert_eq!(Some(&checked), understood(text, shape).as_ref(), "read twice, differently");
    numbered(text, &checked);
    for wish in &checked.wishes {
        assert!(wish.check().is_ok(), "a wish that no request may be: {wish:?}");
        assert_ne!(wish.account.as_str(), wish.program.as_str(), "an account as its own program");
    }
    for (number, wrong) in &checked.bad {
        assert!(!wrong.trim().is_empty(), "line {number} is wrong, and nobody says how");
    }
    alone(text, shape, &checked);
    if checked.bad.is_empty() && !checked.wishes.is_empty() {
        written_again(&checked.wishes);
        if shape == Shape::Jsonl {
            cut(text, &checked);
        }
    }
}

fn understood(text: &[u8], shape: Shape) -> Option<Checked> {
    lines(text, shape).ok().map(|lines| check::all(lines, "link", drop))
}

/// Every line is good or bad, is in the file, and is told in its order.
fn numbered(text: &[u8], checked: &Checked) {
    assert_eq!(checked.wishes.len(), checked.numbers.len());
    let last = text.split(|byte| *byte == b'\n').count() as u64;
    let bad: Vec<u64> = checked.bad.iter().map(|(number, _)| *number).collect();
    for numbers in [&checked.numbers, &bad] {
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) || text.contains(&b'\r'), "out of order: {numbers:?}");
        assert!(numbers.iter().all(|number| (1..=last).contains(number)), "{numbers:?} of {last} lines");
    }
    let both = checked.numbers.iter().find(|number| bad.contains(number));
    assert!(both.is_none() || text.contains(&b'\r'), "line {both:?} is good and bad");
}

/// A line read alone says what it said in its place, so its number is right.
fn alone(text: &[u8], shape: Shape, checked: &Checked) {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let all: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let header = match shape {
        // A file may not begin with a bracket.
        Shape::Jsonl => &b"{}"[..],
        // A quote may hold line ends, and a lone return is an end that is not counted here.
        Shape::Csv if text.contains(&b'"') || has_lone_return(text) => return,
        Shape::Csv => all.iter().find(|line| !line.trim_ascii().is_empty()).copied().unwrap_or_default(),
    };
    let again = |number: u64| {
        let line = all[usize::try_from(number).unwrap() - 1];
        understood(&[header, b"\n", line, b"\n"].concat(), shape).expect("a line that was read before")
    };
    for (number, wish) in checked.numbers.iter().zip(&checked.wishes).take(ALONE_MAX) {
        assert_eq!(again(*number).wishes, std::slice::from_ref(wish), "line {number}");
    }
    // A key that stands for something else is the one fault that needs two lines.
    let bad = checked.bad.iter().filter(|(_, wrong)| !wrong.starts_with("the key "));
    for (number, wrong) in bad.take(ALONE_MAX) {
        let alone = again(*number).bad;
        assert_eq!(alone.last().map(|(_, wrong)| wrong), Some(wrong), "line {number}");
    }
}

fn has_lone_return(text: &[u8]) -> bool {
    (0..text.len()).any(|at| text[at] == b'\r' && text.get(at + 1) != Some(&b'\n'))
}

/// What was understood, written in either way, is understood again.
fn written_again(wishes: &[Wish]) {
    let json: Vec<String> = wishes.iter().map(|wish| as_json(wish).to_string()).collect();
    let read = understood(json.join("\n").as_bytes(), Shape::Jsonl).expect("JSON lines of ours");
    assert_eq!(read.wishes, wishes, "{:?}", read.bad);
    let same_in_csv = |wish: &Wish| wish.key.as_deref().is_none_or(|key| key.trim() == key);
    if wishes.iter().all(same_in_csv) {
        let rows: Vec<String> = wishes.iter().map(as_csv).collect();
        let head = "kind,account,program,username,notify_users,show_profile,key,labels\n";
        let read = understood(format!("{head}{}", rows.concat()).as_bytes(), Shape::Csv).expect("a CSV of ours");
        assert_eq!(read.wishes, wishes, "{:?}", read.bad);
    }
}

fn as_json(wish: &Wish) -> Value {
    let mut line = json!({
        "kind": wish.kind.as_str(), "account": wish.account.as_str(), "program": wish.program.as_str(),
        "username": wish.username, "key": wish.key, "labels": wish.labels,
    });
    if let Kind::Link(options) = wish.kind {
        line["notify_users"] = json!(options.notify_users.wanted());
        line["show_profile"] = json!(options.show_profile.wanted());
    }
    line
}

fn as_csv(wish: &Wish) -> String {
    let line = as_json(wish);
    let quoted = |name: &str| {
        let text = match &line[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("\"{}\"", text.replace('"', "\"\""))
    };
    let names = ["kind", "account", "program", "username", "notify_users", "show_profile", "key", "labels"];
    format!("{}\n", names.map(quoted).join(","))
}

/// JSON lines that end early are not all good.
fn cut(text: &[u8], checked: &Checked) {
    let text = text.trim_ascii_end();
    let cut = understood(&text[..text.len() - 1], Shape::Jsonl).expect("JSON lines");
    assert_eq!((cut.wishes.len() + 1, cut.bad.len()), (checked.wishes.len(), 1), "a line without its end was taken");
}
