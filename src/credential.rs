//! What people and programs show to prove who they are: passwords, API tokens, session secrets. Only digests of them are
//! kept. Randomness comes from the system.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use chacha20poly1305::aead::Generate as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::history::hex;

/// Bytes of randomness in a token's or a session's secret.
const SECRET_BYTES: usize = 32;

/// Bytes of randomness in the part of a token that names it.
const ID_BYTES: usize = 5;

/// Hexadecimal digits of a token's checksum: a typing error is told apart from a token that was revoked.
const CHECKSUM_DIGITS: usize = 8;

const PREFIX: &str = "amplinkd_";

/// The shortest password, in characters.
pub const PASSWORD_MIN: usize = 8;

/// The longest password, in bytes.
pub const PASSWORD_MAX: usize = 1_024;

/// argon2id with 19 MiB, two passes, one lane: OWASP's least recommendation for interactive sign-ins.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// SHA-256 of a token or of a session's secret, under which the database keeps it.
#[must_use]
pub fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// A session's secret, as the cookie holds it: 64 hexadecimal digits.
///
/// # Panics
/// When the system has no random numbers.
#[must_use]
pub fn session_secret() -> SecretString {
    SecretString::from(hex(Zeroizing::new(<[u8; SECRET_BYTES]>::generate()).as_slice()))
}

/// A token of the API: `amplinkd_<id>_<secret><checksum>`, in hexadecimal digits.
#[derive(Debug)]
pub struct ApiToken {
    /// The part that names it and opens nothing.
    pub id: String,
    /// The whole of it.
    pub token: SecretString,
}

impl ApiToken {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let id = hex(&<[u8; ID_BYTES]>::generate());
        let secret = hex(Zeroizing::new(<[u8; SECRET_BYTES]>::generate()).as_slice());
        let body = Zeroizing::new(format!("{PREFIX}{id}_{secret}"));
        let token = SecretString::from(format!("{}{}", *body, checksum(&body)));
        Self { id, token }
    }
}

/// The id within a token; `None` for what is no token, also because of a typing error.
#[must_use]
pub fn token_id(token: &str) -> Option<&str> {
    let body_length = PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES;
    let (body, sum) = token.split_at_checked(body_length)?;
    let (id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (id.len() == 2 * ID_BYTES && is_hex(id) && is_hex(secret) && checksum(body) == sum).then_some(id)
}

fn checksum(body: &str) -> String {
    let mut sum = hex(&Sha256::digest(body.as_bytes()));
    sum.truncate(CHECKSUM_DIGITS);
    sum
}

/// Checks that a password can be one.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < PASSWORD_MIN {
        return Err(format!("a password has at least {PASSWORD_MIN} characters"));
    }
    if password.len() > PASSWORD_MAX {
        return Err(format!("a password has at most {PASSWORD_MAX} bytes"));
    }
    Ok(())
}

fn argon2() -> Argon2<'static> {
    // The numbers are within what the crate allows.
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password; takes about 20 ms and 19 MiB, so not on a thread that others wait for.
///
/// # Errors
/// When the system has no memory or no random numbers.
pub fn hash_password(password: &SecretString) -> Result<String, HashError> {
    let hash = argon2().hash_password(password.expose_secret().as_bytes()).map_err(|_| HashError)?;
    Ok(hash.to_string())
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("could not hash the password: the system lacks memory or random numbers")]
pub struct HashError;

/// Whether a password is the one behind this hash. Without a hash, as of a name that nobody has, it takes as long and is
/// not.
#[must_use]
pub fn is_password(password: &SecretString, hash: Option<&str>) -> bool {
    /// Of a password that nobody has: the salt and the output are of no use but of the right length.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                          AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let is_too_long = password.expose_secret().len() > PASSWORD_MAX;
    let Ok(parsed) = PasswordHash::new(hash.filter(|_| !is_too_long).unwrap_or(NOBODY)) else { return false };
    argon2().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok() && hash.is_some() && !is_too_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_its_id_and_a_checksum() {
        let ApiToken { id, token } = ApiToken::generate();
        let token = token.expose_secret();
        assert_eq!(token_id(token), Some(id.as_str()));
        assert!(!id.is_empty() && token.starts_with(&format!("amplinkd_{id}_")));
        for place in [0, 9, 21, token.len() - 1] {
            let mut wrong = token.to_owned().into_bytes();
            wrong[place] = if wrong[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(token_id(&String::from_utf8(wrong).unwrap()), None, "place {place}");
        }
        for no_token in ["", "amplinkd_", "amplinkd_a_b", &token[..token.len() - 1], &format!("{token}0")] {
            assert_eq!(token_id(no_token), None, "{no_token}");
        }
        assert_eq!(token_id(&"€".repeat(60)), None);
    }

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let right = SecretString::from("correct horse");
        let hash = hash_password(&right).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password(&right, Some(&hash)));
        assert!(!is_password(&SecretString::from("correct horsf"), Some(&hash)));
        assert!(!is_password(&right, None));
        assert!(!is_password(&right, Some("nonsense")));
        assert!(!is_password(&SecretString::from("a".repeat(PASSWORD_MAX + 1)), Some(&hash)));
    }

    #[test]
    fn a_password_has_a_length() {
        assert!(check_password("12345678").is_ok());
        assert!(check_password("密码密码密码密码").is_ok());
        assert!(check_password("1234567").is_err());
        assert!(check_password(&"a".repeat(1_025)).is_err());
    }
}
