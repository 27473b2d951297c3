//! How results are printed: tables for people, JSON, JSON lines and CSV for programs. It must never fail because the
//! reader has gone (`| head`), and never let a name from outside steer the terminal.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

/// The four ways to print a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A table for people; its shape may change.
    #[default]
    Table,
    /// One JSON document: an array of objects, or one object.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values under a header.
    Csv,
}

/// A column, named by the field of the row that fills it. JSON has every field of a row; CSV has every column, also
/// with no rows, in this order; a table has the columns that have a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    field: &'static str,
    title: Option<&'static str>,
}

impl Column {
    /// A column of tables and CSV.
    #[must_use]
    pub const fn shown(field: &'static str, title: &'static str) -> Self {
        Self { field, title: Some(title) }
    }

    /// A column of CSV alone.
    #[must_use]
    pub const fn hidden(field: &'static str) -> Self {
        Self { field, title: None }
    }
}

/// How tables look where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Whether headings and states have colours.
    pub coloured: bool,
    /// Characters a line has room for; `None` never wraps, for pipes and files.
    pub width: Option<u16>,
}

impl Look {
    /// What suits stdout: colours and wrapping on a terminal, no colours under `NO_COLOR`.
    #[must_use]
    pub fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::default();
        }
        Self { coloured: !crate::config::colour_refused(), width: Table::new().width() }
    }
}

/// Prints all rows and ends.
///
/// # Errors
/// When a row has no fields or `out` cannot be written for another reason than a reader who has gone.
pub fn print<T: Serialize>(
    out: &mut impl Write,
    format: Format,
    look: Look,
    columns: &[Column],
    rows: &[T],
) -> io::Result<()> {
    let mut printer = Printer::new(out, format, look, columns);
    for row in rows {
        printer.row(row)?;
    }
    printer.finish()
}

/// Prints one object: a list of names and values for people, one JSON object, or CSV with one row.
///
/// # Errors
/// As [`print()`].
pub fn one<T: Serialize>(out: &mut impl Write, format: Format, look: Look, object: &T) -> io::Result<()> {
    let text = match format {
        Format::Table => listed(&Row::of(object)?, look),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(object)?),
        Format::Jsonl => format!("{}\n", serde_json::to_string(object)?),
        Format::Csv => {
            let Row(fields) = Row::of(object)?;
            let names = fields.iter().map(|(name, _)| name.clone());
            csv_line(names)? + &csv_line(fields.iter().map(|(_, value)| plain(value)))?
        }
    };
    unless_gone(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(drop)
}

/// Prints rows one by one, so that a long result needs no memory (but for tables, whose widths depend on every row).
#[derive(Debug)]
pub struct Printer<'c, W> {
    out: W,
    format: Format,
    look: Look,
    columns: &'c [Column],
    /// The rows of a table.
    kept: Vec<Row>,
    /// Whether something was printed: a comma or a header is due only once.
    begun: bool,
    /// Whether nobody reads any more.
    gone: bool,
}

impl<'c, W: Write> Printer<'c, W> {
    /// Nothing is printed before the first row.
    pub const fn new(out: W, format: Format, look: Look, columns: &'c [Column]) -> Self {
        Self { out, format, look, columns, kept: Vec::new(), begun: false, gone: false }
    }

    /// Prints a row, or keeps it for the table.
    ///
    /// # Errors
    /// As [`print()`].
    pub fn row(&mut self, row: &impl Serialize) -> io::Result<()> {
        match self.format {
            Format::Table => {
                self.kept.push(Row::of(row)?);
                Ok(())
            }
            Format::Json => {
                let before = if self.begun { ",\n  " } else { "[\n  " };
                self.send(&format!("{before}{}", serde_json::to_string(row)?))
            }
            Format::Jsonl => self.send(&format!("{}\n", serde_json::to_string(row)?)),
            Format::Csv => {
                let header = if self.begun { String::new() } else { self.csv_header()? };
                let row = Row::of(row)?;
                let fields = self.columns.iter().map(|column| row.get(column.field).map_or_else(String::new, plain));
                self.send(&(header + &csv_line(fields)?))
            }
        }
    }

