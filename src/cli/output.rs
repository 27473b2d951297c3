//! How results are printed: tables for people; JSON, JSON Lines and CSV for programs. A closed pipe (`| head`) is no
//! failure, and names from outside are escaped so that they cannot control the terminal.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    readers::unless_gone,
    spreadsheet,
    terminal_escape::{bare, tame, worded},
    time_format,
};
use crate::config::Colours;

/// The four ways to print a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A table for people; its shape may change.
    #[default]
    Table,
    /// One JSON document: an array of objects, or one object.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values under a header.
    Csv,
}

/// The narrowest terminal that is believed; some say 0 when they do not know.
const WIDTH_MIN: u16 = 20;

/// Spaces between two columns.
const GAP: u16 = 2;

/// Characters of a cell where no terminal wraps it.
const CELL_MAX: usize = 160;

/// Characters that a column of prose keeps before a column is left out.
const PROSE_MIN: u16 = 24;

/// What people copy, and what a row is for: never broken, cut or left out.
const WHOLE: [&str; 9] = ["id", "request_id", "retry_of", "account", "program", "username", "key", "state", "subject"];

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
    /// Whether a person's terminal shows it, which nothing from outside may steer.
    pub terminal: bool,
    /// Whether CSV begins with a byte order mark.
    pub excel: bool,
}

