//! From bytes to numbered lines and fields, for CSV and JSON Lines. Values are judged in `check`.

use std::{collections::BTreeMap, path::Path};

use anyhow::bail;
use serde::Deserialize;
use serde_json::{Value, error::Category};

use crate::cli::spreadsheet::restored;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Comma-separated values under a header.
    Csv,
    /// One JSON object per line.
    #[value(alias = "json")]
    Jsonl,
}

/// What the columns of a CSV file and the fields of a JSON line are called.
pub(super) const NAMES: [&str; 8] =
    ["account", "program", "username", "notify_users", "show_profile", "key", "labels", "kind"];

/// Characters of an unknown column that are repeated.
const COLUMN_MAX: usize = 40;

/// One line: its number as an editor counts, and what it says or why it cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub(super) number: u64,
    pub(super) fields: Result<Fields, String>,
}

/// What a line says; nothing of it is checked.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fields {
    pub(super) account: Option<String>,
    pub(super) program: Option<String>,
    pub(super) username: Option<String>,
    pub(super) notify_users: Option<Flag>,
    pub(super) show_profile: Option<Flag>,
    pub(super) key: Option<String>,
    pub(super) labels: Option<Labels>,
    pub(super) kind: Option<String>,
}

/// A yes or no, as it was written.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "notify_users and show_profile must be true or false, or a string such as \"yes\"")]
pub(super) enum Flag {
    Bool(bool),
    Number(u64),
    Text(String),
}

/// Labels, as they were written.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "labels must be an object of strings, or a string such as \"a=1;b=2\"")]
pub(super) enum Labels {
    Object(BTreeMap<String, Value>),
    Text(String),
}

impl Shape {
    /// By the file's name, else by its first character.
    #[must_use]
    pub fn guess(file: &Path, text: &[u8]) -> Self {
        let extension = file.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("csv") => Self::Csv,
            Some("jsonl" | "ndjson" | "json") => Self::Jsonl,
            _ => {
                let first = without_bom(text).iter().find(|byte| !byte.is_ascii_whitespace());
                if matches!(first, Some(b'{' | b'[')) { Self::Jsonl } else { Self::Csv }
            }
        }
    }
}

/// Every line that says something.
///
/// # Errors
/// When the file as a whole cannot be read: its header is wrong, or it is one JSON array.
pub fn lines(text: &[u8], shape: Shape) -> anyhow::Result<Vec<Line>> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        bail!("it is UTF-16, as of \"Unicode Text\": save it as \"CSV UTF-8\"");
    }
    if text.contains(&0) {
        bail!("it is not a text file, or not UTF-8: it has zero bytes");
    }
    match shape {
        Shape::Csv => csv_lines(without_bom(text)),
        Shape::Jsonl => json_lines(without_bom(text)),
    }
}

/// Spreadsheets put a mark before the first character.
fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Columns of the header, in its order.
fn header(record: &csv::ByteRecord) -> anyhow::Result<Vec<&'static str>> {
    let mut columns: Vec<&'static str> = Vec::new();
    for name in record {
        let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
        let Some(known) = NAMES.iter().find(|known| **known == name) else {
            let name: String = name.chars().take(COLUMN_MAX).collect();
            bail!("the header has an unknown column {name:?}{}; expected {}", separator(&name), NAMES.join(", "));
        };
        if columns.contains(known) {
            bail!("the header has the column {known} twice");
        }
        columns.push(known);
    }
    for needed in ["account", "program"] {
        if !columns.contains(&needed) {
            bail!("the header has no column {needed}: the first line must name the columns, as in {}", NAMES.join(","));
        }
    }
    Ok(columns)
}

/// What may be the mistake in the name of a column: spreadsheets of some countries write semicolons, others tabs.
fn separator(name: &str) -> String {
    match name.chars().find(|c| [';', '\t', '，', '；'].contains(c)) {
        Some(found) => format!(" (is it separated by {found:?}? Columns are separated by commas)"),
        None => String::new(),
    }
}

