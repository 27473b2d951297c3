//! Prints the decision table into `ARCHITECTURE.md`. It must never write unless asked to.

use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
const BEGIN: &str = "<!-- decisions:begin -->\n";
const END: &str = "<!-- decisions:end -->";
const REFRESH: &str = "UPDATE_TABLES=1 cargo test --test it the_printed_table_is_up_to_date";

/// Fails when the page holds another table than this one; with `UPDATE_TABLES` set it writes the page instead.
pub(super) fn assert_printed(tables: &[(&str, Vec<Vec<&str>>)]) {
    let page = std::fs::read_to_string(PAGE).expect("ARCHITECTURE.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark where the table begins");
    let (printed, after) = rest.split_once(END).expect("the mark where the table ends");
    let fresh: String = tables.iter().map(|(title, rows)| print(title, rows)).collect();
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{fresh}\n{END}{after}")).expect("ARCHITECTURE.md is writable");
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
