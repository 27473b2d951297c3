//! Texts in CSV that spreadsheets would run as formulas: an apostrophe before them makes them texts, and the way back takes
//! it off again. Both ways together change nothing, whatever the text.

use std::borrow::Cow;

/// What a formula begins with, also as wide as a Chinese character: some spreadsheets take both.
const RUNS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// What makes a text of a formula.
const APOSTROPHE: char = '\'';

/// Whether a text runs, or would once its apostrophes are taken off.
fn runs(text: &str) -> bool {
    text.trim_start_matches(APOSTROPHE).starts_with(RUNS)
}

/// The text as a cell that runs nothing.
pub(super) fn defused(text: &str) -> Cow<'_, str> {
    if runs(text) { Cow::Owned(format!("{APOSTROPHE}{text}")) } else { Cow::Borrowed(text) }
}

/// The text that [`defused`] made such a cell of.
pub(super) fn restored(cell: &str) -> &str {
    cell.strip_prefix(APOSTROPHE).filter(|text| runs(text)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_runs_is_changed() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("-7", "'-7"),
            ("\r", "'\r"),
            ("＠a", "'＠a"),
            ("'=1", "''=1"),
            ("''+", "'''+"),
            ("'tis", "'tis"),
            ("a=1", "a=1"),
            ("", ""),
            ("'", "'"),
            ("店=1", "店=1"),
        ] {
            assert_eq!((defused(text).as_ref(), restored(cell)), (cell, text));
        }
    }

    proptest! {
        #[test]
        fn there_and_back_changes_nothing(text in "['=+@\\-a＝\t]{0,6}") {
            let cell = defused(&text);
            prop_assert_eq!(restored(&cell), &text);
            prop_assert!(!cell.starts_with(RUNS));
        }
    }
}
