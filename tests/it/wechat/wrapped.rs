//! Stories of token services and programs that wrap their answers, and of what they say when they give no token.

use amplinkd::wechat::{CommandSource, GrantNames, HttpSource, TokenError};

use super::{
    tokens::{script, service},
    *,
};

/// A service that answers this, and has its token at these places.
async fn wrapping(reply: Reply, token: &[&str], expires_in: &[&str]) -> (Server, TokenSource) {
    let server = Server::always(reply).await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let TokenSource::Http(source) = service(&server) else { unreachable!("it is one over HTTP") };
    let names = GrantNames { token: names(token), expires_in: names(expires_in) };
    (server, TokenSource::Http(HttpSource { names, ..source }))
}

#[tokio::test]
async fn a_wrapped_token_is_found_where_the_pointer_leads() {
    const DATA: [&str; 2] = ["data", "access_token"];
    for (body, token_at, expires_at, kept_for) in [
        (r#"{"code":0,"data":{"access_token":"t","expires_in":600}}"#, &DATA[..], &[][..], 540),
        (r#"{"code":200,"errcode":200,"msg":"ok","data":{"access_token":"t"},"ttl":"600"}"#, &DATA, &["ttl"], 540),
        (r#"{"data":{"access_token":"t","expires_in":null}}"#, &DATA, &[], 54),
        (r#"{"data":[{"a/b":{"m~n":"t"}}],"expires_in":600}"#, &["data", "0", "a/b", "m~n"], &["expires_in"], 540),
        (r#"{"":{"":"t"}}"#, &["", ""], &[], 54),
        (r#"{"access_token":"t","data":{"left":600}}"#, &[], &["data", "left"], 540),
        (r#"{"authorizer_access_token":"t","data":{"left":600}}"#, &[], &["data", "left"], 540),
    ] {
        let (server, source) = wrapping(Reply::Ok(body.to_owned()), token_at, expires_at).await;
        let clock = ManualClock::starting_at(Time::from_ms(0));
        let tokens = Tokens::new(source, Arc::clone(&clock) as SharedClock).unwrap();
        assert_eq!(tokens.get(&account()).await, Ok(token("t")), "{body}");
        clock.advance(Duration::from_secs(kept_for - 1));
        tokens.get(&account()).await.unwrap();
        assert_eq!(server.requests().len(), 1, "{body}");
        clock.advance(Duration::from_secs(1));
        tokens.get(&account()).await.unwrap();
        assert_eq!(server.requests().len(), 2, "{body}");
    }
}

#[tokio::test]
async fn a_service_that_wraps_its_refusal_is_reported_in_its_own_words() {
    let ok = |body: &str| Reply::Ok(body.to_owned());
    for (reply, said) in [
        (ok(r#"{"code":40001,"message":"appid is not yours","data":null}"#), "code 40001: appid is not yours"),
        (ok(r#"{"ret":-7,"msg":"应用未授权","data":{"names":1}}"#), "code -7: 应用未授权"),
        (ok(r#"{"error":{"code":"E12","message":"vault is sealed"}}"#), "code E12: vault is sealed"),
        (ok(r#"{"error":"invalid_client","error_description":"unknown app"}"#), "code invalid_client: unknown app"),
        (ok(r#"{"data":{"token":"t"}}"#), "no text at /data/access_token; where that ends it has token"),
        (ok(r#"{"result":{}}"#), "no text at /data/access_token; at its root it has result"),
        (ok(r#"{"data":{"access_token":""},"msg":"none yet"}"#), "it says: none yet"),
        (ok(r#"{"data":{"access_token":"a","access_token":"b"}}"#), "stands there twice"),
        (Reply::Status(500, r#"{"code":5,"message":"vault is sealed"}"#.to_owned()), "code 5: vault is sealed"),
        (Reply::Status(403, r#"{"message":"who are you?"}"#.to_owned()), "who are you?"),
        (ok(&format!(r#"{{"code":1,"message":"no key {SECRET} here"}}"#)), "no key [secret] here"),
        (
            ok(&format!(r#"{{"code":1,"message":"no {}\u200b{} here"}}"#, &SECRET[..9], &SECRET[9..])),
            "no [secret] here",
        ),
        (ok(r#"{"code":1,"message":"access_token=abc is over"}"#), "[secret] is over"),
        (ok(&format!(r#"{{"message":"{}"}}"#, "long ".repeat(5_000))), "long long"),
    ] {
        let shown = format!("{reply:?}");
        let (_server, source) = wrapping(reply, &["data", "access_token"], &[]).await;
        let error = Tokens::new(source, clock()).unwrap().get(&account()).await.unwrap_err();
        assert_clean(&error);
        assert!(matches!(error, TokenError::Unavailable(_)), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(said) && told.chars().count() < 500, "{told}\n{shown}");
    }
    for body in [r#"{"data":{"errcode":61003,"errmsg":"gone"}}"#, r#"{"errcode":"61003","errmsg":"gone","data":null}"#]
    {
        for reply in [ok(body), Reply::Status(404, body.to_owned())] {
            let (_server, source) = wrapping(reply, &["data", "access_token"], &[]).await;
            let error = Tokens::new(source, clock()).unwrap().get(&account()).await.unwrap_err();
            assert!(matches!(&error, TokenError::Refused(refusal) if refusal.errcode == 61_003), "{body}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_wrapped_answer_that_nobody_expects_says_which_key_helps() {
    let body = r#"{"code":0,"data":{"authorizer_access_token":"61W3","expires_in":7200}}"#;
    let (_server, source) = wrapping(Reply::Ok(body.to_owned()), &[], &[]).await;
    let told = Tokens::new(source, clock()).unwrap().get(&account()).await.unwrap_err().to_string();
    assert!(
        told.contains("set [tokens] token = \"/data/authorizer_access_token\"") && !told.contains("61W3"),
        "{told}"
    );
}

#[tokio::test]
async fn a_program_may_wrap_its_answer_too() {
    let dir = tempfile::tempdir().unwrap();
    let names = GrantNames { token: vec!["data".to_owned(), "access_token".to_owned()], expires_in: Vec::new() };
    let get = async |text: &str| {
        let TokenSource::Command(source) = script(&dir, text) else { unreachable!("it is a command") };
        let source = TokenSource::Command(CommandSource { names: names.clone(), ..source });
        Tokens::new(source, clock()).unwrap().get(&account()).await
    };
    assert_eq!(get(r#"echo '{"data":{"access_token":"t"}}'"#).await, Ok(token("t")));
    for (text, said) in [
        (r#"echo '{"code":3,"msg":"no key 61W3mEpU6602"}'"#, "code 3: no key [secret]"),
        (r#"echo '{"code":3,"msg":"sealed"}'; echo trace >&2; exit 1"#, "trace; it says: code 3: sealed"),
    ] {
        let told = get(text).await.unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
}
