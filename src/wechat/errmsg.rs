//! Extracts the rid and the refused IP address from an `errmsg`, and cleans it up. Responses are classified by code
//! alone.

use std::net::IpAddr;

use crate::net::secrets::{unended, without_all};

/// The longest `errmsg` kept, in characters: enough for every text seen, short enough for one line of a log.
pub const ERRMSG_CHARS_MAX: usize = 512;

/// The longest explanation of a fault, in characters.
const FAULT_CHARS_MAX: usize = 200;

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
    unended(cut + tail.as_str())
}

/// The explanation of a fault as it may be shown, without the secrets it may quote.
#[must_use]
pub(super) fn fault_without(fault: &str, secrets: &[&str]) -> String {
    let cut = clip(&without_all(fault, secrets), FAULT_CHARS_MAX);
    secrets.iter().fold(cut, |text, secret| unended(&text, secret))
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