    /// Whether the reader has gone: further rows go nowhere, and whoever makes them may stop.
    #[must_use]
    pub const fn reader_gone(&self) -> bool {
        self.gone
    }

    /// Ends the document. Without it JSON is cut short and a table never appears.
    ///
    /// # Errors
    /// As [`print()`].
    pub fn finish(mut self) -> io::Result<()> {
        let end = match self.format {
            Format::Table => self.table(),
            Format::Json if self.begun => "\n]\n".to_owned(),
            Format::Json => "[]\n".to_owned(),
            Format::Csv if !self.begun => self.csv_header()?,
            Format::Csv | Format::Jsonl => String::new(),
        };
        self.send(&end)?;
        self.gone |= unless_gone(self.out.flush())?;
        Ok(())
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.begun = true;
        if !self.gone {
            self.gone = unless_gone(self.out.write_all(text.as_bytes()))?;
        }
        Ok(())
    }

    fn csv_header(&self) -> io::Result<String> {
        csv_line(self.columns.iter().map(|column| column.field.to_owned()))
    }

    fn table(&self) -> String {
        let shown: Vec<_> = self.columns.iter().filter_map(|column| Some((column.field, column.title?))).collect();
        let mut table = empty_table(self.look);
        table.set_header(shown.iter().map(|(_, title)| Cell::new(title).add_attribute(Attribute::Bold)));
        for row in &self.kept {
            table.add_row(shown.iter().map(|(field, _)| cell(field, row.get(field).unwrap_or(&Value::Null))));
        }
        drawn(table)
    }
}

/// Whether the reader has gone; other failures stay failures.
fn unless_gone(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(wrong) if wrong.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(wrong) => Err(wrong),
    }
}

/// The fields of a row in the order of its struct, which a JSON object of ours would not keep.
#[derive(Debug)]
struct Row(Vec<(String, Value)>);

impl Row {
    fn of(row: &impl Serialize) -> io::Result<Self> {
        Ok(serde_json::from_str(&serde_json::to_string(row)?)?)
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row with named fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Row(fields))
            }
        }
        from.deserialize_map(Fields)
    }
}