fn csv_lines(text: &[u8]) -> anyhow::Result<Vec<Line>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record)? {
        bail!("it is empty: the first line must name the columns, as in {}", NAMES.join(","));
    }
    let columns = header(&record)?;
    if let Some(number) = unclosed_quote(text) {
        bail!("the quote opened in line {number} is never closed");
    }
    let mut lines = Vec::new();
    while reader.read_byte_record(&mut record)? {
        let number = record.position().map_or(0, |at| at.line() + empty_lines(text, at.byte()));
        let is_empty = record.iter().all(|field| field.trim_ascii().is_empty());
        if !is_empty {
            lines.push(Line { number, fields: fields(&columns, &record) });
        }
    }
    Ok(lines)
}

/// The line of a quote that is open at the end, which the reader would close by itself.
fn unclosed_quote(text: &[u8]) -> Option<u64> {
    let (mut line, mut opened, mut at_start) = (1, None, true);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        line += u64::from(byte == b'\n');
        match (opened, byte) {
            (Some(_), b'"') => {
                if bytes.next_if_eq(&b'"').is_none() {
                    opened = None;
                }
            }
            (None, b'"') if at_start => opened = Some(line),
            (Some(_) | None, _) => {}
        }
        at_start = opened.is_none() && matches!(byte, b',' | b'\r' | b'\n');
    }
    opened
}

/// The reader's position is before the empty lines that it skips.
fn empty_lines(text: &[u8], from: u64) -> u64 {
    let rest = usize::try_from(from).ok().and_then(|from| text.get(from..)).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    skipped.filter(|byte| **byte == b'\n').count() as u64
}

