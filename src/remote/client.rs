//! One call to the API and its answer. Reads are made again where that may help, and a write only where it is one by its key
//! or by the state that it leads to; whoever asked is told so.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{Method, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    address::Address,
    failure::{Failure, Refused},
    query::Query,
};
use crate::{
    clock::Clock,
    net::{
        client::{BodyFault, ClientOptions, body, client, client_of_socket, explain},
        egress::Egress,
        retry_after::retry_after,
    },
};

/// How long a call may take. A handler has 30 seconds until its answer begins.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// How long a stream may last: the daemon ends it after an hour.
const STREAM_WITHIN: Duration = Duration::from_hours(2);

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection is kept between two calls.
const IDLE: Duration = Duration::from_secs(20);

/// Connections kept: as many as calls go out at once.
const IDLE_MAX: usize = 8;

/// Bytes of an answer at most: a page of 500 rows is less than one megabyte.
const BODY_MAX: usize = 64 << 20;

/// The longest that is waited when the daemon asks for it; beyond it whoever asked decides.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Tries of one call at most where the daemon asks to come back.
const TRIES_MAX: u32 = 4;

/// Whom to speak to, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// What is shown of whoever asks.
    pub token: SecretString,
    /// Where that stands, for sentences.
    pub token_file: PathBuf,
    /// Proxy and authorities.
    pub egress: Egress,
}

/// Whether a call whose answer was lost is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Once: doing it twice is doing it once.
    Once,
    /// No: nobody knows whether it was done.
    Never,
}

/// A daemon elsewhere.
pub struct Server {
    target: Target,
    http: reqwest::Client,
    stream: reqwest::Client,
    clock: Arc<dyn Clock>,
    tell: Box<dyn Fn(String) + Send + Sync>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.target.address).finish_non_exhaustive()
    }
}

/// A call that may be made more than once.
pub(super) struct Call<'c> {
    pub(super) method: Method,
    /// With its parameters.
    pub(super) path: String,
    pub(super) body: Option<&'c [u8]>,
    /// The tag that the object must have.
    pub(super) condition: Option<&'c str>,
    pub(super) repeat: Repeat,
}

/// An answer that is one of ours.
#[derive(Debug)]
pub struct Answer {
    /// Whether it says that something is new (201).
    pub is_new: bool,
    /// The tag of the object that it shows, where that has one.
    pub tag: Option<String>,
    /// What it says; empty where there is nothing to say.
    pub body: Bytes,
}

/// What became of one try.
enum Tried {
    Answered(Answer),
    /// The daemon asks to come back.
    Later(Duration, String),
    Lost(String),
}

impl Server {
    /// A client; nothing is sent yet. `tell` hears of waits and of calls that are made again.
    ///
    /// # Errors
    /// [`Failure::Unusable`].
    pub fn new(
        target: Target,
        clock: Arc<dyn Clock>,
        tell: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let unusable = |why| Failure::Unusable { server: target.address.to_string(), why };
        let http = made(&target, ANSWER_WITHIN).map_err(unusable)?;
        let stream = made(&target, STREAM_WITHIN).map_err(unusable)?;
        Ok(Self { target, http, stream, clock, tell: Box::new(tell) })
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.target.address.to_string()
    }

