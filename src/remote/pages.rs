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

/// Which page comes next.
#[derive(Debug, Default)]
enum Next {
    First,
    After(String),
    #[default]
    None,
}

/// Where in a list we are.
#[derive(Debug)]
pub struct Pages<'s> {
    server: &'s Server,
    path: String,
    query: Query,
    next: Next,
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
        Self { server, path: path.to_owned(), query, next: Next::First }
    }

    /// The next rows; none after the last page.
    ///
    /// # Errors
    /// [`Failure`]; then the list is over.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, Failure> {
        let after = match std::mem::take(&mut self.next) {
            Next::First => None,
            Next::After(after) => Some(after),
            Next::None => return Ok(Vec::new()),
        };
        let query = self.query.clone().with("after", after);
        let Page { items, next } = self.server.get(&self.path, &query).await?;
        let is_last = next.is_none();
        self.next = next.map_or(Next::None, Next::After);
        // An empty page in the middle is not the end.
        if items.is_empty() && !is_last { Box::pin(self.next()).await } else { Ok(items) }
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
