//! Extracts the rid and the refused IP address from an `errmsg`, and cleans it up. Responses are classified by code
//! alone.

use std::{borrow::Cow, net::IpAddr};

/// The longest `errmsg` kept, in characters: enough for every text seen, short enough for one line of a log.
pub const ERRMSG_CHARS_MAX: usize = 512;

/// The longest explanation of a fault, in characters.
const FAULT_CHARS_MAX: usize = 200;

/// What stands where a secret was.
const SCRUBBED: &str = "[secret]";

/// The id of the call that `WeChat`'s support asks for, in every spelling users have reported: ` rid: x`, `, rid: x`,
/// ` rid:x`, ` hint: [x]`, `hints: [ req_id: x ]`.
#[must_use]
pub fn rid(errmsg: &str) -> Option<&str> {
    named(errmsg, "rid:").or_else(|| hint(errmsg)).filter(|rid| !rid.is_empty())
}

/// The word after the last `name` that does not end a longer word, as "grid:" does.
fn named<'a>(errmsg: &'a str, name: &str) -> Option<&'a str> {
    let (at, _) = errmsg
        .rmatch_indices(name)
        .find(|(at, _)| errmsg[..*at].chars().next_back().is_none_or(|before| !before.is_alphanumeric()))?;
    let rest = errmsg[at + name.len()..].trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(rest.len());
    Some(&rest[..end])
}

fn hint(errmsg: &str) -> Option<&str> {
    let at = errmsg.rfind("hint")?;
    let (_, inside) = errmsg[at..].split_once('[')?;
    let (inside, _) = inside.split_once(']')?;
    Some(inside.trim().trim_start_matches("req_id:").trim())
}

/// The address `WeChat` saw, out of the text of a 61004 ("access clientip is not registered requestIP: 192.0.2.1") or of
/// a 40164 (`invalid ip 192.0.2.1 ipv6 ::ffff:192.0.2.1, not in whitelist`). The people who keep the whitelist need it.
#[must_use]
pub fn request_ip(errmsg: &str) -> Option<IpAddr> {
    ["requestIP:", "invalid ip "].iter().find_map(|before| {
        let (_, rest) = errmsg.split_once(before)?;
        let word = rest.split_whitespace().next()?;
        word.trim_matches(|c: char| !c.is_ascii_hexdigit() && c != ':').parse().ok()
    })
}

/// What ends a text that was cut.
fn tail(errmsg: &str) -> String {
    rid(errmsg).map_or_else(|| "…".to_owned(), |rid| format!("… rid: {}", clip(rid, ERRMSG_CHARS_MAX / 2)))
}

/// The first `max` characters.
#[must_use]
pub(super) fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

/// The text without `secret`, as it is and as it looks in a URL: a proxy may quote our own request back at us.
#[must_use]
pub(super) fn without(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    spellings(secret).iter().fold(text.to_owned(), |text, spelt| text.replace(spelt, SCRUBBED))
}

/// The text without any of the secrets.
#[must_use]
pub(super) fn without_all(text: &str, secrets: &[&str]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| without(&text, secret))
}

/// An `errmsg` as it may be kept: without the secrets first, within the limit second; its rid survives the cut. The
/// other way round, a secret that the cut goes through is no longer seen to be one.
#[must_use]
pub(super) fn kept_without(errmsg: &str, secrets: &[&str]) -> String {
    let unended = |text: String| secrets.iter().fold(text, |text, secret| unended(&text, secret));
    let whole = without_all(errmsg, secrets);
    if whole.chars().nth(ERRMSG_CHARS_MAX).is_none() {
        return unended(whole);
    }
    let tail = tail(&whole);
    let cut = unended(clip(&whole, ERRMSG_CHARS_MAX - tail.chars().count()));
    unended(cut + &tail)
}

/// The explanation of a fault as it may be shown, without the secrets it may quote.
#[must_use]
pub(super) fn fault_without(fault: &str, secrets: &[&str]) -> String {
    let cut = clip(&without_all(fault, secrets), FAULT_CHARS_MAX);
    secrets.iter().fold(cut, |text, secret| unended(&text, secret))
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
fn unended(text: &str, secret: &str) -> String {
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
pub(super) fn without_secrets(text: &str) -> String {
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
pub(super) fn without_odd_words(text: &str, known: &str) -> String {
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
pub(super) fn percent_encoded(text: &str) -> Cow<'_, str> {
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
    fn the_rid_is_found_in_every_spelling() {
        for (errmsg, expected) in [
            (" rid: 61932a5b-0e248764-42d1c1b2", Some("61932a5b-0e248764-42d1c1b2")),
            ("not authorized by this account, rid: 6f0a", Some("6f0a")),
            ("code is invalid rid:ABC123", Some("ABC123")),
            ("refresh_token is invalid hint: [ZYr3MA09552029]", Some("ZYr3MA09552029")),
            ("system error, hints: [ req_id: JIdaFAMre-qcJVFa ]", Some("JIdaFAMre-qcJVFa")),
            ("a grid: of things", None),
            ("rid:", None),
            ("hint: [", None),
            ("ok", None),
        ] {
            assert_eq!(rid(errmsg), expected, "{errmsg:?}");
        }
    }

    #[test]
    fn the_refused_address_is_found() {
        let ip = |text| request_ip(text).map(|ip| ip.to_string());
        assert_eq!(
            ip("access clientip is not registered requestIP: 192.0.2.7 rid: 60-1"),
            Some("192.0.2.7".to_owned())
        );
        assert_eq!(
            ip("invalid ip 192.0.2.8 ipv6 ::ffff:192.0.2.8, not in whitelist rid: 5"),
            Some("192.0.2.8".to_owned())
        );
        assert_eq!(ip("requestIP: 60.221.*.* rid: 1"), None);
    }

    #[test]
    fn a_long_text_is_cut_and_keeps_its_rid() {
        let kept = kept_without(&format!("{} rid: 61932a5b-0e248764", "错".repeat(2_000)), &[]);
        assert_eq!(kept.chars().count(), ERRMSG_CHARS_MAX);
        assert_eq!(rid(&kept), Some("61932a5b-0e248764"));
    }

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

    #[test]
    fn a_beginning_of_a_secret_goes_from_the_end() {
        let secret = "abcdefghij/klmnopqrstuv";
        assert_eq!(kept_without("used abcdefghij/klmno", &[secret]), "used [secret]");
        assert_eq!(kept_without("used abcdefghij%2Fklmno", &[secret]), "used [secret]");
        assert_eq!(fault_without("used abcdefghij/klmn", &[secret]), "used abcdefghij/klmn", "too short to tell");
        let cut = format!("{}{}", "x".repeat(FAULT_CHARS_MAX - 18), secret);
        assert!(!fault_without(&cut, &[secret]).contains("abcd"));
        assert!(!fault_without(&cut, &["another secret of this call", secret]).contains("abcd"));
    }
}
