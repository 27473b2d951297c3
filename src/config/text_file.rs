//! Files that people write: UTF-8, with or without a byte order mark. What is written otherwise is refused with its name
//! and its place, and no error repeats what stands there.

use std::{io::Read, path::Path};

/// The byte order mark of UTF-8, as a character.
const MARK: char = '\u{feff}';

/// The text of a file of at most `max` bytes, without a byte order mark.
///
/// # Errors
/// A sentence when it cannot be read, is longer (`too_large`), or is not UTF-8.
pub(super) fn read(path: &Path, max: u64, too_large: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|wrong| wrong.to_string())?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(|wrong| wrong.to_string())?;
    if bytes.len() as u64 > max {
        return Err(too_large.to_owned());
    }
    decoded(bytes)
}

fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is UTF-16: save it as UTF-8".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(without_mark(&text).to_owned()),
        Err(wrong) => {
            let (line, column) = super::error::place_of_byte(wrong.as_bytes(), wrong.utf8_error().valid_up_to());
            Err(format!(
                "it is not UTF-8 (line {line}, column {column}): save it as UTF-8, not in GBK or another encoding"
            ))
        }
    }
}

/// The text without the mark that some editors put before it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_taken_off_and_another_encoding_has_a_place() {
        assert_eq!(decoded(b"\xef\xbb\xbfa\r\n".to_vec()).as_deref(), Ok("a\r\n"));
        let wrong = |bytes: &[u8]| decoded(bytes.to_vec()).unwrap_err();
        assert!(wrong(b"a\n\xe4\xb8\xad\xc3").contains("line 2, column 2"));
        assert!(wrong(b"\xc4\xe3\xba\xc3").contains("line 1, column 1"));
        for utf16 in [b"\xff\xfea\0", b"\xfe\xff\0a"] {
            assert!(wrong(utf16).contains("UTF-16"));
        }
    }
}
