//! Takes secrets out of texts: those that are known, in every spelling, and in texts of foreign programs whatever may be
//! one.

use std::borrow::Cow;

/// What stands where a secret was.
pub(crate) const SCRUBBED: &str = "[secret]";

/// The text without `secret`, as it is and as it looks in a URL: a proxy may quote our own request back at us.
#[must_use]
pub(crate) fn without(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    spellings(secret).iter().fold(text.to_owned(), |text, spelt| text.replace(spelt, SCRUBBED))
}

/// The text without any of the secrets.
#[must_use]
pub(crate) fn without_all(text: &str, secrets: &[&str]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| without(&text, secret))
}

/// The secret as it is, as it stands in a URL, and as an error that quotes a text spells it; the longest first, for one
/// may lie within another.
fn spellings(secret: &str) -> Vec<String> {
    let encoded = percent_encoded(secret).into_owned();
    let quoted = format!("{secret:?}");
    let quoted = &quoted[1..quoted.len() - 1];
    let mut spelt = vec![lowercase_escapes(&encoded), encoded, quoted.to_owned(), secret.to_owned()];
    spelt.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    spelt.dedup();
    spelt
}

/// `%2F` as `%2f`, which is as good.
fn lowercase_escapes(encoded: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        let inside = digits > 0;
        digits = if c == '%' { 2_u8 } else { digits.saturating_sub(1) };
        if inside { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

/// Characters of a secret's beginning that are too many to show.
const SECRET_HEAD: usize = 16;

/// The text without a beginning of the secret at its end, where a cut of ours or of somebody before us left one.
pub(crate) fn unended(text: &str, secret: &str) -> String {
    for spelling in spellings(secret) {
        let longest = spelling.len().min(text.len());
        // Tokens are ASCII, but a configured secret need not be: `get` is none within a character.
        let head = (SECRET_HEAD..=longest).rev().find_map(|n| spelling.get(..n).filter(|head| text.ends_with(head)));
        if let Some(head) = head {
            return format!("{}{SCRUBBED}", &text[..text.len() - head.len()]);
        }
    }
    text.to_owned()
}

/// A word this long may be a secret. Appids have 18 characters and stay readable.
const OPAQUE_WORD: usize = 20;

/// What the names of secrets end in.
const SECRET_NAMES: [&str; 4] = ["token", "secret", "password", "ticket"];

/// The text without anything that may be a secret nobody told us: long opaque words, and whatever follows a name such
/// as `token=` or `"secret":`. For texts of foreign programs, where losing a word costs less than showing one.
#[must_use]
pub(crate) fn without_secrets(text: &str) -> String {
    let opaque = |c: char| c.is_ascii_alphanumeric() || "_-+/=%@.~".contains(c);
    let mut kept = String::with_capacity(text.len());
    let mut follows_name = false;
    for word in text.split_inclusive(|c: char| !opaque(c)) {
        let bare = word.trim_end_matches(|c: char| !opaque(c));
        let after = &word[bare.len()..];
        if bare.is_empty() {
            kept.push_str(after);
            // Only `token: "x"` carries the suspicion over; a sentence's words do not.
            follows_name &= after.chars().all(|c| c.is_whitespace() || "\"':".contains(c));
            continue;
        }
        let lower = bare.to_ascii_lowercase();
        let (name, value) = lower.split_once('=').unwrap_or((&lower, ""));
        let named = SECRET_NAMES.iter().any(|secret| name.ends_with(secret));
        kept.push_str(if follows_name || is_opaque(bare) || (named && !value.is_empty()) { SCRUBBED } else { bare });
        kept.push_str(after);
        follows_name = named && value.is_empty() && (bare.ends_with('=') || after.contains([':', '"', '\'']));
    }
    kept
}

/// Characters of the shortest word that looks like a secret.
const SECRET_WORD: usize = 12;

/// The text without words that look like secrets: long, and of digits or of both cases. `known` is none.
#[must_use]
pub(crate) fn without_odd_words(text: &str, known: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_-+/=".contains(c);
    let mut kept = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c: char| !inside(c)) {
        let word = piece.trim_end_matches(|c: char| !inside(c));
        let has = |of: fn(&u8) -> bool| word.as_bytes().iter().any(of);
        let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        let odd = word.len() >= SECRET_WORD && word != known && (mixed || has(u8::is_ascii_digit));
        kept.push_str(if odd { SCRUBBED } else { word });
        kept.push_str(&piece[word.len()..]);
    }
    kept
}

/// Long and without a reason to be: a path may be as long as it likes if its parts are short.
fn is_opaque(word: &str) -> bool {
    let longest =
        if word.starts_with(['/', '.', '~']) { word.split('/').map(str::len).max().unwrap_or(0) } else { word.len() };
    longest >= OPAQUE_WORD
}

/// RFC 3986's unreserved characters as they are, every other byte as `%XX`.
#[must_use]
pub(crate) fn percent_encoded(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_lose_what_may_be_a_secret() {
        let long = "61W3mEpU66027wgNZ_MhGHN/QDHnFATkDa9";
        for text in [
            format!("denied for {long}"),
            "access_token=abc".to_owned(),
            "{\"access_token\":\"abc\"}".to_owned(),
            "token: abc".to_owned(),
            "SECRET= abc".to_owned(),
        ] {
            let kept = without_secrets(&text);
            assert!(!kept.contains("abc") && !kept.contains(long), "{text:?} became {kept:?}");
        }
        let harmless =
            "no token for wx0123456789abcdef: /usr/local/bin/token-helper: connection refused (os error 111)";
        assert_eq!(without_secrets(harmless), harmless);
    }

    #[test]
    fn odd_words_are_left_out() {
        let text = "wx0123456789abcdef: lowercase-and-long, MixedCaseLong, x=abcdefghij12. (short1) 错kL/90+aaaaaaa错";
        let kept = "wx0123456789abcdef: lowercase-and-long, [secret], [secret]. (short1) 错[secret]错";
        assert_eq!(without_odd_words(text, "wx0123456789abcdef"), kept);
    }

    #[test]
    fn a_known_secret_is_found_in_both_its_forms() {
        assert_eq!(without("a=k/9 b=k%2F9 c=k%2f9", "k/9"), "a=[secret] b=[secret] c=[secret]");
    }
}