impl Look {
    /// What suits stdout: colours and wrapping on a terminal, no colours where nobody wants or understands them.
    #[must_use]
    pub fn of_stdout() -> Self {
        let coloured = crate::config::colours();
        if !io::stdout().is_terminal() {
            return Self { coloured: coloured == Colours::Always, ..Self::default() };
        }
        let width = Table::new().width().filter(|width| *width >= WIDTH_MIN);
        Self { coloured: coloured != Colours::Never, width, terminal: true, excel: false }
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
pub fn one<T: Serialize>(out: &mut impl Write, format: Format, look: Look, object: &T) -> io::Result<()> {
    let text = match format {
        Format::Table => listed(&Row::of(object)?, look),
        Format::Json => format!("{}\n", tame(&serde_json::to_string_pretty(object)?)),
        Format::Jsonl => format!("{}\n", tame(&serde_json::to_string(object)?)),
        Format::Csv => {
            let Row(fields) = Row::of(object)?;
            let names = fields.iter().map(|(name, _)| name.clone());
            mark(look).to_owned()
                + csv_line(names)?.as_str()
                + &csv_line(fields.iter().map(|(_, value)| spreadsheet_cell(value, look)))?
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
    pub fn row(&mut self, row: &impl Serialize) -> io::Result<()> {
        match self.format {
            Format::Table => {
                self.kept.push(Row::of(row)?);
                Ok(())
            }
            Format::Json => {
                let before = if self.begun { ",\n  " } else { "[\n  " };
                self.send(&format!("{before}{}", tame(&serde_json::to_string(row)?)))
            }
            Format::Jsonl => self.send(&format!("{}\n", tame(&serde_json::to_string(row)?))),
            Format::Csv => {
                let header = if self.begun { String::new() } else { self.csv_header()? };
                let row = Row::of(row)?;
                let value = |column: &Column| {
                    row.get(column.field).map_or_else(String::new, |value| spreadsheet_cell(value, self.look))
                };
                let fields = self.columns.iter().map(value);
                self.send(&(header + csv_line(fields)?.as_str()))
            }
        }
    }

    /// Whether the reader has gone: further rows go nowhere, and whoever makes them may stop.
    #[must_use]
    pub const fn reader_gone(&self) -> bool {
        self.gone
    }

    /// Ends the document. Without it JSON is cut short and a table never appears.
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
        Ok(mark(self.look).to_owned() + csv_line(self.columns.iter().map(|column| column.field.to_owned()))?.as_str())
    }

    fn table(&self) -> String {
        let mut shown: Vec<_> = self.columns.iter().filter_map(|column| Some((column.field, column.title?))).collect();
        let mut table = self.filled(&shown);
        let Some(width) = self.look.width else { return drawn(table) };
        let mut needed = needed(&table, &shown);
        while needed > width
            && let Some(least) = shown.iter().rposition(|(field, _)| !WHOLE.contains(field))
        {
            shown.remove(least);
            table = self.filled(&shown);
            needed = self::needed(&table, &shown);
        }
        for (column, (field, _)) in table.column_iter_mut().zip(&shown) {
            if WHOLE.contains(field) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(needed));
        drawn(table)
    }

    /// A table of these columns, as wide as it likes.
    fn filled(&self, shown: &[(&str, &str)]) -> Table {
        let mut table = empty_table(self.look);
        table.set_header(shown.iter().map(|(_, title)| Cell::new(title).add_attribute(Attribute::Bold)));
        for row in &self.kept {
            table.add_row(shown.iter().map(|(field, _)| {
                let value = row.get(field).unwrap_or(&Value::Null);
                let is_cut = self.look.width.is_none() && !WHOLE.contains(field);
                cell(field, value, if is_cut { CELL_MAX } else { usize::MAX })
            }));
        }
        table
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

/// What CSV begins with.
const fn mark(look: Look) -> &'static str {
    if look.excel { "\u{feff}" } else { "" }
}

/// A cell of CSV. A text that a spreadsheet would take for a formula is none any more.
fn spreadsheet_cell(value: &Value, look: Look) -> String {
    let cell = match value {
        Value::String(text) => Value::String(spreadsheet::defused(text).into_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    };
    bare(&cell, look.terminal)
}

fn csv_line(fields: impl Iterator<Item = String>) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields.map(String::into_bytes))?;
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The width below which something would be broken that must not be.
fn needed(table: &Table, shown: &[(&str, &str)]) -> u16 {
    let widths = table.column_max_content_widths();
    let kept = widths.iter().zip(shown).map(|(width, (field, _))| {
        let kept = if WHOLE.contains(field) { *width } else { PROSE_MIN.min(*width) };
        kept.saturating_add(GAP)
    });
    kept.fold(0, u16::saturating_add)
}

fn cell(field: &str, value: &Value, longest: usize) -> Cell {
    let mut text = time_format::of_field(field, value).unwrap_or_else(|| worded(value));
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.push('…');
    }
    let cell = Cell::new(text);
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
    table
}

fn listed(Row(fields): &Row, look: Look) -> String {
    let mut table = empty_table(look);
    for (name, value) in fields {
        let value = cell(name, value, usize::MAX).set_alignment(CellAlignment::Left);
        table.add_row([Cell::new(name).add_attribute(Attribute::Bold), value]);
    }
    if let Some(width) = look.width {
        let whole = fields.iter().filter(|(name, _)| WHOLE.contains(&name.as_str()));
        let longest = whole.map(|(_, value)| worded(value).chars().count()).max().unwrap_or_default();
        let names = table.column_max_content_widths().first().copied().unwrap_or_default();
        let needed = u16::try_from(longest).unwrap_or(u16::MAX).saturating_add(names).saturating_add(2 * GAP);
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(needed));
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
        let wide = Look { coloured: true, ..Look::default() };
        assert!(printed(Format::Table, wide, &links()).contains("\u{1b}["));
        let narrow = Look { width: Some(40), ..Look::default() };
        assert!(printed(Format::Table, narrow, &links()).lines().all(|line| line.len() <= 40));
    }

    #[test]
    fn what_people_copy_is_never_broken() {
        let id = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b";
        let link = Link { id, state: "awaiting_account_admin", attempt: 1, note: None, labels: BTreeMap::new() };
        let look = Look { width: Some(30), ..Look::default() };
        let text = printed(Format::Table, look, std::slice::from_ref(&link));
        assert!(text.contains(&format!("{id}  awaiting_account_admin\n")), "{text}");
        assert!(!text.contains("ATTEMPT"), "{text}");
        let mut out = Vec::new();
        one(&mut out, Format::Table, look, &link).unwrap();
        assert!(String::from_utf8(out).unwrap().contains(id));
    }

    #[test]
    fn a_long_cell_is_cut_in_a_pipe() {
        let long: &str = "x".repeat(500).leak();
        let row = Link { id: "a", state: "linked", attempt: 1, note: None, labels: BTreeMap::from([("a", long)]) };
        let text = printed(Format::Table, Look::default(), &[row]);
        assert!(text.contains("xxx…") && text.lines().all(|line| line.chars().count() < 200), "{text}");
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

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_a_text() {
        let row = |note: &'static str| Link {
            id: "=1+1",
            state: "linked",
            attempt: 1,
            note: Some(note),
            labels: BTreeMap::new(),
        };
        let text = printed(
            Format::Csv,
            Look::default(),
            &[row("@SUM(A1)"), row("'=x"), row("it's =1"), row("\tx"), row("-1")],
        );
        assert_eq!(
            text,
            "id,state,attempt,note,labels\n'=1+1,linked,1,'@SUM(A1),{}\n'=1+1,linked,1,''=x,{}\n'=1+1,linked,1,it's =1,{}\n\
             '=1+1,linked,1,'\tx,{}\n'=1+1,linked,1,'-1,{}\n"
        );
        let mut out = Vec::new();
        one(&mut out, Format::Csv, Look::default(), &row("＝1")).unwrap();
        assert!(String::from_utf8(out).unwrap().ends_with("'=1+1,linked,1,'＝1,{}\n"));
        let json = printed(Format::Json, Look::default(), &[row("=1")]);
        assert!(json.contains("\"=1+1\"") && json.contains("\"=1\""), "{json}");
    }

    #[test]
    fn a_mark_stands_once_before_csv_and_nowhere_else() {
        let excel = Look { excel: true, ..Look::default() };
        for rows in [&links()[..], &[]] {
            let text = printed(Format::Csv, excel, rows);
            assert!(text.starts_with("\u{feff}id,state,") && text.matches('\u{feff}').count() == 1, "{text:?}");
            assert!(!printed(Format::Jsonl, excel, rows).contains('\u{feff}'));
        }
        let mut out = Vec::new();
        one(&mut out, Format::Csv, excel, &links()[0]).unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with("\u{feff}id,state,"));
    }
}
