//! One HTTP call, as every HTTP channel needs it: one deadline, a bounded response, errors in words. No second try, no
//! redirects, no proxy from the environment, and no URL in an error: a bot's URL is its key.

use std::{fmt, time::Duration};

use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret as _;

use super::{ChannelError, ChannelSettings, SendError};
use crate::{
    domain::time::Time,
    net::{
        client::{ClientOptions, causes, client, remedy},
        proxy::{Proxy, WANTS_A_LOGIN},
        redact::Redactor,
        retry_after::retry_after,
    },
};

/// The type of every robot's body.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Bytes of an answer that are read. Documented ones have a few hundred; pages of errors in between have a few
/// thousand, and nobody needs more of those.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// The longest a connection lies idle. Servers keep theirs 5 seconds or longer; a shorter wait here makes it rare that
/// a message is written into a connection which the server just closes.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Where one channel's messages go, with the connections to there.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    url: Url,
    veil: Redactor,
    timeout: Duration,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &"[secret]").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// One POST.
#[derive(Debug)]
pub(super) struct Post {
    /// What the body is.
    pub(super) content_type: HeaderValue,
    /// Headers besides.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Post {
    /// A POST of a body of this type.
    pub(super) fn new(content_type: HeaderValue, body: Vec<u8>) -> Self {
        Self { content_type, headers: HeaderMap::new(), body }
    }

    /// A POST of JSON.
    pub(super) fn json(body: Vec<u8>) -> Self {
        Self::new(JSON, body)
    }

    /// The same with one more header. A value that no header can hold is left out; ours are ids and numbers.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// What came back, whatever its status.
pub(super) struct Answer<'h> {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The body, or its beginning when it was long or broke off.
    pub(super) body: Vec<u8>,
    /// The wait that was asked for, at most [`crate::net::retry_after::AFTER_MAX`].
    pub(super) after: Option<Duration>,
    veil: &'h Redactor,
}

impl Http {
    /// The way to the settings' address; nothing is sent.
    ///
    /// # Errors
    /// [`ChannelError`] when there is no address or none that can be called, or the system has no CA certificates.
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let wrong = |wrong: String| ChannelError { name: settings.name.clone(), wrong };
        let text = settings.url.as_ref().ok_or_else(|| wrong("`url` is missing".to_owned()))?;
        let url = Url::parse(text.expose_secret().trim()).map_err(|_| wrong("`url` is no URL".to_owned()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("`url` must begin with https:// or http://".to_owned()));
        }
        let mut veil = Redactor::new(Some(&url), &settings.secrets);
        for secret in settings.egress.proxy.iter().flat_map(Proxy::secrets) {
            veil.hide(&secret);
        }
        let client = client(&ClientOptions {
            timeout: settings.timeout,
            connect_timeout: settings.timeout,
            idle_timeout: IDLE_MAX,
            idle_per_host: usize::MAX,
            egress: &settings.egress,
            tls: url.scheme() == "https",
        });
        let client = client.map_err(|error| wrong(format!("no HTTP client: {error}")))?;
        Ok(Self { client, url, veil, timeout: settings.timeout })
    }

    /// The address; it is a secret.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Sends once to the channel's own address.
    pub(super) async fn post(&self, post: Post, now: Time) -> Result<Answer<'_>, SendError> {
        self.post_to(self.url.clone(), post, now).await
    }

    /// Sends once to an address made of the channel's own, as with a signature in it. An answer of any status is one.
    ///
    /// # Errors
    /// [`SendError::Later`] when no status came in time, [`SendError::Refused`] when the certificate or the proxy is
    /// what a person must mend.
    pub(super) async fn post_to(&self, url: Url, post: Post, now: Time) -> Result<Answer<'_>, SendError> {
        let request = self.client.post(url).headers(post.headers).header(CONTENT_TYPE, post.content_type);
        self.call(request.body(post.body), now).await
    }

    /// Asks once at an address made of the channel's own. An answer of any status is one; errors as of
    /// [`Http::post_to`].
    pub(super) async fn get_from(&self, url: Url, now: Time) -> Result<Answer<'_>, SendError> {
        self.call(self.client.get(url), now).await
    }

    async fn call(&self, request: reqwest::RequestBuilder, now: Time) -> Result<Answer<'_>, SendError> {
        let mut response = request.send().await.map_err(|error| self.fault(error))?;
        let mut body = Vec::new();
        // The status is what counts. A body that breaks off is read as far as it came; who needs it misses its end.
        while body.len() < ANSWER_BYTES_MAX
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - body.len())]);
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        Ok(Answer { status: response.status(), body, after, veil: &self.veil })
    }

    fn fault(&self, error: reqwest::Error) -> SendError {
        if error.is_timeout() {
            let why = format!("no answer within {}", crate::domain::text::format::duration(self.timeout));
            return SendError::Later { why, after: None };
        }
        let error = error.without_url();
        let why = self.veil.words(&causes(&error));
        match remedy(&error) {
            Some(remedy) => SendError::Refused { why: format!("{remedy} ({why})") },
            None => SendError::Later { why, after: None },
        }
    }
}

