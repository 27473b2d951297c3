//! An object as it was seen, and what is done to it only while it stands as it did (`If-Match`).

use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    client::{Call, Repeat, Server},
    failure::Failure,
};

/// How often an object is looked at that changes while it is decided on.
pub const LOOKS_MAX: u32 = 3;

/// An object as it was seen.
#[derive(Debug, Clone)]
pub struct Seen<T> {
    /// What it was.
    pub row: T,
    tag: Option<String>,
}

impl Server {
    /// Looks at an object; nothing where the daemon says that there is none.
    ///
    /// # Errors
    /// [`Failure`] of another kind.
    pub async fn look<T: DeserializeOwned>(&self, path: &str) -> Result<Option<Seen<T>>, Failure> {
        let call =
            Call { method: Method::GET, path: path.to_owned(), body: None, condition: None, repeat: Repeat::Once };
        match self.call(call).await {
            Ok(answer) => Ok(Some(Seen { row: self.read(&answer)?, tag: answer.tag })),
            Err(failure) if failure.is_of_nothing() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Does something to an object that stands as it was seen, and answers with what came of it. Done twice it is done once:
    /// the second time it has changed.
    ///
    /// # Errors
    /// [`Failure`]; `changed` where it stands otherwise by now.
    pub async fn post_as_seen<T: DeserializeOwned, S>(
        &self,
        path: &str,
        sent: &impl Serialize,
        seen: &Seen<S>,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(sent).unwrap_or_default();
        let (path, condition) = (path.to_owned(), seen.tag.as_deref());
        let call = Call { method: Method::POST, path, body: Some(&body), condition, repeat: Repeat::Once };
        self.read(&self.call(call).await?)
    }
}
