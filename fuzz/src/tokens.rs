//! What a token service or a token program answers. The first line is `service STATUS SECRET` or `program EXIT SECRET`,
//! the rest the body, or what the program printed, with `--` between its two outputs.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Output},
};

use amplinkd::wechat::{Grant, GrantNames, Token, TokenError, errmsg::ERRMSG_CHARS_MAX};
use reqwest::StatusCode;
use secrecy::SecretString;

use super::{
    answers::{can_be_looked_for, ends_in_no_secret, shows_no_secret},
    ending::{self, ACCOUNT},
    listing::TOKEN,
};

/// Characters that a secret of a program has here: a shorter one may be taken for the rid that support asks for.
const PROGRAM_SECRET_MIN: usize = 41;

/// Characters of a fault's explanation, with what stands before it, and with the source's own words behind it.
const FAULT_MAX: usize = 720;

/// Where a service that wraps its answers has the token.
const WRAPPED: &str = "/data/access_token";

/// Every property of one answer.
pub fn hold(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, body) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    let mut words = first.split_ascii_whitespace();
    let is_program = words.next() == Some("program");
    let number: u16 = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let secret = words.next().filter(|secret| can_be_looked_for(secret)).unwrap_or(TOKEN);
    if is_program { program(number, secret, body) } else { service(number, secret, body) }
}

fn service(status: u16, secret: &str, body: &[u8]) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let read = |names: &GrantNames| {
        let grant = Grant::of_service(status, body, names, &[secret]);
        assert_eq!(grant, Grant::of_service(status, body, names, &[secret]), "read twice, differently");
        assert!(grant.is_err() || status == StatusCode::OK, "a token with HTTP {status}");
        if let Err(error) = &grant {
            shows_no_secret(&error.to_string(), secret);
            ends_in_no_secret(&error.to_string(), secret);
            shows_no_secret(&format!("{error:?}"), secret);
        }
        grant
    };
    judge(&read(&GrantNames::default()), body);
    judge_wrapped(&read(&wrapped()), body);
}

fn wrapped() -> GrantNames {
    GrantNames { token: WRAPPED.split('/').skip(1).map(str::to_owned).collect(), expires_in: Vec::new() }
}

/// A wrapped token is the text where the pointer leads.
fn judge_wrapped(grant: &Result<Grant, TokenError>, body: &[u8]) {
    if let Ok(grant) = grant
        && let Some(reading) = ending::second_reading(body, "a token")
    {
        let token = reading.pointer(WRAPPED).and_then(|found| found.as_str()).expect("a token that nobody said");
        assert_eq!(Token::new(SecretString::from(token)).as_ref(), Ok(&grant.token));
    }
    if let Err(TokenError::Unavailable(why)) = grant {
        assert!(why.chars().count() <= FAULT_MAX, "a fault without end: {why}");
    }
}

fn program(exit: u16, secret: &str, printed: &[u8]) {
    let split = printed.windows(4).position(|window| window == b"\n--\n");
    let (stdout, stderr) = split.map_or((printed, &[][..]), |at| (&printed[..at], &printed[at + 4..]));
    let status = ExitStatus::from_raw(i32::from(exit & 0xff) << 8);
    let left = Output { status, stdout: stdout.to_vec(), stderr: stderr.to_vec() };
    let account = ACCOUNT.parse().unwrap();
    let names = GrantNames::default();
    let grant = Grant::of_program(&left, &account, &names);
    assert_eq!(grant, Grant::of_program(&left, &account, &names), "read twice, differently");
    assert!(grant.is_err() || status.success(), "a token of a program that failed");
    judge(&grant, stdout);
    let plain = secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if let Err(error) = &grant
        && plain
        && secret.len() >= PROGRAM_SECRET_MIN
    {
        // Nobody told us this secret: it is known by its looks.
        assert!(!error.to_string().contains(secret), "a token came out: {error}");
    }
}

/// A token is the one text under one of its two names; a refusal is the body's own code.
fn judge(grant: &Result<Grant, TokenError>, body: &[u8]) {
    match grant {
        Ok(grant) => {
            let Some(reading) = ending::second_reading(body, "a token") else { return };
            let texts = ["access_token", "authorizer_access_token"].map(|name| reading[name].as_str());
            let token = texts.iter().flatten().next().expect("a token that nobody said");
            assert_eq!(Token::new(SecretString::from(*token)).as_ref(), Ok(&grant.token));
            assert_eq!(texts.iter().flatten().count(), 1, "two tokens");
            assert!(ending::number(reading.get("errcode")).is_none_or(|code| code == 0.0), "a token beside a code");
            assert!(!format!("{grant:?}").contains(*token) || token.len() < 16, "a token came out");
        }
        Err(TokenError::Refused(refusal)) => {
            if let Some(reading) = ending::second_reading(body, "a refusal") {
                assert_eq!(ending::number(reading.get("errcode")), Some(ending::approximately(refusal.errcode)));
            }
            assert_ne!(refusal.errcode, 0);
            assert!(refusal.errmsg.chars().count() <= ERRMSG_CHARS_MAX, "an errmsg without end");
        }
        Err(TokenError::Unavailable(why)) => assert!(why.chars().count() <= FAULT_MAX, "a fault without end: {why}"),
    }
}
