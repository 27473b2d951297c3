//! Tests of the parsers: bodies of every kind.

use proptest::prelude::*;

use super::*;
use crate::domain::listing::{Item, Status};

const FULL: &str = r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[
    {"status":1,"username":"gh_aaaaaaaaaaaa","appid":"wx0123456789abcdef","source":"SOURCE_NORMAL","nickname":"甲\/乙",
     "selected":1,"nearby_display_status":0,"released":1,"headimg_url":"http:\/\/pic.example\/a.png",
     "func_infos":[{"status":0,"id":1,"name":"微信认证"},{"status":1,"id":2,"name":"微信支付"}],
     "copy_verify_status":1,"email":"a@mail.example"},
    {"status":3,"username":"gh_bbbbbbbbbbbb","func_infos":[],"nickname":"丙"}]}}"#;

fn items(body: &str) -> Option<Vec<Item>> {
    match listing(body.as_bytes()) {
        Ok(Said::Listing(listing)) => Some(listing.items),
        Ok(Said::Weak | Said::Refused(_)) | Err(_) => None,
    }
}

#[test]
fn every_documented_field_is_kept() {
    let items = items(FULL).unwrap();
    assert_eq!(items.len(), 2);
    let (first, second) = (&items[0], &items[1]);
    assert_eq!((first.status, second.status), (Status::Linked, Status::Rejected));
    assert_eq!(first.appid.as_deref(), Some("wx0123456789abcdef"));
    assert_eq!((second.appid.as_deref(), second.username.as_deref()), (None, Some("gh_bbbbbbbbbbbb")));
    let profile = &first.profile;
    assert_eq!(profile.nickname.as_deref(), Some("甲/乙"));
    assert_eq!(profile.headimg_url.as_deref(), Some("http://pic.example/a.png"));
    assert_eq!((profile.email.as_deref(), profile.source.as_deref()), (Some("a@mail.example"), Some("SOURCE_NORMAL")));
    assert_eq!((profile.selected, profile.nearby_display_status), (Some(1), Some(0)));
    assert_eq!((profile.released, profile.copy_verify_status), (Some(1), Some(1)));
    let functions: serde_json::Value = serde_json::from_str(profile.func_infos.as_deref().unwrap()).unwrap();
    assert_eq!(functions[1], serde_json::json!({"id": 2, "status": 1, "name": "微信支付"}));
    assert_eq!(second.profile.func_infos.as_deref(), Some("[]"));
}

#[test]
fn loose_spellings_are_read() {
    for body in [
        "\u{feff}{\"wxopens\":{\"items\":[{\"status\":\"12\",\"appid\":\"wx1\",\"selected\":\"1\"}]}}",
        r#"{"errcode":"0","wxopens":{"items":[{"status":12.0,"appid":" wx1 ","selected":true}],"total":1}}"#,
        r#"{"errcode":0.0,"wxopens":{"items":[{"status":12,"appid":"wx1","username":"","selected":1}]},"x":[1]}"#,
    ] {
        let items = items(body).unwrap();
        assert_eq!(items[0].status, Status::AwaitingAccountAdmin, "{body}");
        assert_eq!((items[0].appid.as_deref(), items[0].username.as_deref()), (Some("wx1"), None), "{body}");
        assert_eq!(items[0].profile.selected, Some(1), "{body}");
    }
    let prose = items(r#"{"wxopens":{"items":[{"status":7,"func_info":[{"id":"1","status":true}]}]}}"#).unwrap();
    assert_eq!(prose[0].status, Status::Other(7));
    assert!(prose[0].profile.func_infos.is_some());
}

#[test]
fn an_empty_listing_needs_proof() {
    for empty in [
        r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[]}}"#,
        r#"{"errcode":0,"wxopens":{"items":null}}"#,
        r#"{"errcode":"0","wxopens":{"items":[]}}"#,
    ] {
        assert_eq!(items(empty), Some(Vec::new()), "{empty}");
    }
}

#[test]
fn a_zero_without_items_is_weak() {
    for weak in [
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"errcode":"0"}"#,
        r#"{"errcode":0.0,"wxopens":null}"#,
        r#"{"errcode":0,"wxopens":{}}"#,
        r#"{"errcode":"0","wxopens":{}}"#,
        r#"{"errcode":0,"wxopens":[]}"#,
        "\u{feff}{\"wxopens\": [ ], \"errmsg\":\"ok\", \"errcode\":0}",
    ] {
        assert_eq!(listing(weak.as_bytes()), Ok(Said::Weak), "{weak}");
    }
}

