//! Stories of texts that quote a secret, wherever a cut may go through it.

use std::sync::Mutex;

use super::*;

/// A token of this length in which no sixteen characters come twice.
fn long(length: usize) -> String {
    let piece = |n: usize| format!("{n:x}Z/{:05}+", n.wrapping_mul(7_919) % 99_991);
    (0..).flat_map(|n| piece(n).into_bytes()).take(length).map(char::from).collect()
}

/// No sixteen characters of the secret in a row, in either spelling.
fn assert_without(shown: &str, secret: &str, at: usize) {
    for spelt in [secret.to_owned(), secret.replace('/', "%2F").replace('+', "%2B")] {
        let leak = spelt.as_bytes().windows(16).find(|window| shown.contains(std::str::from_utf8(window).unwrap()));
        assert!(leak.is_none(), "{} characters echoed at {at}: {shown}", secret.len());
    }
}

/// Everything that comes of the three calls and of reading the listing, as texts.
async fn texts(wechat: &Client, token: &Token) -> Vec<String> {
    let listed = match wechat.listing(token).await {
        Ok(raw) => format!("{:?}", raw.read().unwrap_err()),
        Err(error) => format!("{error:?}"),
    };
    let linked = wechat.link(token, &program(), LinkOptions::default()).await.unwrap_err();
    let unlinked = wechat.unlink(token, &program()).await.unwrap_err();
    vec![listed, format!("{linked:?} {linked}"), format!("{unlinked:?} {unlinked}")]
}

/// `body` with the token after `at` characters, for every length of token, both spellings and every place around a cut.
async fn echo(places: impl Iterator<Item = usize> + Clone, body: impl Fn(&str) -> String) {
    let next = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&next);
    let server = Server::start(move |_, _| Reply::Ok(shared.lock().unwrap().clone())).await;
    let wechat = client(&server.url);
    for secret in [157, 540, 3_000].map(long) {
        let token = token(&secret);
        for spelt in [secret.clone(), secret.replace('/', "%2F").replace('+', "%2B")] {
            for at in places.clone() {
                *next.lock().unwrap() = body(&format!("{}{spelt}", "x".repeat(at)));
                for text in texts(&wechat, &token).await {
                    assert_without(&text, &secret, at);
                }
            }
        }
    }
}

#[tokio::test]
async fn no_cut_leaves_a_part_of_a_token_in_a_refusal() {
    let places = (0..350).step_by(50).chain(480..=515);
    echo(places.clone(), |text| format!(r#"{{"errcode":40097,"errmsg":"{text} rid: 1-2-3"}}"#)).await;
    echo(places, |text| format!("{{\"errcode\":40097,\"errmsg\":\"{text}\"{}}}", " ".repeat(2_000))).await;
}

#[tokio::test]
async fn no_cut_leaves_a_part_of_a_token_in_a_lost_answer() {
    let places = (0..140).step_by(20).chain(150..=205);
    echo(places, |text| format!(r#"{{"errcode":0,"wxopens":"{text}","errcode":"{text}"}}"#)).await;
    echo((130..=205).step_by(3), |text| format!(r#"{{"wxopens":"{text}"}}"#)).await;
}

/// A proxy that cuts before us leaves half a token, which is no longer the token.
#[tokio::test]
async fn half_a_token_at_the_end_goes_too() {
    let secret = long(540);
    for kept in [16, 100, 539] {
        let body = format!(r#"{{"errcode":40001,"errmsg":"invalid {}"}}"#, &secret[..kept]);
        let server = Server::always(Reply::Ok(body)).await;
        for text in texts(&client(&server.url), &token(&secret)).await {
            assert!(text.contains("invalid [secret]"), "{text}");
        }
    }
}
