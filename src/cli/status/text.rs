//! Formats numbers, sizes, ids and lines of the page.

use std::fmt::Write as _;

pub(super) use crate::engine::status::words::{counted, grouped};

/// Characters of an id's end: two more than are enough to name it.
const ENDING: usize = 8;

/// The end of an id, which names it.
pub(super) fn ending(id: &str) -> String {
    let from = id.len().saturating_sub(ENDING);
    format!("…{}", id.get(from..).unwrap_or(id))
}

/// "4.2 GB": three digits at most, in powers of 1,000.
pub(super) fn sized(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, "bytes");
    for next in UNITS {
        if whole < 1_000 {
            break;
        }
        (rest, whole, unit) = (whole % 1_000, whole / 1_000, next);
    }
    if unit == "bytes" || whole >= 10 { format!("{whole} {unit}") } else { format!("{whole}.{} {unit}", rest / 100) }
}

/// Columns of a terminal that a text takes: a Chinese character takes two.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

const fn width_of(c: char) -> usize {
    if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}')
    {
        2
    } else {
        1
    }
}

/// A line no wider than the page, with an ellipsis where it was cut.
pub(super) fn cut(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let (mut text, mut used) = (String::new(), 1);
    for c in line.chars() {
        used += width_of(c);
        if used > width {
            break;
        }
        text.push(c);
    }
    text.truncate(text.trim_end().len());
    text.push('…');
    text
}

/// Broken at spaces so that no line is wider than `width` unless a word is.
pub(super) fn wrapped(text: &str, width: usize, first: &str, rest: &str) -> String {
    let (mut all, mut line) = (String::new(), first.to_owned());
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && columns(&line) + 1 + columns(word) > width {
            let _ = writeln!(all, "{line}");
            rest.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    all + line.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sizes_and_lines_are_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let sizes = [0, 999, 1_000, 9_960, 12_300_000, 4_200_000_000];
        assert_eq!(sizes.map(sized), ["0 bytes", "999 bytes", "1.0 kB", "9.9 kB", "12 MB", "4.2 GB"]);
        assert_eq!(wrapped("one two three", 9, "- ", "  "), "- one two\n  three");
        assert_eq!(cut("公众号的列表读不到", 9), "公众号的…");
        assert_eq!(cut("short", 9), "short");
        assert_eq!(ending("0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b"), "…6c1e2a3b");
    }
}
