//! What is counted of calls: each once, by what came of it.

use amplinkd::wechat::meters::{Api, CallResult, Fetched};

use super::*;

/// How often lists were asked for, by the word for what came of it.
fn counted(wechat: &Wechat) -> Vec<(&'static str, u64)> {
    let counted = CallResult::all().map(|result| (result.as_str(), wechat.meters().calls(Api::Listing, result)));
    counted.filter(|(_, count)| *count > 0).collect()
}

/// A client with one token for every account, or none.
fn calling(url: &str, token: Option<&str>) -> Wechat {
    let tokens = token.map(|token| ("*".to_owned(), SecretString::from(token))).into_iter().collect();
    Wechat::new(client(url), Tokens::new(TokenSource::Static(tokens), clock()).unwrap())
}

#[tokio::test]
async fn a_call_is_counted_by_what_came_of_it() {
    let cases = [
        (Reply::Ok(LISTING.to_owned()), "done"),
        (Reply::Ok(refused(48_001)), "permission_missing"),
        (Reply::Ok(refused(12_345)), "unknown"),
        (Reply::Silence, "timeout"),
        (Reply::Close, "unreadable"),
        (Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"errcode\":0".to_vec()), "unreadable"),
        (Reply::Status(502, "<html>".to_owned()), "unreadable"),
        (Reply::Ok("<html>a page for people</html>".to_owned()), "unreadable"),
    ];
    for (reply, word) in cases {
        let server = Server::always(reply.clone()).await;
        let wechat = calling(&server.url, Some(SECRET));
        drop(wechat.listing(&account()).await);
        assert_eq!(counted(&wechat), [(word, 1)], "{reply:?}");
        let took = wechat.meters().durations(Api::Listing).read();
        assert_eq!(took.buckets.iter().map(|(_, count)| count).sum::<u64>() + took.above, 1, "{reply:?}");
    }
}

#[tokio::test]
async fn what_was_not_sent_is_counted_apart() {
    let nowhere = calling("http://127.0.0.1:1", Some(SECRET));
    assert!(nowhere.listing(&account()).await.is_err());
    assert_eq!(counted(&nowhere), [("connect", 1)]);
    let tokenless = calling("http://127.0.0.1:1", None);
    assert!(tokenless.listing(&account()).await.is_err());
    assert_eq!(counted(&tokenless), [("not_sent", 1)]);
    assert_eq!(tokenless.meters().durations(Api::Listing).read().sum, 0, "nothing took any time");
}

/// A token that is refused costs two calls and two fetches, and all four are counted.
#[tokio::test]
async fn a_call_that_is_made_again_with_another_token_counts_twice() {
    let server = Server::start(|number, request| match (request.contains("wxamplinkget"), number) {
        (false, number) => Reply::Ok(format!("{{\"access_token\":\"token{number}\",\"expires_in\":7200}}")),
        (true, number) if number < 2 => Reply::Ok(refused(42_001)),
        (true, _) => Reply::Ok(LISTING.to_owned()),
    })
    .await;
    let source = amplinkd::wechat::HttpSource {
        url: format!("{}/token?appid={{account}}", server.url),
        ..amplinkd::wechat::HttpSource::default()
    };
    let wechat = Wechat::new(client(&server.url), Tokens::new(TokenSource::Http(source), clock()).unwrap());
    wechat.listing(&account()).await.unwrap();
    assert_eq!(counted(&wechat), [("done", 1), ("token_bad", 1)]);
    assert_eq!(Fetched::ALL.map(|fetched| wechat.meters().tokens.fetches(fetched)), [2, 0, 0, 0]);
    let codes: Vec<_> = wechat.meters().errcodes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(codes, [(Some(42_001), 1)]);

    // A configuration that is put in force goes on counting where the one before it did.
    let next = calling(&server.url, Some("another")).counting(Arc::clone(wechat.meters()));
    next.listing(&account()).await.unwrap();
    assert_eq!(counted(&next), [("done", 2), ("token_bad", 1)]);
}
