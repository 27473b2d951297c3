//! A gate before the simulator, on real HTTP: calls go through, chosen answers are kept back until a story lets them go, and
//! every token that a call was made with is noted. It decides nothing that WeChat would.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use amplinkd::sim::ComponentApi;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::Response,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use crate::harness::wait_for;

/// How long an answer is waited for that is to be kept back.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) struct Gate {
    shared: Arc<Shared>,
    url: String,
    serving: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    holds: Mutex<HashMap<&'static str, Arc<Hold>>>,
    tokens: Mutex<Vec<String>>,
    /// Which call of the platform is being answered, told right before the answer goes out.
    answering: Mutex<Option<mpsc::UnboundedSender<String>>>,
}

/// Answers of one call that are kept back.
#[derive(Default)]
struct Hold {
    /// As many go through before.
    skip: Mutex<usize>,
    held: Mutex<usize>,
    let_go: Notify,
    is_over: Mutex<bool>,
}

impl Gate {
    pub(super) async fn before(upstream: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream,
            http: reqwest::Client::new(),
            holds: Mutex::default(),
            tokens: Mutex::default(),
            answering: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, url, serving }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// From now on answers of this call are kept back, but for so many first ones.
    pub(super) fn hold(&self, api: ComponentApi, skip: usize) {
        let hold = Hold { skip: Mutex::new(skip), ..Hold::default() };
        self.shared.holds.lock().unwrap().insert(api.name(), Arc::new(hold));
    }

    /// Waits until WeChat has answered such a call and nobody has heard it.
    pub(super) async fn holds_one(&self, api: ComponentApi) {
        let hold = Arc::clone(&self.shared.holds.lock().unwrap()[api.name()]);
        assert!(wait_for(PATIENCE, async || *hold.held.lock().unwrap() > 0).await, "no {} to keep back", api.name());
    }

    /// Lets go what is kept back, and keeps nothing back any more.
    pub(super) fn release(&self, api: ComponentApi) {
        if let Some(hold) = self.shared.holds.lock().unwrap().remove(api.name()) {
            *hold.is_over.lock().unwrap() = true;
            hold.let_go.notify_waiters();
        }
    }

    /// Names of the platform's calls, each right before its answer goes out.
    pub(super) fn answering(&self) -> mpsc::UnboundedReceiver<String> {
        let (sender, names) = mpsc::unbounded_channel();
        *self.shared.answering.lock().unwrap() = Some(sender);
        names
    }

    /// Tokens of accounts that calls were made with since this was last asked, in the order of the calls.
    pub(super) fn take_tokens(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.tokens.lock().unwrap())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hold {
    /// Whether this answer is to be kept back.
    fn takes(&self) -> bool {
        let mut skip = self.skip.lock().unwrap();
        if *skip > 0 {
            *skip -= 1;
            return false;
        }
        *self.held.lock().unwrap() += 1;
        true
    }

    async fn over(&self) {
        let let_go = self.let_go.notified();
        tokio::pin!(let_go);
        let_go.as_mut().enable();
        if !*self.is_over.lock().unwrap() {
            let_go.await;
        }
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let token =
        parts.uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("access_token=")));
    if let Some(token) = token {
        shared.tokens.lock().unwrap().push(token.to_owned());
    }
    let asked = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let passed = shared.http.request(parts.method, format!("{}{asked}", shared.upstream)).body(body);
    // An answer that is lost behind the gate is lost before it, as far as the status goes.
    let Ok(answer) = passed.header(header::CONTENT_TYPE, "application/json").send().await else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let (status, body) = (answer.status(), answer.bytes().await.unwrap_or_default());
    let hold = shared.holds.lock().unwrap().get(name.as_str()).map(Arc::clone);
    if let Some(hold) = hold.filter(|hold| hold.takes()) {
        hold.over().await;
    }
    if let Some(sender) = &*shared.answering.lock().unwrap() {
        // A story that does not listen any more has heard enough.
        let _ = sender.send(name);
    }
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap()
}
