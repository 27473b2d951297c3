//! Prints tables into `ARCHITECTURE.md`, when it is asked to; else it fails when they are stale.

use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
const REFRESH: &str = "UPDATE_TABLES=1 cargo test --test it the_printed_table -- --test-threads 1";

/// Fails when the page holds other tables than these between the marks of this name; with `UPDATE_TABLES` set it writes
/// the page instead.
pub(super) fn assert_printed(name: &str, tables: &[(&str, Vec<Vec<&str>>)]) {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let page = std::fs::read_to_string(PAGE).expect("ARCHITECTURE.md");
    let (before, rest) = page.split_once(&begin).expect("the mark where the table begins");
    let (printed, after) = rest.split_once(&end).expect("the mark where the table ends");
    let fresh: String = tables.iter().map(|(title, rows)| print(title, rows)).collect();
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(PAGE, format!("{before}{begin}{fresh}\n{end}{after}")).expect("ARCHITECTURE.md is writable");
    } else {
        assert!(
            printed.trim_end() == fresh.trim_end(),
            "the table in ARCHITECTURE.md is stale; refresh it with\n  {REFRESH}"
        );
    }
}

fn print(title: &str, rows: &[Vec<&str>]) -> String {
    let mut text = format!("\n### {title}\n\n");
    for (at, row) in rows.iter().enumerate() {
        writeln!(text, "| {} |", row.join(" | ")).expect("a String takes all");
        if at == 0 {
            writeln!(text, "|{}", "---|".repeat(row.len())).expect("a String takes all");
        }
    }
    text
}
