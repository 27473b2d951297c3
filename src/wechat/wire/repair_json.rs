//! Repairs strings that some backends break: names cut within a character, raw control characters. Outside of strings
//! nothing is repaired: a body with a broken structure stays broken.

/// Stands where a character was lost; an id that holds one is no id.
pub(super) const LOST: char = '\u{fffd}';

/// The body with every text made legal, or nothing when there was nothing to repair.
pub(super) fn mended(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let mut whole = String::with_capacity(text.len());
    let mut inside = false;
    let mut rest = &*text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\\' if inside => escape(rest, &mut whole),
            c if inside && c.is_control() && c < ' ' => {
                whole.push(LOST);
                1
            }
            c => {
                inside ^= c == '"';
                whole.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    (whole.as_bytes() != body).then_some(whole)
}

/// Bytes of `\uXXXX`.
const UNICODE_ESCAPE: usize = 6;

/// Copies the escape that `rest` begins with and tells its length in bytes; a surrogate without its other half is lost.
fn escape(rest: &str, whole: &mut String) -> usize {
    let taken = match (unit(rest), rest.get(UNICODE_ESCAPE..).and_then(unit)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * UNICODE_ESCAPE,
        (Some(0xD800..=0xDFFF), _) => {
            whole.push(LOST);
            return UNICODE_ESCAPE;
        }
        (Some(_), _) => UNICODE_ESCAPE,
        (None, _) => rest.chars().take(2).map(char::len_utf8).sum(),
    };
    whole.push_str(&rest[..taken]);
    taken
}

/// The UTF-16 unit that `text` begins with, as `\uXXXX`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legal_body_is_left_alone() {
        assert_eq!(mended("{\"a\":\"错\\\\\\\"\\ud83d\\ude00\\/\"}\n".as_bytes()), None);
    }

    #[test]
    fn broken_characters_are_lost_and_nothing_else_is() {
        assert_eq!(mended(b"{\"a\":\"x\\ud83d\"}").as_deref(), Some("{\"a\":\"x\u{fffd}\"}"));
        assert_eq!(mended(b"[\"a\\ude00\\n\x01b\xe9\"]").as_deref(), Some("[\"a\u{fffd}\\n\u{fffd}b\u{fffd}\"]"));
        assert_eq!(mended(b"{\x01}"), None);
    }
}
