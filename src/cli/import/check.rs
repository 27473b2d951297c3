//! From lines to wishes, every line checked. It reports every bad line, not just the first: whoever fixes a file wants
//! to know them all.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::read::{Fields, Flag, Labels, Line};
use crate::{
    domain::request::{Kind, LinkOptions, OptIn},
    engine::wish::Wish,
};

/// Lines between two words about how far it is: each one would cost more than the check.
const STEP: u64 = 1_000;

/// A file, checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The good lines.
    pub wishes: Vec<Wish>,
    /// Their numbers.
    pub numbers: Vec<u64>,
    /// The bad lines and what is wrong with them.
    pub bad: Vec<(u64, String)>,
    /// Good lines that message every fan.
    pub fans: usize,
}

/// What a key stands for: the line it was first read in, and what that line asks for.
type Named = (u64, &'static str, String, String);

/// Checks every line; `kind` is what is asked for where a line does not say, `done` hears now and then how many are.
pub fn all(lines: Vec<Line>, kind: &str, mut done: impl FnMut(u64)) -> Checked {
    let mut checked = Checked::default();
    let mut keys: HashMap<String, Named> = HashMap::new();
    for (line, count) in lines.into_iter().zip(1..) {
        let number = line.number;
        match line.fields.and_then(|fields| wish(fields, kind)).and_then(|wish| key_is_free(wish, number, &mut keys)) {
            Ok(wish) => {
                checked.fans += usize::from(matches!(wish.kind, Kind::Link(options) if options.notify_users.wanted()));
                checked.wishes.push(wish);
                checked.numbers.push(number);
            }
            Err(wrong) => checked.bad.push((number, wrong)),
        }
        if count % STEP == 0 {
            done(count);
        }
    }
    checked
}

/// Two lines may share a key when they ask for the same.
fn key_is_free(wish: Wish, number: u64, keys: &mut HashMap<String, Named>) -> Result<Wish, String> {
    let Some(key) = &wish.key else { return Ok(wish) };
    let (kind, account, program) = (wish.kind.as_str(), wish.account.as_str(), wish.program.as_str());
    if let Some((first, their_kind, their_account, their_program)) = keys.get(key) {
        if (*their_kind, their_account.as_str(), their_program.as_str()) != (kind, account, program) {
            return Err(format!("the key {key:?} belongs to another request in line {first}"));
        }
    } else {
        keys.insert(key.clone(), (number, kind, account.to_owned(), program.to_owned()));
    }
    Ok(wish)
}

fn wish(fields: Fields, kind: &str) -> Result<Wish, String> {
    let missing = |name: &str| format!("it has no {name}");
    let account = fields.account.ok_or_else(|| missing("account"))?;
    let account = account.parse().map_err(|wrong| format!("account: {wrong}"))?;
    let program = fields.program.ok_or_else(|| missing("program"))?;
    let program = program.parse().map_err(|wrong| format!("program: {wrong}"))?;
    let username = fields.username.filter(|text| !text.is_empty());
    let username = username.map(|text| text.parse().map_err(|wrong| format!("username: {wrong}"))).transpose()?;
    let options = LinkOptions {
        notify_users: choice("notify_users", fields.notify_users)?,
        show_profile: choice("show_profile", fields.show_profile)?,
    };
    let kind = match fields.kind.as_deref().unwrap_or(kind) {
        "link" => Kind::Link(options),
        "unlink" if options == LinkOptions::default() => Kind::Unlink,
        "unlink" => return Err("an unlink has no notify_users and no show_profile".to_owned()),
        other => return Err(format!("kind: {other:?} is neither link nor unlink")),
    };
    let key = fields.key.filter(|text| !text.is_empty());
    let wish = Wish { kind, account, program, username, key, labels: labels(fields.labels)? };
    if wish.account.as_str() == wish.program.as_str() {
        return Err(format!("{} is both the account and the program", wish.account));
    }
    wish.check().and_then(|()| wish.check_words()).map_err(|wrong| wrong.to_string())?;
    Ok(wish)
}

fn choice(name: &str, flag: Option<Flag>) -> Result<OptIn, String> {
    let said = match flag {
        None => return Ok(OptIn::No),
        Some(Flag::Bool(said)) => return Ok(OptIn::from(said)),
        Some(Flag::Number(said)) => said.to_string(),
        Some(Flag::Text(said)) => said,
    };
    match said.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(OptIn::Yes),
        "" | "0" | "false" | "no" => Ok(OptIn::No),
        _ => Err(format!("{name}: {said:?} is not a yes or no: expected 1, true, yes, 0, false, no or nothing")),
    }
}

fn labels(written: Option<Labels>) -> Result<BTreeMap<String, String>, String> {
    let object = match written {
        None => return Ok(BTreeMap::new()),
        Some(Labels::Object(object)) => object,
        Some(Labels::Text(text)) if text.trim_start().starts_with('{') => {
            serde_json::from_str(&text).map_err(|_| format!("labels: {text:?} is not a JSON object"))?
        }
        Some(Labels::Text(text)) => return pairs(&text),
    };
    let texts = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        other => Err(format!("labels: {name} is {other}, and must be a string")),
    });
    texts.collect()
}

/// `k=v;k2=v2`
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!("labels: {pair:?} is not NAME=VALUE; write them as a=1;b=2"));
        };
        if labels.insert(name.trim().to_owned(), value.trim().to_owned()).is_some() {
            return Err(format!("labels: {name} is given twice"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::read::{self, Shape};

    const A: &str = "wx0123456789abcdef";
    const P: &str = "wxfedcba9876543210";
    const Q: &str = "wx00000000000000aa";

    fn checked(text: &str, shape: Shape) -> Checked {
        all(read::lines(text.as_bytes(), shape).unwrap(), "link", drop)
    }

    #[test]
    fn both_ways_of_writing_say_the_same() {
        let csv = checked(&format!("account,program,show_profile,labels\n{A},{P},yes,a=1; b=2\n"), Shape::Csv);
        let json = format!(r#"{{"account":"{A}","program":"{P}","show_profile":true,"labels":{{"a":"1","b":"2"}}}}"#);
        let json = checked(&json, Shape::Jsonl);
        assert_eq!(csv.wishes, json.wishes);
        assert_eq!(csv.wishes[0].labels.len(), 2);
    }

    #[test]
    fn every_bad_line_is_told() {
        let text = format!(
            "account,program,username,notify_users,key,labels,kind\n\
             {A},{P},,,k1,,\n{A},nonsense,,,,,\n{A},{A},,,,,\n{A},{P},gh_,,,,\n{A},{P},,maybe,,,\n{A},{Q},,,k1,,\n\
             {A},{P},,,,a,\n{A},{P},,,,,undo\n{A},{P},,1,,,unlink\n,{P},,,,,\n{A},{P},,,k1,,\n"
        );
        let checked = checked(&text, Shape::Csv);
        let bad: Vec<u64> = checked.bad.iter().map(|(number, _)| *number).collect();
        assert_eq!(bad, [3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(checked.numbers, [2, 12]);
        assert!(checked.bad[4].1.contains("line 2"), "{:?}", checked.bad);
    }
}
