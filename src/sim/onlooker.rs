//! Somebody who looks on: at every call at the moment at which it reaches us, and at every answer to a push. Nothing here
//! changes what is answered.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;

use super::{
    api_name::{Api, ComponentApi},
    push::Push,
    respond::Served,
};

/// What an onlooker does meanwhile; the call or the next push waits for it.
pub type Looking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who looks on.
pub trait Onlooker: Send + Sync {
    /// A call has arrived, and nothing is answered yet.
    fn arrives(&self, arrival: Arrival) -> Looking;

    /// The call of this number is over: its errcode (0: a success) where the caller can read one.
    fn leaves(&self, number: u64, said: Option<i64>);

    /// A push was answered, or given up.
    fn answers(&self, push: Push) -> Looking;
}

/// A call that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, from 1.
    pub number: u64,
    /// When, milliseconds UTC on the simulator's time.
    pub at: i64,
    /// What is asked.
    pub called: Called,
}

/// What a call asks, and with which token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// A call of the link APIs.
    Link {
        /// Which.
        api: Api,
        /// The account whose token it is, if it was ever one.
        account: Option<String>,
        /// The token.
        token: String,
    },
    /// A call of the platform's own APIs.
    Component {
        /// Which.
        api: ComponentApi,
        /// The account that the body names, or the code that it trades.
        about: Option<String>,
        /// The platform's token; empty where none is taken.
        token: String,
    },
}

impl Called {
    pub(super) fn of_component(api: ComponentApi, token: &str, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let about = field("authorizer_appid").or_else(|| field("authorization_code"));
        let token = if api.takes_token() { token.to_owned() } else { String::new() };
        Self::Component { api, about, token }
    }
}

/// Where somebody may look on. Cheap to clone; clones share who does.
#[derive(Clone, Default)]
pub(super) struct Gallery {
    onlooker: Arc<std::sync::Mutex<Option<Arc<dyn Onlooker>>>>,
    numbers: Arc<AtomicU64>,
}

/// A call under way. It is over when this is dropped, as when its caller has gone.
pub(super) struct UnderWay {
    number: u64,
    said: Option<i64>,
    onlooker: Option<Arc<dyn Onlooker>>,
}

impl Gallery {
    pub(super) fn seat(&self, onlooker: Arc<dyn Onlooker>) {
        *self.onlooker.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(onlooker);
    }

    pub(super) fn onlooker(&self) -> Option<Arc<dyn Onlooker>> {
        self.onlooker.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Shows a call that has arrived; `called` is asked for only when somebody looks on.
    pub(super) async fn arrives(&self, called: impl FnOnce() -> (i64, Called)) -> UnderWay {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let onlooker = self.onlooker();
        let under_way = UnderWay { number, said: None, onlooker };
        if let Some(onlooker) = &under_way.onlooker {
            let (at, called) = called();
            onlooker.arrives(Arrival { number, at, called }).await;
        }
        under_way
    }
}

impl UnderWay {
    /// The answer goes out.
    pub(super) fn answered(mut self, served: &Served) {
        if self.onlooker.is_some() {
            self.said = said(served);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(onlooker) = &self.onlooker {
            onlooker.leaves(self.number, self.said);
        }
    }
}

/// The errcode that a caller reads, 0 where a body has none; nothing where there is nothing to be read.
fn said(served: &Served) -> Option<i64> {
    if served.reset || served.status != 200 {
        return None;
    }
    let body: Value = serde_json::from_slice(&served.body).ok()?;
    Some(body.get("errcode").and_then(Value::as_i64).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(status: u16, body: &str, reset: bool) -> Served {
        Served { status, content_type: None, body: body.as_bytes().to_vec(), delay: None, reset }
    }

    #[test]
    fn only_what_a_caller_can_read_was_said() {
        assert_eq!(said(&served(200, r#"{"errcode":40001,"errmsg":"x"}"#, false)), Some(40_001));
        assert_eq!(said(&served(200, r#"{"access_token":"x"}"#, false)), Some(0));
        assert_eq!(said(&served(200, r#"{"errcode":0}"#, true)), None, "the answer was lost");
        assert_eq!(said(&served(502, "<html>", false)), None);
        assert_eq!(said(&served(200, r#"{"errcode":4"#, false)), None, "cut");
    }

    #[test]
    fn a_call_of_the_platform_is_about_an_account_or_a_code() {
        let of = |api, body: &str| Called::of_component(api, "t", body.as_bytes());
        let refresh = of(ComponentApi::AuthorizerToken, r#"{"component_appid":"c","authorizer_appid":"a"}"#);
        let about = |name: &str| Some(name.to_owned());
        assert_eq!(
            refresh,
            Called::Component { api: ComponentApi::AuthorizerToken, about: about("a"), token: "t".into() }
        );
        let trade = of(ComponentApi::QueryAuth, r#"{"authorization_code":"code"}"#);
        assert_eq!(trade, Called::Component { api: ComponentApi::QueryAuth, about: about("code"), token: "t".into() });
        let own = of(ComponentApi::ComponentToken, "{}");
        assert_eq!(own, Called::Component { api: ComponentApi::ComponentToken, about: None, token: String::new() });
    }
}