impl Answer<'_> {
    /// The body's words as they may be shown.
    pub(super) fn words(&self) -> String {
        self.veil.words(&String::from_utf8_lossy(&self.body))
    }

    /// A text out of the body as it may be shown.
    pub(super) fn shown(&self, text: &str) -> String {
        self.veil.words(text)
    }

    /// Whether the status says that the message was taken, and what is to be done if not.
    pub(super) fn accepted(&self) -> Result<(), SendError> {
        let status = self.status;
        if status.is_success() {
            return Ok(());
        }
        let words = self.words();
        let why = if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            // Where to is not said: it may be the same address with the same key.
            format!("HTTP {status}: it points to another address, and redirects are not followed")
        } else if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            format!("HTTP {status}: {WANTS_A_LOGIN}")
        } else {
            said(&format!("HTTP {status}"), &words)
        };
        Err(match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                SendError::Later { why, after: self.after }
            }
            busy if busy.is_server_error() => SendError::Later { why, after: self.after },
            StatusCode::GONE => SendError::Gone { why },
            // Whoever asks to wait does not refuse for good.
            _ if self.after.is_some() => SendError::Later { why, after: self.after },
            _ => SendError::Refused { why },
        })
    }
}

/// What happened, and the service's own words for it when there are any.
pub(super) fn said(what: &str, words: &str) -> String {
    if words.is_empty() { what.to_owned() } else { format!("{what}: {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_says_what_to_do() {
        let veil = Redactor::new(None, &[]);
        let told = |status: u16, after: Option<Duration>| {
            let status = StatusCode::from_u16(status).unwrap();
            Answer { status, body: b"no\n <b>".to_vec(), after, veil: &veil }.accepted()
        };
        let said = |status| told(status, Some(Duration::from_secs(9)));
        let after = Some(Duration::from_secs(9));
        assert_eq!([said(200), said(202), said(204)], [Ok(()), Ok(()), Ok(())]);
        for status in [408, 425, 429, 500, 502, 503, 504] {
            let Err(SendError::Later { why, after: asked }) = said(status) else { panic!("{status}") };
            assert!(why.starts_with(&format!("HTTP {status} ")) && why.ends_with(": no <b>"), "{why}");
            assert_eq!(asked, after);
        }
        assert!(matches!(said(410), Err(SendError::Gone { .. })));
        for status in [301, 302, 307, 400, 401, 403, 404, 405, 413, 418, 422] {
            assert!(matches!(told(status, None), Err(SendError::Refused { .. })), "{status}");
            assert!(matches!(said(status), Err(SendError::Later { .. })), "{status}, and when to come again");
        }
    }
}