fn fields(columns: &[&'static str], record: &csv::ByteRecord) -> Result<Fields, String> {
    if record.len() != columns.len() {
        return Err(format!("it has {} fields, the header has {}", record.len(), columns.len()));
    }
    let mut fields = Fields::default();
    for (column, field) in columns.iter().zip(record) {
        let field = std::str::from_utf8(field)
            .map_err(|_| format!("its {column} is not UTF-8: save the file as \"CSV UTF-8\""))?
            .trim();
        let field = restored(field);
        if field.is_empty() {
            continue;
        }
        let text = Some(field.to_owned());
        match *column {
            "account" => fields.account = text,
            "program" => fields.program = text,
            "username" => fields.username = text,
            "notify_users" => fields.notify_users = text.map(Flag::Text),
            "show_profile" => fields.show_profile = text.map(Flag::Text),
            "key" => fields.key = text,
            "labels" => fields.labels = text.map(Labels::Text),
            _ => fields.kind = text,
        }
    }
    Ok(fields)
}

fn json_lines(text: &[u8]) -> anyhow::Result<Vec<Line>> {
    if text.trim_ascii_start().starts_with(b"[") {
        bail!("it is a JSON array; JSON Lines has one object per line, as written by `jq -c '.[]'`");
    }
    let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let lines = lines.map(|(number, line)| (number, line.trim_ascii())).filter(|(_, line)| !line.is_empty());
    Ok(lines.map(|(number, line)| Line { number, fields: object(line) }).collect())
}

fn object(line: &[u8]) -> Result<Fields, String> {
    if !line.starts_with(b"{") {
        return Err("it is not a JSON object, as in {\"account\": \"wx…\", \"program\": \"wx…\"}".to_owned());
    }
    serde_json::from_slice(line).map_err(|wrong| said(&wrong))
}

/// The parser's words made plain, without its own count of lines, which is always 1.
fn said(wrong: &serde_json::Error) -> String {
    let said = wrong.to_string();
    let place = format!(" at line {} column {}", wrong.line(), wrong.column());
    let said = said.strip_suffix(&place).unwrap_or(&said);
    let said = match wrong.classify() {
        Category::Data if said.ends_with("expected a string") => {
            let found = said.trim_start_matches("invalid type: ").trim_end_matches(", expected a string");
            format!("expected a string, found {found}")
        }
        Category::Data => said.to_owned(),
        Category::Eof => "it is truncated: the JSON object has no end".to_owned(),
        Category::Io | Category::Syntax => format!("it is not JSON: {said}"),
    };
    format!("{said} (column {})", wrong.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<u64> {
        lines(text.as_bytes(), Shape::Csv).unwrap().into_iter().map(|line| line.number).collect()
    }

    #[test]
    fn lines_are_counted_as_editors_count() {
        assert_eq!(numbers("account,program\na,b\n\n\nc,d\r\n,\n\"e\ne\",f\ng,h\n"), [2, 5, 7, 9]);
        assert_eq!(numbers("account,program\r\na,b\r\nc,d"), [2, 3]);
        let json = lines(b"\n{}\r\n\n{\"x\":1}", Shape::Jsonl).unwrap();
        assert_eq!(json[0], Line { number: 2, fields: Ok(Fields::default()) });
        assert!(json[1].fields.as_ref().unwrap_err().starts_with("unknown field `x`"));
        assert!(json[1].fields.as_ref().unwrap_err().ends_with("(column 4)"), "{json:?}");
        assert_eq!(json[1].number, 4);
    }

    #[test]
    fn a_header_says_which_columns_there_are() {
        let wrong = |text: &str| lines(text.as_bytes(), Shape::Csv).unwrap_err().to_string();
        assert!(wrong("").contains("it is empty"));
        assert!(wrong("account,porgram").contains("unknown column \"porgram\""));
        assert!(wrong("account,account").contains("twice"));
        assert!(wrong("account").contains("no column program"));
        let shuffled = lines("\u{feff}Program , KEY,account\np,k,a".as_bytes(), Shape::Csv).unwrap();
        let fields = shuffled[0].fields.as_ref().unwrap();
        assert_eq!((fields.account.as_deref(), fields.key.as_deref()), (Some("a"), Some("k")));
    }

    #[test]
    fn what_is_no_wish_is_said_in_plain_words() {
        let wrong = |line: &str| lines(line.as_bytes(), Shape::Jsonl).unwrap()[0].fields.as_ref().unwrap_err().clone();
        for line in ["5", "\"a\"", "{\"account\":5}", "{\"labels\":5}", "{\"notify_users\":[]}", "{", "{x", "null"] {
            let wrong = wrong(line);
            for leak in ["struct", "enum", "Fields", "EOF", "variant"] {
                assert!(!wrong.contains(leak), "{line}: {wrong}");
            }
        }
        assert!(lines(b"a\0", Shape::Csv).unwrap_err().to_string().contains("zero bytes"));
    }

    #[test]
    fn a_quote_must_be_closed() {
        let wrong = lines(b"account,program\na,\"b\"\"\"\na,\"b\n", Shape::Csv).unwrap_err().to_string();
        assert!(wrong.contains("the quote opened in line 3"), "{wrong}");
        assert_eq!(numbers("account,program\n\"a\"\"\",b\"\n\"\",\"x\"\n").len(), 2);
    }

    #[test]
    fn a_file_is_known_by_its_name_or_its_first_character() {
        assert_eq!(Shape::guess(Path::new("a.CSV"), b"{"), Shape::Csv);
        assert_eq!(Shape::guess(Path::new("a.jsonl"), b"a"), Shape::Jsonl);
        assert_eq!(Shape::guess(Path::new("-"), b"\xef\xbb\xbf {"), Shape::Jsonl);
        assert_eq!(Shape::guess(Path::new("-"), b"account"), Shape::Csv);
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why() {
        let bad = lines(b"account,program\na,b,c\n\xc4\xe3,b\n", Shape::Csv).unwrap();
        assert_eq!(bad[0].fields.as_ref().unwrap_err(), "it has 3 fields, the header has 2");
        assert!(bad[1].fields.as_ref().unwrap_err().contains("UTF-8"));
    }
}
