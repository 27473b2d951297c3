//! Every sealed value of the database, for sealing it anew under another key.

use crate::store::{Store, StoreError, decode, sql::CellError};

/// A sealed value and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// The column.
    pub column: SealedColumn,
    /// The key of its row: an appid, of a push its id.
    pub key: String,
    /// The appid of its row.
    pub appid: String,
    /// The value.
    pub sealed: Vec<u8>,
}

/// What was sealed anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resealed {
    /// So many values.
    pub count: usize,
    /// Keys of rows that take no write, because something else in them is not valid.
    pub refused: Vec<String>,
}

/// A column of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedColumn {
    /// `component.key_check`
    KeyCheck,
    /// `component.ticket`
    Ticket,
    /// `component.token`
    ComponentToken,
    /// `authorizer.refresh`
    Refresh,
    /// `authorizer.token`
    Token,
    /// `push.code`
    Code,
}

impl SealedColumn {
    /// All of them; the key check last, so that it tells of a key that everything else is sealed under already.
    pub const ALL: [Self; 6] =
        [Self::Ticket, Self::ComponentToken, Self::Refresh, Self::Token, Self::Code, Self::KeyCheck];

    /// The table and the column by which a value is bound to its place.
    #[must_use]
    pub const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::KeyCheck => ("component", "key_check"),
            Self::Ticket => ("component", "ticket"),
            Self::ComponentToken => ("component", "token"),
            Self::Refresh => ("authorizer", "refresh"),
            Self::Token => ("authorizer", "token"),
            Self::Code => ("push", "code"),
        }
    }

    // What is no BLOB was never sealed; the audit names it.
    const fn page(self) -> &'static str {
        match self {
            Self::KeyCheck => {
                "SELECT appid, appid, key_check FROM component WHERE appid > ?1 AND typeof(key_check) = 'blob' ORDER BY appid LIMIT ?2"
            }
            Self::Ticket => {
                "SELECT appid, appid, ticket FROM component WHERE appid > ?1 AND typeof(ticket) = 'blob' ORDER BY appid LIMIT ?2"
            }
            Self::ComponentToken => {
                "SELECT appid, appid, token FROM component WHERE appid > ?1 AND typeof(token) = 'blob' ORDER BY appid LIMIT ?2"
            }
            Self::Refresh => {
                "SELECT appid, appid, refresh FROM authorizer WHERE appid > ?1 AND typeof(refresh) = 'blob' ORDER BY appid LIMIT ?2"
            }
            Self::Token => {
                "SELECT appid, appid, token FROM authorizer WHERE appid > ?1 AND typeof(token) = 'blob' ORDER BY appid LIMIT ?2"
            }
            Self::Code => {
                "SELECT id, appid, code FROM push WHERE id > ?1 AND typeof(code) = 'blob' ORDER BY id LIMIT ?2"
            }
        }
    }

    // What was written meanwhile is sealed under the new key already.
    const fn reseal(self) -> &'static str {
        match self {
            Self::KeyCheck => "UPDATE component SET key_check = ?3 WHERE appid = ?1 AND key_check = ?2",
            Self::Ticket => "UPDATE component SET ticket = ?3 WHERE appid = ?1 AND ticket = ?2",
            Self::ComponentToken => "UPDATE component SET token = ?3 WHERE appid = ?1 AND token = ?2",
            Self::Refresh => "UPDATE authorizer SET refresh = ?3 WHERE appid = ?1 AND refresh = ?2",
            Self::Token => "UPDATE authorizer SET token = ?3 WHERE appid = ?1 AND token = ?2",
            Self::Code => "UPDATE push SET code = ?3 WHERE id = ?1 AND code = ?2",
        }
    }
}

impl Store {
    /// Sealed values of a column, after the row with this key, in the order of keys.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn sealed_page(
        &self,
        column: SealedColumn,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedValue>, StoreError> {
        let after = after.to_owned();
        self.executor
            .read(move |db| {
                let rows = db.all(column.page(), (&after, limit), |row| {
                    let (key, appid, sealed) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok::<_, CellError>(SealedValue { column, key, appid, sealed })
                })?;
                Ok(rows.into_iter().collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Puts values in the place of those that were read, unless they have changed since.
    ///
    /// # Errors
    /// [`StoreError`]: none was.
    pub async fn reseal(&self, values: Vec<(SealedValue, Vec<u8>)>) -> Result<Resealed, StoreError> {
        self.executor
            .write(move |db| {
                let mut done = Resealed::default();
                for (SealedValue { column, key, sealed, .. }, anew) in &values {
                    let resealed = db.execute(column.reseal(), (key, sealed, anew));
                    done.count += *resealed.as_ref().unwrap_or(&0);
                    if !decode::apart(column.place().0, key, resealed)? {
                        done.refused.push(key.clone());
                    }
                }
                Ok(done)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::SealedColumn;

    /// An interrupted change of the key must not look like one that is done.
    #[test]
    fn the_key_check_is_sealed_anew_after_everything_else() {
        assert_eq!(SealedColumn::ALL.last(), Some(&SealedColumn::KeyCheck));
        assert!(SealedColumn::ALL.iter().filter(|column| **column == SealedColumn::KeyCheck).count() == 1);
    }
}