fn csv_line(fields: impl Iterator<Item = String>) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields.map(String::into_bytes))?;
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A value for a program: bare texts, nothing for null, compact JSON for what has parts.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A value for people.
fn worded(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => legible(text),
        Value::Array(parts) => parts.iter().map(worded).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => {
            let parts = parts.iter().map(|(name, value)| format!("{}={}", legible(name), worded(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A text from outside, with everything escaped that would steer a terminal: control characters and the marks that
/// turn the direction of writing.
fn legible(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn cell(field: &str, value: &Value) -> Cell {
    let cell = Cell::new(worded(value));
    match (field, value) {
        (_, Value::Number(_)) => cell.set_alignment(CellAlignment::Right),
        ("state", Value::String(state)) => match state.as_str() {
            "linked" => cell.fg(Color::DarkGreen),
            "failed" | "rejected" | "lapsed" => cell.fg(Color::DarkRed),
            "deferred" => cell.fg(Color::DarkYellow),
            _ => cell,
        },
        (_, _) => cell,
    }
}

/// A line under the headings, no other lines: easy to read, to cut and to paste.
fn empty_table(look: Look) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-')));
    // The table must not look at the terminal by itself: where it goes is for the caller to know.
    table.force_no_tty();
    if look.coloured {
        table.enforce_styling();
    }
    if let Some(width) = look.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

fn listed(Row(fields): &Row, look: Look) -> String {
    let mut table = empty_table(look);
    for (name, value) in fields {
        let value = cell(name, value).set_alignment(CellAlignment::Left);
        table.add_row([Cell::new(name).add_attribute(Attribute::Bold), value]);
    }
    drawn(table)
}

/// The table as text: columns two spaces apart, no line begins or ends with spaces.
fn drawn(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Link {
        id: &'static str,
        state: &'static str,
        attempt: u32,
        note: Option<&'static str>,
        labels: BTreeMap<&'static str, &'static str>,
    }

    const COLUMNS: [Column; 5] = [
        Column::shown("id", "ID"),
        Column::shown("state", "STATE"),
        Column::shown("attempt", "ATTEMPT"),
        Column::hidden("note"),
        Column::shown("labels", "LABELS"),
    ];

    fn links() -> [Link; 2] {
        let link = |id, state, note| Link { id, state, attempt: 1, note, labels: BTreeMap::from([("team", "a")]) };
        [link("z1", "linked", None), link("z2\u{1b}[2J\u{202e}", "failed", Some("a,\"b\""))]
    }

    fn printed(format: Format, look: Look, rows: &[Link]) -> String {
        let mut out = Vec::new();
        print(&mut out, format, look, &COLUMNS, rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_is_plain_and_cannot_be_steered_from_outside() {
        assert_eq!(
            printed(Format::Table, Look::default(), &links()),
            "ID                   STATE   ATTEMPT  LABELS\n\
             ---------------------------------------------\n\
             z1                   linked        1  team=a\n\
             z2\\u{1b}[2J\\u{202e}  failed        1  team=a\n"
        );
    }

    #[test]
    fn a_table_has_colours_only_where_they_are_wanted() {
        let wide = Look { coloured: true, width: None };
        assert!(printed(Format::Table, wide, &links()).contains("\u{1b}["));
        let narrow = Look { coloured: false, width: Some(40) };
        assert!(printed(Format::Table, narrow, &links()).lines().all(|line| line.len() <= 40));
    }

    #[test]
    fn json_is_one_document_however_many_rows() {
        for rows in [&links()[..], &links()[..1], &[]] {
            let document: Value = serde_json::from_str(&printed(Format::Json, Look::default(), rows)).unwrap();
            assert_eq!(document.as_array().unwrap().len(), rows.len());
        }
        let lines = printed(Format::Jsonl, Look::default(), &links());
        assert_eq!(lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 2);
        assert!(lines.starts_with(r#"{"id":"z1","state":"linked","attempt":1,"note":null,"labels":{"team":"a"}}"#));
    }

    #[test]
    fn csv_has_its_header_also_without_rows() {
        assert_eq!(printed(Format::Csv, Look::default(), &[]), "id,state,attempt,note,labels\n");
        assert_eq!(
            printed(Format::Csv, Look::default(), &links()[..1]),
            "id,state,attempt,note,labels\nz1,linked,1,,\"{\"\"team\"\":\"\"a\"\"}\"\n"
        );
    }

    #[test]
    fn one_object_is_a_list_an_object_or_a_row() {
        let shown = |format| {
            let mut out = Vec::new();
            one(&mut out, format, Look::default(), &links()[0]).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(shown(Format::Table).contains("\nattempt  1\nnote     -\n"));
        assert!(serde_json::from_str::<Value>(&shown(Format::Json)).unwrap().is_object());
        assert_eq!(shown(Format::Jsonl).lines().count(), 1);
        assert!(shown(Format::Csv).starts_with("id,state,attempt,note,labels\nz1,linked,1,,"));
    }

    #[test]
    fn a_reader_who_has_gone_is_no_error_and_a_full_disk_is() {
        struct Failing(io::ErrorKind);
        impl Write for Failing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(self.0.into())
            }
        }
        for format in [Format::Table, Format::Json, Format::Jsonl, Format::Csv] {
            let print = |kind| print(&mut Failing(kind), format, Look::default(), &COLUMNS, &links());
            assert!(print(io::ErrorKind::BrokenPipe).is_ok());
            assert!(print(io::ErrorKind::StorageFull).is_err());
            let one = |kind| one(&mut Failing(kind), format, Look::default(), &links()[0]);
            assert!(one(io::ErrorKind::BrokenPipe).is_ok());
            assert!(one(io::ErrorKind::StorageFull).is_err());
        }
    }
}