    /// An object or a page.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<T, Failure> {
        let path = format!("{path}{}", query.written());
        let call = Call { method: Method::GET, path, body: None, condition: None, repeat: Repeat::Once };
        self.read(&self.call(call).await?)
    }

    /// The same; nothing where the daemon says that there is no such thing.
    ///
    /// # Errors
    /// [`Failure`] of another kind.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        match self.get(path, &Query::new()).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_of_nothing() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The status with which a path answers that says no more than that. Nothing is shown of whoever asks.
    ///
    /// # Errors
    /// [`Failure`]: no answer.
    pub async fn probe(&self, path: &str) -> Result<u16, Failure> {
        let answered = self.http.get(self.target.address.of(path)).send().await;
        answered.map(|response| response.status().as_u16()).map_err(|error| self.unreachable(error))
    }

    /// Does something, and answers with what came of it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        sent: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, Failure> {
        let answer = self.send(Method::POST, path, Some(sent), repeat).await?;
        self.read(&answer)
    }

    /// The same, looking at the status of the answer, too.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn post_raw(&self, path: &str, sent: &impl Serialize, repeat: Repeat) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(sent), repeat).await
    }

    /// Changes something, and answers with what it is then. Done twice it is done once.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, sent: &impl Serialize) -> Result<T, Failure> {
        let answer = self.send(Method::PATCH, path, Some(sent), Repeat::Once).await?;
        self.read(&answer)
    }

    /// Takes something away. Nothing is asked twice: the second time it would be missing.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, None::<&()>, Repeat::Never).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        sent: Option<&impl Serialize>,
        repeat: Repeat,
    ) -> Result<Answer, Failure> {
        let body = sent.map(|sent| serde_json::to_vec(sent).unwrap_or_default());
        self.call(Call { method, path: path.to_owned(), body: body.as_deref(), condition: None, repeat }).await
    }

    /// What an answer says.
    ///
    /// # Errors
    /// [`Failure::Unreadable`].
    pub fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body)
            .map_err(|wrong| Failure::Unreadable { server: self.name(), why: wrong.to_string() })
    }

    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let (mut tries, mut was_lost) = (1, false);
        loop {
            match self.once(&call).await? {
                Tried::Answered(answer) => return Ok(answer),
                Tried::Later(wait, code) if wait > WAIT_MAX || tries == TRIES_MAX => {
                    return Err(Failure::Later { server: self.name(), wait, code });
                }
                Tried::Later(wait, code) => {
                    (self.tell)(format!("{} asks to wait {} s ({code})", self.name(), wait.as_secs()));
                    tokio::time::sleep(wait).await;
                }
                Tried::Lost(why) if was_lost || call.repeat == Repeat::Never => return Err(self.lost(&call, why)),
                Tried::Lost(why) => {
                    was_lost = true;
                    (self.tell)(format!("no answer from {} ({why}); asking once more", self.name()));
                }
            }
            tries += 1;
        }
    }

    fn lost(&self, call: &Call<'_>, why: String) -> Failure {
        let then = match (&call.method, call.repeat) {
            (&Method::GET, _) => "nothing was changed",
            (_, Repeat::Once) => "it may have been done; run the same command again, which does nothing twice",
            (_, Repeat::Never) => "it may have been done; look before you run it again",
        };
        Failure::Lost { server: self.name(), why, then }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Tried, Failure> {
        let mut request = self
            .http
            .request(call.method.clone(), self.target.address.of(&call.path))
            .bearer_auth(self.target.token.expose_secret())
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_LANGUAGE, "en");
        if let Some(body) = call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        if let Some(condition) = call.condition {
            request = request.header(header::IF_MATCH, condition);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => return Err(self.unreachable(error)),
            Err(error) => return Ok(Tried::Lost(explain(error))),
        };
        self.judged(response).await
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        Failure::Unreachable { server: self.name(), why: explain(error) }
    }

    /// What an answer means.
    async fn judged(&self, response: Response) -> Result<Tried, Failure> {
        let (status, kind) = (response.status(), kind(&response));
        if status.is_redirection() {
            return Err(self.redirected(&response));
        }
        let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = asked.and_then(|value| retry_after(value, self.clock.now()));
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let bytes = match body(response, BODY_MAX).await {
            Ok(bytes) => bytes,
            Err(BodyFault::TooLong(max)) => {
                return Err(Failure::Unreadable { server: self.name(), why: format!("more than {max} bytes") });
            }
            Err(BodyFault::Broken(error)) => return Ok(Tried::Lost(explain(error))),
        };
        if status.is_success() && (kind == "application/json" || status == StatusCode::NO_CONTENT) {
            return Ok(Tried::Answered(Answer { is_new: status == StatusCode::CREATED, tag, body: bytes }));
        }
        self.refused(status, &kind, &bytes, wait)
    }

    /// A problem, or an answer of somebody else.
    fn refused(&self, status: StatusCode, kind: &str, bytes: &[u8], wait: Option<Duration>) -> Result<Tried, Failure> {
        let problem = (kind == "application/problem+json").then(|| serde_json::from_slice::<Refused>(bytes).ok());
        let Some(problem) = problem.flatten().filter(|problem| problem.status == status.as_u16()) else {
            let kind = if kind.is_empty() { "nothing that it names".to_owned() } else { kind.to_owned() };
            return Err(Failure::Foreign { server: self.name(), status: status.as_u16(), kind });
        };
        match (status, wait) {
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(wait))
                if problem.code != "unwritable" =>
            {
                Ok(Tried::Later(wait.max(Duration::from_secs(1)), problem.code))
            }
            (StatusCode::UNAUTHORIZED, _) => {
                Err(Failure::Unauthenticated { server: self.name(), token_file: self.target.token_file.clone() })
            }
            _ => Err(Failure::Refused(Box::new(Refused { token_file: self.target.token_file.clone(), ..problem }))),
        }
    }

    fn redirected(&self, response: &Response) -> Failure {
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        // What stands behind a question mark may be a secret of whoever sent it.
        let to = to.map(|to| to.split(['?', '#']).next().unwrap_or_default()).filter(|to| to.len() <= 200);
        let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
        Failure::Redirected { server: self.name(), status: response.status().as_u16(), to }
    }

    /// An answer that goes on; it is of this media type, or a failure.
    pub(super) async fn open(&self, path: &str, media: &str, last: Option<&str>) -> Result<Response, Failure> {
        let mut request = self
            .stream
            .get(self.target.address.of(path))
            .bearer_auth(self.target.token.expose_secret())
            .header(header::ACCEPT, media)
            .header(header::ACCEPT_LANGUAGE, "en");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() && kind(&response) == media {
            return Ok(response);
        }
        match self.judged(response).await? {
            Tried::Answered(_) => {
                Err(Failure::Unreadable { server: self.name(), why: "no stream of events".to_owned() })
            }
            Tried::Later(wait, code) => Err(Failure::Later { server: self.name(), wait, code }),
            Tried::Lost(why) => Err(Failure::Lost { server: self.name(), why, then: "nothing was changed" }),
        }
    }
}

fn made(target: &Target, timeout: Duration) -> Result<reqwest::Client, String> {
    let options = ClientOptions {
        timeout,
        connect_timeout: CONNECT_WITHIN,
        idle_timeout: IDLE,
        idle_per_host: IDLE_MAX,
        egress: &target.egress,
        tls: target.address.is_tls(),
    };
    match target.address.as_socket() {
        Some(socket) => client_of_socket(&options, socket),
        None => client(&options),
    }
}

/// The media type of an answer, without its parameters.
fn kind(response: &Response) -> String {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
