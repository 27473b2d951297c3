//! Finds characters that nobody sees, and names them: in a secret each one makes every signature wrong, and no editor shows
//! why. It never repeats the text around them.

use std::fmt;

use super::format::is_unseen;

/// A character that nobody sees, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invisible {
    /// The character.
    pub character: char,
    /// From 1, as editors count.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Invisible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { character, line, column } = self;
        write!(f, "{} at line {line}, column {column}", named(*character))
    }
}

/// The first character of a text, from the offset `from` on, that is so.
#[must_use]
pub fn find(text: &str, from: usize, is_so: impl Fn(char) -> bool) -> Option<Invisible> {
    let at = from + text.get(from..)?.find(&is_so)?;
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let character = text[at..].chars().next()?;
    Some(Invisible {
        character,
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    })
}

/// Whether a character has no place in one word or one line of a secret, an address or a name: nobody sees it, or it only
/// looks like a space.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c != ' ' && (c.is_control() || c.is_whitespace() || is_hidden(c) || matches!(c, '\u{200c}' | '\u{200d}'))
}

/// Whether nobody sees a character and no text of people needs it. Line ends, spaces of all widths, and the joiners that
/// emoji and some scripts are written with are needed.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let is_needed = c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}');
    let is_filler = matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180e}' | '\u{2800}' | '\u{3164}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !is_needed && (c.is_control() || is_unseen(c) || is_filler)
}

/// The code point of a character and what it is called, as people find it in tables.
#[must_use]
pub fn named(c: char) -> String {
    let name = match c {
        '\0' => "null",
        '\t' => "tab",
        '\n' => "line feed",
        '\r' => "carriage return",
        ' ' => "space",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "direction mark",
        '\u{2028}' | '\u{2029}' => "line separator",
        '\u{2060}' => "word joiner",
        '\u{3000}' => "ideographic space",
        '\u{fffd}' => "replacement character",
        '\u{feff}' => "byte order mark",
        c if c.is_control() => "control character",
        c if c.is_whitespace() => "a space of another width",
        c if is_invisible(c) => "an invisible character",
        _ => return format!("U+{:04X}", u32::from(c)),
    };
    format!("U+{:04X} ({name})", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_named_with_its_place() {
        let found = |text| find(text, 0, is_invisible).map(|found| found.to_string());
        assert_eq!(found("ab\u{200b}c").as_deref(), Some("U+200B (zero width space) at line 1, column 3"));
        assert_eq!(found("中文\u{a0}").as_deref(), Some("U+00A0 (no-break space) at line 1, column 3"));
        assert_eq!(
            find("a\nb\rc", 2, is_invisible).unwrap().to_string(),
            "U+000D (carriage return) at line 2, column 2"
        );
        assert_eq!(found("Bearer 中文-é~😀"), None);
    }

    #[test]
    fn what_people_write_with_is_not_hidden() {
        for needed in ['\n', '\r', '\t', '\u{3000}', '\u{a0}', '\u{200d}', '中', ' '] {
            assert!(!is_hidden(needed), "{}", named(needed));
        }
        let hidden = [
            '\0',
            '\u{7}',
            '\u{ad}',
            '\u{200b}',
            '\u{200e}',
            '\u{202e}',
            '\u{2060}',
            '\u{feff}',
            '\u{3164}',
            '\u{e0041}',
        ];
        assert!(hidden.into_iter().all(|c| is_hidden(c) && is_invisible(c)));
    }
}
