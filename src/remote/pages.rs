//! A list of the API, page after page. A page that cannot be read ends it with an error: what was handed out before stands.

use serde::{Deserialize, de::DeserializeOwned};

use super::{client::Server, failure::Failure, query::Query};

/// Rows of a page at most, as the API has it.
pub const PAGE_MAX: u32 = 500;

/// A page as it is sent.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// Where in a list we are.
#[derive(Debug)]
pub struct Pages<'s> {
    server: &'s Server,
    path: String,
    query: Query,
    /// Of the next page; `None` after the last one.
    after: Option<Option<String>>,
}

impl<'s> Pages<'s> {
    /// Before the first page of a list that has pages.
    #[must_use]
    pub fn of(server: &'s Server, path: &str, query: Query, limit: u32) -> Self {
        Self::whole(server, path, query.with("limit", Some(limit.clamp(1, PAGE_MAX))))
    }

    /// A list that comes in one piece.
    #[must_use]
    pub fn whole(server: &'s Server, path: &str, query: Query) -> Self {
        Self { server, path: path.to_owned(), query, after: Some(None) }
    }

    /// The next rows; none after the last page.
    ///
    /// # Errors
    /// [`Failure`]; then the list is over.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, Failure> {
        let Some(after) = self.after.take() else { return Ok(Vec::new()) };
        let query = self.query.clone().with("after", after);
        let Page { items, next } = self.server.get(&self.path, &query).await?;
        self.after = next.map(Some);
        // An empty page in the middle is not the end.
        if items.is_empty() && self.after.is_some() { Box::pin(self.next()).await } else { Ok(items) }
    }

    /// All that are left.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn rest<T: DeserializeOwned>(mut self) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        loop {
            let page = self.next().await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}
