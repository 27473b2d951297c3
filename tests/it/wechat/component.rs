//! Stories of the component APIs: what is sent, what is made of every answer, and that no secret of a call comes out.

use amplinkd::wechat::{Component, component::ANSWER_BYTES_MAX};
use secrecy::ExposeSecret as _;

use super::*;

const APPID: &str = "wx00000000000000c0";

const APPSECRET: &str = "28c2a3+63f7de0d5/94fe7aaa";

const TICKET: &str = "ticket@@@hXh2446N-P9OOZqW4EeuPO9z";

const REFRESH: &str = "refreshtoken@@@RU0Sgi7bD6apS7frS9g";

const CODE: &str = "queryauthcode@@@5p3JpBe1aOxWM9Lt";

/// A token that only answers hold.
const NEW: &str = "62_NewTokenOfTheAnswer-0123456789abcdef";

fn component(url: &str) -> Component {
    let config = ClientConfig {
        base_url: url.to_owned(),
        timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_millis(300),
        ..ClientConfig::default()
    };
    Component::new(&config, APPID, SecretString::from(APPSECRET)).unwrap()
}

async fn answering(body: &str) -> (Server, Component) {
    let server = Server::always(Reply::Ok(body.to_owned())).await;
    let component = component(&server.url);
    (server, component)
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn shown(secret: Option<&SecretString>) -> Option<&str> {
    secret.map(SecretString::expose_secret)
}

/// The error that each of the six calls came to, if any.
async fn errors(component: &Component) -> [Option<CallError>; 6] {
    let token = token(SECRET);
    [
        component.component_token(&secret(TICKET)).await.err(),
        component.authorizer_token(&token, &account(), &secret(REFRESH)).await.err(),
        component.query_auth(&token, &secret(CODE)).await.err(),
        component.authorizer_list(&token, 0, 500).await.err(),
        component.authorizer_info(&token, &account()).await.err(),
        component.start_push_ticket().await.err(),
    ]
}

/// No secret of any call shows, as it is or as a URL spells it.
fn assert_no_secret(error: &CallError) {
    assert_clean(error);
    for text in [format!("{error}"), format!("{error:?}")] {
        for part in [APPSECRET, TICKET, REFRESH, CODE, NEW, "28c2a3%2B63f7de0d5", "component_access_token", "ticket%40"]
        {
            assert!(!text.contains(part), "{part} shows in {text}");
        }
    }
}

#[tokio::test]
async fn the_documented_bodies_are_sent() {
    let server = Server::always(Reply::Ok(r#"{"errcode":40013,"errmsg":"invalid appid"}"#.to_owned())).await;
    errors(&component(&format!("{}/proxy/", server.url))).await;
    let requests = server.requests();
    let query = "?component_access_token=61W3mEpU66027wgNZ%2BMhGHN%2FQDHnFATkDa9%3D";
    for (request, call, query, body) in [
        (
            &requests[0],
            "api_component_token",
            "",
            format!(
                r#"{{"component_appid":"{APPID}","component_appsecret":"{APPSECRET}","component_verify_ticket":"{TICKET}"}}"#
            ),
        ),
        (
            &requests[1],
            "api_authorizer_token",
            query,
            format!(
                r#"{{"authorizer_appid":"wx0123456789abcdef","authorizer_refresh_token":"{REFRESH}","component_appid":"{APPID}"}}"#
            ),
        ),
        (
            &requests[2],
            "api_query_auth",
            query,
            format!(r#"{{"authorization_code":"{CODE}","component_appid":"{APPID}"}}"#),
        ),
        (
            &requests[3],
            "api_get_authorizer_list",
            query,
            format!(r#"{{"component_appid":"{APPID}","count":500,"offset":0}}"#),
        ),
        (
            &requests[4],
            "api_get_authorizer_info",
            query,
            format!(r#"{{"authorizer_appid":"wx0123456789abcdef","component_appid":"{APPID}"}}"#),
        ),
        (
            &requests[5],
            "api_start_push_ticket",
            "",
            format!(r#"{{"component_appid":"{APPID}","component_secret":"{APPSECRET}"}}"#),
        ),
    ] {
        assert!(request.starts_with(&format!("POST /proxy/cgi-bin/component/{call}{query} HTTP/1.1\r\n")), "{request}");
        assert!(request.to_ascii_lowercase().contains("content-type: application/json"), "{request}");
        let (_, sent) = request.split_once("\r\n\r\n").unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(sent), json(&body));
    }
    assert_eq!(requests.len(), 6);
}

#[tokio::test]
async fn a_component_token_is_read_however_its_lifetime_is_spelt() {
    for (spelt, expected) in
        [("7200", Some(7_200)), ("\"7200\"", Some(7_200)), ("-5", Some(0)), ("null", None), ("\"soon\"", None)]
    {
        let body = format!(r#"{{"component_access_token":"{NEW}","expires_in":{spelt},"more":[1]}}"#);
        let (_server, component) = answering(&body).await;
        let granted = component.component_token(&secret(TICKET)).await.unwrap();
        assert_eq!(granted.token.expose_secret(), NEW);
        assert_eq!(granted.lives.map(|lives| lives.as_secs()), expected, "{spelt}");
        assert!(!format!("{granted:?} {component:?}").contains(NEW));
    }
}

#[tokio::test]
async fn an_empty_refresh_token_is_none() {
    for (refresh, expected) in [
        (format!(r#","authorizer_refresh_token":"{REFRESH}""#), Some(REFRESH)),
        (r#","authorizer_refresh_token":"""#.to_owned(), None),
        (r#","authorizer_refresh_token":null"#.to_owned(), None),
        (String::new(), None),
    ] {
        let body = format!(r#"{{"errcode":0,"authorizer_access_token":"{NEW}","expires_in":7200{refresh}}}"#);
        let (_server, component) = answering(&body).await;
        let granted = component.authorizer_token(&token(SECRET), &account(), &secret("old")).await.unwrap();
        assert_eq!((granted.token.expose_secret(), shown(granted.refresh.as_ref())), (NEW, expected));
        assert!(!format!("{granted:?}").contains(REFRESH));
    }
}

#[tokio::test]
async fn a_code_is_traded_for_tokens_and_rights() {
    let body = format!(
        r#"{{"authorization_info":{{"authorizer_appid":"wx0123456789abcdef","authorizer_access_token":"{NEW}","expires_in":"7200","authorizer_refresh_token":"{REFRESH}",
           "func_info":[{{"funcscope_category":{{"id":1}},"confirm_info":{{"need_confirm":0}}}},{{"funcscope_category":{{"id":"33"}}}},{{}},7]}}}}"#
    );
    let (_server, component) = answering(&body).await;
    let traded = component.query_auth(&token(SECRET), &secret(CODE)).await.unwrap();
    assert_eq!((traded.account.clone(), traded.func_ids.as_slice()), (account(), &[1, 33][..]));
    assert_eq!((shown(traded.token.as_ref()), shown(traded.refresh.as_ref())), (Some(NEW), Some(REFRESH)));
    assert_eq!(traded.lives, Some(Duration::from_hours(2)));
    assert!(!format!("{traded:?}").contains(NEW) && !format!("{traded:?}").contains(REFRESH));

    // An account without any API permission has no tokens.
    let (_server, component) =
        answering(r#"{"authorization_info":{"appid":"wx0123456789abcdef","func_info":{}}}"#).await;
    let traded = component.query_auth(&token(SECRET), &secret(CODE)).await.unwrap();
    assert!(traded.token.is_none() && traded.refresh.is_none() && traded.func_ids.is_empty());
}

#[tokio::test]
async fn a_page_of_the_list_counts_every_row() {
    let body = format!(
        r#"{{"total_count":"1203","list":[
            {{"authorizer_appid":"wx0123456789abcdef","refresh_token":"{REFRESH}","auth_time":1558000607}},
            {{"authorizer_appid":"wx00000000000000aa","refresh_token":"","auth_time":"1558000608"}},
            {{"authorizer_appid":"no appid","refresh_token":"x","auth_time":1}},
            {{"authorizer_appid":"wx00000000000000ab"}}]}}"#
    );
    let (server, component) = answering(&body).await;
    let page = component.authorizer_list(&token(SECRET), 500, 9_999).await.unwrap();
    assert_eq!((page.total, page.rows), (1_203, 4));
    let rows: Vec<_> = page
        .listed
        .iter()
        .map(|row| (row.account.as_str(), shown(row.refresh.as_ref()), row.authorized.map(Time::ms)))
        .collect();
    assert_eq!(
        rows,
        [
            ("wx0123456789abcdef", Some(REFRESH), Some(1_558_000_607_000)),
            ("wx00000000000000aa", None, Some(1_558_000_608_000)),
            ("wx00000000000000ab", None, None),
        ]
    );
    assert!(!format!("{page:?}").contains(REFRESH));
    let request = &server.requests()[0];
    assert!(request.contains(r#""count":500"#) && request.contains(r#""offset":500"#), "{request}");
}

#[tokio::test]
async fn a_missing_list_is_no_empty_one() {
    for empty in [r#"{"total_count":0}"#, r#"{"total_count":0,"list":null}"#, r#"{"total_count":7,"list":[]}"#] {
        let (_server, component) = answering(empty).await;
        let page = component.authorizer_list(&token(SECRET), 0, 500).await.unwrap();
        assert_eq!((page.rows, page.listed.len()), (0, 0), "{empty}");
    }
    for unreadable in [r#"{"total_count":7}"#, r#"{"list":[]}"#, "{}", r#"{"total_count":7,"list":{}}"#] {
        let (_server, component) = answering(unreadable).await;
        let error = component.authorizer_list(&token(SECRET), 0, 500).await.unwrap_err();
        assert!(matches!(error, CallError::Unreadable(_)), "{unreadable}: {error:?}");
    }
}

#[tokio::test]
async fn both_shapes_of_an_accounts_information_are_read() {
    for name in ["authorizer_appid", "appid"] {
        let body = format!(
            r#"{{"authorizer_info":{{"nick_name":"小店","user_name":"gh_0123456789ab","head_img":"http:\/\/a\/b","idc":1}},"qrcode_url":"URL",
               "authorization_info":{{"{name}":"wx0123456789abcdef","authorizer_refresh_token":"{REFRESH}","func_info":[{{"funcscope_category":{{"id":33}}}}]}}}}"#
        );
        let (_server, component) = answering(&body).await;
        let info = component.authorizer_info(&token(SECRET), &account()).await.unwrap();
        assert_eq!(info.account, Some(account()), "{name}");
        assert_eq!(
            (
                info.username.as_ref().map(ToString::to_string).as_deref(),
                info.nickname.as_deref(),
                info.func_ids.as_slice()
            ),
            (Some("gh_0123456789ab"), Some("小店"), &[33][..])
        );
    }
    let body = r#"{"authorizer_info":{"user_name":"wx0123456789abcdef","nick_name":"a"}}"#;
    let (_server, component) = answering(body).await;
    let info = component.authorizer_info(&token(SECRET), &account()).await.unwrap();
    assert_eq!((info.username, info.nickname.as_deref()), (None, Some("a")), "no gh_ id");
    let (_server, component) = answering(r#"{"authorizer_info":{"user_name":"","nick_name":null}}"#).await;
    let info = component.authorizer_info(&token(SECRET), &account()).await.unwrap();
    assert!(info.account.is_none() && info.username.is_none() && info.nickname.is_none() && info.func_ids.is_empty());
}

#[tokio::test]
async fn no_code_is_a_code_of_0() {
    for body in ["{}", r#"{"errcode":0,"errmsg":"ok"}"#, r#"{"errcode":"0"}"#] {
        let (_server, component) = answering(body).await;
        component.start_push_ticket().await.unwrap();
    }
}

/// An answer without the field that makes it one, or that is no object at all.
#[tokio::test]
async fn an_answer_without_its_token_is_unreadable() {
    for body in ["", "[]", "null", "<html>busy</html>", r#"{"errcode":null}"#, r#"{"errcode":[]}"#] {
        let (_server, component) = answering(body).await;
        for error in errors(&component).await {
            assert!(matches!(error, Some(CallError::Unreadable(_))), "{body}: {error:?}");
        }
    }
    for body in
        ["{}", r#"{"component_access_token":"","authorizer_access_token":" a b "}"#, r#"{"authorization_info":[]}"#]
    {
        let (_server, component) = answering(body).await;
        for error in errors(&component).await.into_iter().take(3) {
            assert!(matches!(error, Some(CallError::Unreadable(_))), "{body}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_loses_every_secret() {
    let quoted = [SECRET, APPSECRET, TICKET, REFRESH, CODE, "61W3mEpU66027wgNZ%2BMhGHN%2FQDHnFATkDa9%3D"].join(", ");
    for code in [40_125, 61_005, 61_006, 61_023, 42_001] {
        let body =
            format!(r#"{{"errcode":{code},"errmsg":"invalid {quoted} rid: 1-2-3","component_access_token":"{NEW}"}}"#);
        let (_server, component) = answering(&body).await;
        for (call, error) in errors(&component).await.into_iter().enumerate() {
            let Some(CallError::Refused(refusal)) = error else { panic!("{call}: {error:?}") };
            assert_eq!(refusal.errcode, code);
            assert!(refusal.errmsg.ends_with("rid: 1-2-3"), "{}", refusal.errmsg);
            // Each call hides what it was made with; the others' secrets it does not know.
            let known: &[&str] = match call {
                0 => &[APPSECRET, TICKET],
                1 => &[SECRET, "61W3mEpU", REFRESH],
                2 => &[SECRET, "61W3mEpU", CODE],
                5 => &[APPSECRET],
                _ => &[SECRET, "61W3mEpU"],
            };
            for part in known {
                assert!(!refusal.errmsg.contains(part), "call {call}: {part} in {}", refusal.errmsg);
            }
        }
    }
}

/// A fault may quote the answer, which holds secrets that nobody knows yet.
#[tokio::test]
async fn an_unreadable_answer_shows_no_new_token() {
    for body in [
        format!(r#"{{"component_access_token":"{NEW}","component_access_token":"{NEW}"}}"#),
        format!(
            r#"{{"component_access_token":{{"x":"{NEW}"}},"authorizer_access_token":["{NEW}"],"authorization_info":"{NEW}","authorizer_info":"{NEW}","list":"{NEW}","total_count":1,"errcode":"{NEW}"}}"#
        ),
        format!(r#"{{"authorization_info":"{NEW}","authorizer_info":"{NEW}","list":"{NEW}","total_count":"{NEW}"}}"#),
        format!("\"{NEW}\""),
        NEW.to_owned(),
    ] {
        let (_server, component) = answering(&body).await;
        for error in errors(&component).await.into_iter().take(5) {
            let error = error.unwrap_or_else(|| panic!("{body}"));
            assert!(matches!(error, CallError::Unreadable(_)), "{body}: {error:?}");
            assert_no_secret(&error);
        }
    }
}

/// It may have been made, and nobody knows: not a refusal, and not "not sent".
#[tokio::test]
async fn a_lost_answer_is_sent_once_and_is_no_refusal() {
    let echo = format!(
        "<html>{APPSECRET} {TICKET} {REFRESH} {CODE} ?component_access_token=61W3mEpU66027wgNZ%2BMhGHN%2F</html>"
    );
    for reply in [
        Reply::Close,
        Reply::Silence,
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{".to_vec()),
        Reply::Status(502, echo),
        Reply::Status(500, r#"{"errcode":61006,"errmsg":"upstream"}"#.to_owned()),
        Reply::Status(404, format!(r#"{{"component_access_token":"{NEW}"}}"#)),
    ] {
        let server = Server::always(reply.clone()).await;
        for error in errors(&component(&server.url)).await {
            let error = error.unwrap();
            assert!(matches!(error, CallError::Lost(_)), "{reply:?}: {error:?}");
            assert_no_secret(&error);
        }
        assert_eq!(server.requests().len(), 6, "{reply:?}");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for error in errors(&component(&url)).await {
        let error = error.unwrap();
        assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
        assert_no_secret(&error);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let body = format!(r#"{{"component_access_token":"{NEW}","x":"{}"}}"#, "x".repeat(ANSWER_BYTES_MAX));
    let (_server, component) = answering(&body).await;
    let error = component.component_token(&secret(TICKET)).await.unwrap_err();
    assert!(matches!(error, CallError::Unreadable(_)), "{error:?}");
    assert_no_secret(&error);
}

#[test]
fn a_component_prints_no_secret() {
    let text = format!("{:?}", component("http://127.0.0.1:1"));
    assert!(text.contains(APPID) && !text.contains(APPSECRET), "{text}");
}
