//! Redacts a channel's secrets from every text that leaves it, whatever a service sends back. A secret need not appear
//! whole: a service may quote part of it, in capitals or percent-encoded.

use std::{collections::HashSet, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::secrets::SCRUBBED;

/// Bytes in a row that give a secret away. Shorter pieces are words of the service's own sentence too often.
const PIECE: usize = 8;

/// The shortest text of an address that is taken for a key, in bytes; a query's value may be as short as that.
const KEY_MIN: usize = 4;

/// A part of a path this long is a key, not a word, in bytes. The shortest key that we know of is Slack's, with 24.
const KEY_FOR_SURE: usize = 16;

/// Characters of a service's own words that are kept: enough for every documented sentence.
const WORDS_MAX: usize = 200;

/// The secrets of one channel, cut into the pieces by which they are found again.
#[derive(Clone)]
pub(crate) struct Redactor {
    /// In lower case; as long as [`PIECE`], or a whole secret that is shorter.
    pieces: HashSet<Vec<u8>>,
    /// The lengths that occur among them, the longest first.
    lengths: Vec<usize>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Hides the keys in this address, and these secrets.
    pub(crate) fn new(url: Option<&Url>, secrets: &[SecretString]) -> Self {
        let mut redactor = Self { pieces: HashSet::new(), lengths: Vec::new() };
        for secret in secrets {
            let secret = secret.expose_secret();
            redactor.hide(secret);
            redactor.hide(secret.strip_prefix("whsec_").unwrap_or(secret));
        }
        for key in url.map(keys_in).unwrap_or_default() {
            redactor.hide(&key);
        }
        redactor
    }

    /// Hides one more text, as it is and percent-encoded.
    pub(crate) fn hide(&mut self, secret: &str) {
        let encoded: String = reqwest::Url::parse_with_params("x:/", [("", secret)])
            .map(|url| url.query().unwrap_or_default().trim_start_matches('=').to_owned())
            .unwrap_or_default();
        for spelt in [secret, &encoded] {
            let bytes = spelt.to_ascii_lowercase().into_bytes();
            if bytes.len() < KEY_MIN {
                continue;
            }
            let length = bytes.len().min(PIECE);
            self.pieces.extend(bytes.windows(length).map(<[u8]>::to_vec));
            if !self.lengths.contains(&length) {
                self.lengths.push(length);
                self.lengths.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
    }

    /// The text without any piece of a secret, on one line, short, and without characters that nobody sees.
    pub(crate) fn words(&self, text: &str) -> String {
        let veiled = self.veiled(&text.replace("\\/", "/"));
        let line = crate::domain::text::format::one_line(&veiled);
        crate::domain::text::format::clip(&line, WORDS_MAX)
    }

    fn veiled(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase().into_bytes();
        let mut secret = vec![false; lower.len()];
        for &length in &self.lengths {
            for (at, window) in lower.windows(length).enumerate() {
                if self.pieces.contains(window) {
                    secret[at..at + length].fill(true);
                }
            }
        }
        let mut shown = String::with_capacity(text.len());
        let mut hidden = false;
        for (at, c) in text.char_indices() {
            if !secret[at] {
                shown.push(c);
            } else if !hidden {
                shown.push_str(SCRUBBED);
            }
            hidden = secret[at];
        }
        shown
    }
}

/// Everything in an address that may be a key: the user and the password, what a query's names stand for, and the parts
/// of the path that are no plain words. Both as they are written and as they are meant.
fn keys_in(url: &Url) -> Vec<String> {
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    // As the header of a call carries both, and as a service may quote it.
    let mut keys = vec![user.to_owned(), password.to_owned()];
    if !password.is_empty() {
        keys.push(STANDARD.encode(format!("{user}:{password}")));
    }
    for pair in url.query().unwrap_or_default().split('&') {
        keys.push(pair.split_once('=').map_or(pair, |(_, value)| value).to_owned());
    }
    keys.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    let is_key = |part: &&str| {
        let word = part.bytes().all(|b| b.is_ascii_lowercase() || b"-_.".contains(&b));
        part.len() >= KEY_FOR_SURE || !word && part.len() >= PIECE
    };
    keys.extend(url.path_segments().into_iter().flatten().filter(is_key).map(str::to_owned));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veil(url: &str, secrets: &[&str]) -> Redactor {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        Redactor::new(Some(&Url::parse(url).unwrap()), &secrets)
    }

    #[test]
    fn a_password_is_hidden_as_a_header_carries_it_too() {
        let veil = veil("http://user7:pw7890@h/x", &[]);
        assert_eq!(veil.words("Authorization: Basic dXNlcjc6cHc3ODkw"), "Authorization: Basic [secret]");
    }

    #[test]
    fn a_quoted_address_loses_its_keys_and_keeps_its_words() {
        let veil =
            veil("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa", &[]);
        assert_eq!(
            veil.words("invalid webhook url, key=693A91F6-7AOC-4bc4-97a0-0ec2sifa5aaa, more info"),
            "invalid webhook url, key=[secret], more info"
        );
    }

    #[test]
    fn half_a_secret_goes_too() {
        let veil = veil("https://a.example/", &["SEC0123456789abcdef"]);
        assert_eq!(veil.words("bad sign of 456789abcd!"), "bad sign of [secret]!");
        assert_eq!(veil.words("bad sign of 45678 abcd!"), "bad sign of 45678 abcd!");
    }

    #[test]
    fn other_spellings_go_too() {
        let veil = veil("https://u:p%40ssword@a.example/T00000000/B00000000/XyZ?t=a%2Fbcdefghi", &["ab+/cdefghij=="]);
        for text in ["p%40ssword", "T00000000", "b00000000", "a/bcdefghi", "a\\/bcdefghi", "ab%2B%2Fcdefghij%3D%3D"] {
            assert_eq!(veil.words(text), "[secret]", "{text}");
        }
    }

    #[test]
    fn letters_of_many_bytes_stay_whole_and_nothing_unseen_stays() {
        let veil = veil("https://a.example/?key=密钥密钥密钥", &["钥匙钥匙"]);
        assert_eq!(veil.words("\u{202e}键\r\n\t钥匙钥匙\u{0} 完"), "键 [secret] 完");
        assert_eq!(veil.words(&"字".repeat(300)).chars().count(), WORDS_MAX);
    }
}
