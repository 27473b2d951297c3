//! Posts to a platform what WeChat pushes, and keeps what is answered. Nothing here decides what is pushed or when.

use std::{convert::Infallible, error::Error as _, time::Duration};

use reqwest::{Client, header::CONTENT_TYPE, redirect::Policy};
use tokio::task::JoinSet;

use super::{push::PushAnswer, pushes::Outgoing, shared::Shared};

/// How often it is looked whether a push is due, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What real pushes call themselves.
const USER_AGENT: &str = "Mozilla/4.0";

/// Bytes of an answer that are kept.
const ANSWER_MAX: usize = 1_024;

/// Delivers what is due for as long as it is polled, unless the platform wants to do so by hand.
pub(super) async fn run(shared: Shared) -> Infallible {
    loop {
        let is_by_itself = shared.world().component().is_some_and(|component| !component.by_hand);
        if is_by_itself {
            deliver(&shared).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Posts everything that is due, one after the other unless a push wants its copies out at once, and waits for the
/// answers. How many requests that were comes back.
pub(super) async fn deliver(shared: &Shared) -> usize {
    let _turn = shared.turn().await;
    let outgoing = {
        let mut world = shared.world();
        let now = shared.now(&world);
        world.take_outgoing(now)
    };
    let posted = outgoing.len();
    for push in outgoing.chunk_by(|one, next| one.at_once && one.push == next.push) {
        let mut copies = JoinSet::new();
        for copy in push {
            copies.spawn(post(shared.clone(), copy.clone()));
        }
        copies.join_all().await;
    }
    posted
}

async fn post(shared: Shared, outgoing: Outgoing) {
    let timeout = shared.world().switches.push_timeout.as_duration();
    let answered = answer(&outgoing, timeout).await;
    let (status, body) = match answered {
        Ok((status, body)) => (Some(status), body),
        Err(error) => (None, explained(error)),
    };
    let push = {
        let mut world = shared.world();
        let at = shared.now(&world);
        world.push_answered(outgoing.push, PushAnswer { copy: outgoing.copy, at, status, body })
    };
    if let (Some(onlooker), Some(push)) = (shared.gallery().onlooker(), push) {
        onlooker.answers(push).await;
    }
}

async fn answer(outgoing: &Outgoing, timeout: Duration) -> reqwest::Result<(u16, String)> {
    let request = client(&outgoing.url)?.post(&outgoing.url).timeout(timeout);
    let request = request.header(CONTENT_TYPE, outgoing.content_type).body(outgoing.body.clone());
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = response.bytes().await?;
    Ok((status, String::from_utf8_lossy(&body[..body.len().min(ANSWER_MAX)]).into_owned()))
}

/// The error and its causes in one line, without the URL, which is long and stands beside it.
fn explained(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string);
    [error.to_string()].into_iter().chain(causes).collect::<Vec<_>>().join(": ")
}

/// A client of its own for each push: WeChat's come from many machines, over new connections.
fn client(url: &str) -> reqwest::Result<Client> {
    // The error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().user_agent(USER_AGENT).http1_only().redirect(Policy::none()).no_proxy();
    // Plain HTTP works on a machine without any CA certificates, where building a TLS client fails.
    let builder = if url.starts_with("https:") { builder } else { builder.tls_certs_only([]) };
    builder.build()
}