#[test]
fn rubbish_is_a_fault_and_never_an_empty_listing() {
    let deep = format!(r#"{{"errcode":0,"wxopens":{{"items":{}"#, "[".repeat(100_000));
    let long = format!(r#"{{"wxopens":{{"items":[{{"status":1,"appid":"wx{}"}}]}}}}"#, "a".repeat(200));
    let many = format!(r#"{{"wxopens":{{"items":[{}{{"status":1}}]}}}}"#, r#"{"status":1},"#.repeat(ITEMS_MAX));
    for body in [
        "",
        " ",
        "null",
        "0",
        "[]",
        "\"ok\"",
        "{}",
        r#"{"foo":1}"#,
        r#"{"message":"Bad gateway"}"#,
        r#"{"errmsg":"ok"}"#,
        r#"{"wxopens":null}"#,
        r#"{"wxopens":{}}"#,
        r#"{"wxopens":[]}"#,
        r#"{"wxopens":{"items":null}}"#,
        r#"{"errmsg":"ok","wxopens":{"items":[]}}"#,
        r#"[0,"ok",{"items":[]}]"#,
        r#"{"errcode":null,"wxopens":{}}"#,
        r#"{"errcode":"","wxopens":{}}"#,
        r#"{"errcode":false,"wxopens":{}}"#,
        r#"{"errcode":0.5,"wxopens":{}}"#,
        r#"{"errcode":1e400,"wxopens":{}}"#,
        r#"{"errcode":99999999999999999999,"wxopens":{}}"#,
        r#"{"errcode":0,"errcode":0,"wxopens":{}}"#,
        r#"{"errcode":0,"wxopens":{},"wxopens":{}}"#,
        r#"{"errcode":0,"wxopens":[{}]}"#,
        r#"{"errcode":0,"wxopens":[null]}"#,
        r#"{"errcode":0,"wxopens":"none"}"#,
        r#"{"errcode":0,"wxopens":""}"#,
        r#"{"errcode":0,"wxopens":0}"#,
        r#"{"errcode":0,"wxopens":false}"#,
        r#"{"errcode":0,"wxopens":{"item_list":[]}}"#,
        r#"{"errcode":0,"wxopens":{"items":{}}}"#,
        r#"{"errcode":0,"wxopens":{"items":""}}"#,
        r#"{"errcode":0,"wxopens":{"items":0}}"#,
        r#"{"errcode":0,"wxopens":{"items":[],"items":[]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[null]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[[]]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[{}]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[{"status":1},{"status":null}]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[{"status":true}]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[{"status":"linked"}]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[{"status":1,"appid":{}}]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[{"status":1,"username":"gh_\ud800"}]}}"#,
        r#"{"errcode":0,"wxopens":{"items":[]}}<html>"#,
        r#"{"errcode":0,"wxopens":{"items":[{"status":1,},]}}"#,
        "<html><body>502 Bad Gateway</body></html>",
        &deep,
        &long,
        &many,
    ] {
        let shown: String = body.chars().take(80).collect();
        assert!(listing(body.as_bytes()).is_err(), "{shown}");
    }
}

#[test]
fn a_named_item_without_a_status_leaves_the_others_readable() {
    for status in
        ["", r#""status":null,"#, r#""status":"","#, r#""status":"linked","#, r#""status":[1],"#, r#""status":1.5,"#]
    {
        for name in [r#""appid":"wx2""#, r#""username":"gh_bbbbbbbbbbbb""#] {
            let body = format!(r#"{{"wxopens":{{"items":[{{"status":1,"appid":"wx1"}},{{{status}{name}}}]}}}}"#);
            let statuses: Vec<Status> = items(&body).unwrap().iter().map(|item| item.status).collect();
            assert_eq!(statuses, [Status::Linked, Status::Other(0)], "{body}");
        }
        let nameless = format!(r#"{{"wxopens":{{"items":[{{"status":1}},{{{status}"nickname":"x","appid":" "}}]}}}}"#);
        assert_eq!(items(&nameless), None, "{nameless}");
    }
}

#[test]
fn a_name_cut_in_a_character_costs_the_character_alone() {
    for nickname in [&b"cut\\ud83d"[..], b"cut\xe9\x94", b"cut\x07"] {
        let body =
            [&br#"{"wxopens":{"items":[{"status":2,"appid":"wx1","nickname":""#[..], nickname, b"\"}]}}"].concat();
        let Ok(Said::Listing(listing)) = listing(&body) else { panic!("unreadable: {}", body.escape_ascii()) };
        assert_eq!(listing.items[0].profile.nickname.as_deref(), Some("cut\u{fffd}"));
        assert_eq!(listing.items[0].appid.as_deref(), Some("wx1"));
    }
}

#[test]
fn long_texts_are_cut_but_never_names() {
    let body = format!(r#"{{"wxopens":{{"items":[{{"status":1,"nickname":"{}"}}]}}}}"#, "长".repeat(5_000));
    assert_eq!(items(&body).unwrap()[0].profile.nickname.as_ref().unwrap().chars().count(), 1_024);
}

#[test]
fn a_code_beside_a_listing_counts() {
    let said = listing(br#"{"errcode":"42001","errmsg":"expired rid: 1-2","wxopens":{"items":[]}}"#).unwrap();
    assert_eq!(said, Said::Refused(Refusal { errcode: 42_001, errmsg: "expired rid: 1-2".to_owned() }));
}

#[test]
fn only_an_explicit_zero_is_success() {
    for done in [r#"{"errcode":0,"errmsg":"ok"}"#, r#"{"errcode":"0"}"#, "\u{feff} {\"errcode\":0.0}\n"] {
        assert_eq!(verdict(done.as_bytes()).unwrap(), Verdict::Done, "{done}");
    }
    for unknown in
        ["{}", "", "ok", "[0]", r#"{"errmsg":"ok"}"#, r#"{"errcode":null}"#, r#"{"errcode":0,"errcode":89010}"#]
    {
        assert!(verdict(unknown.as_bytes()).is_err(), "{unknown}");
    }
    let refused = verdict(br#"{"errcode":-1,"errmsg":null}"#).unwrap();
    assert_eq!(refused, Verdict::Refused(Refusal { errcode: -1, errmsg: String::new() }));
}

/// What a success must look like whatever surrounds it: a zero right behind the key.
fn has_explicit_zero(body: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_whitespace()).collect();
    ["0", "-0", "\"0", "\"-0", "\"+0"].iter().any(|zero| text.contains(&format!("\"errcode\":{zero}")))
}

/// A valid body with some bytes changed, cut out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        Just(FULL.as_bytes().to_vec()),
        Just(br#"{"errcode":0,"errmsg":"ok"}"#.to_vec()),
        Just(br#"{"errcode":89010,"errmsg":"link message has sent rid: 1"}"#.to_vec()),
        Just(br#"{"errcode":0,"wxopens":{"items":[{"status":1}]}}"#.to_vec()),
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (valid, prop::collection::vec(change, 1..4)).prop_map(|(mut body, changes)| {
        for (at, byte, kind) in changes {
            let at = at.index(body.len().max(1)).min(body.len().saturating_sub(1));
            match (kind, body.is_empty()) {
                (_, true) => body.push(byte),
                (0, _) => body[at] = byte,
                (1, _) => drop(body.remove(at)),
                (2, _) => body.insert(at, byte),
                (_, _) => body.truncate(at),
            }
        }
        body
    })
}

/// Texts of JSON's own characters reach deeper than random bytes do.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\ud800",
        "0",
        "1",
        "-",
        "e9",
        ".",
        "null",
        "true",
        "\"errcode\":",
        "\"wxopens\":",
        "\"items\":",
        "\"status\":",
        "\"errmsg\":",
        "\"appid\":",
        "\u{feff}",
        " ",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_and_none_succeed_without_a_zero(
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..256), mutated(), json_like()],
    ) {
        if verdict(&body).is_ok_and(|verdict| verdict == Verdict::Done) {
            prop_assert!(has_explicit_zero(&body), "{}", body.escape_ascii());
        }
        if listing(&body) == Ok(Said::Weak) {
            prop_assert!(has_explicit_zero(&body), "{}", body.escape_ascii());
        }
        if let Ok(Said::Listing(said)) = listing(&body) {
            let whole = repair_json::mended(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body))
                .map_or_else(|| body.clone(), String::into_bytes);
            let whole = whole.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&whole);
            let read: serde_json::Value = serde_json::from_slice(whole).unwrap();
            prop_assert!(read.get("wxopens").is_some_and(serde_json::Value::is_object), "{}", body.escape_ascii());
            prop_assert!(!said.items.is_empty() || has_explicit_zero(&body), "{}", body.escape_ascii());
        }
        let wrapped = GrantNames { token: vec!["data".to_owned(), "access_token".to_owned()], ..GrantNames::default() };
        let _ = grant(&body, &GrantNames::default()).is_ok();
        let _ = (grant(&body, &wrapped).is_ok(), words(&body));
    }

    #[test]
    fn a_truncated_listing_is_never_read(cut in 0..FULL.len()) {
        prop_assert!(listing(&FULL.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn a_listing_is_read_item_by_item(statuses in prop::collection::vec(-5..20_i64, 0..40)) {
        let listed: Vec<_> = statuses.iter().map(|status| serde_json::json!({"status": status, "appid": "wx1"})).collect();
        let body = serde_json::json!({"errcode": 0, "wxopens": {"items": listed}}).to_string();
        let read: Vec<i64> = items(&body).unwrap().iter().map(|item| item.status.number()).collect();
        prop_assert_eq!(read, statuses);
    }
}
