//! Claims: who refreshes a token, so that nobody else does at the same time. A claim ends by itself: whoever died with one
//! costs half a minute. Both tables of tokens are claimed in the same way.

use std::time::Duration;

use crate::{
    domain::time::Time,
    store::{
        Store, StoreError,
        decode::{self, Cells, Table},
        executor::Db,
        tables::{AUTHORIZER, COMPONENT},
    },
};

/// How long a claim holds: longer than a call may take.
const HOLDS: Duration = Duration::from_secs(30);

/// A table whose rows are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimTable {
    /// `component`
    Component,
    /// `authorizer`
    Authorizer,
}

/// Who claims, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The piece of work: another one of the same process is another claimant.
    pub by: String,
    /// The token that is to be replaced.
    pub generation: i64,
    /// Now.
    pub now: Time,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Ours,
    /// Somebody else's: wait for their token.
    Taken,
    /// There is a newer token already.
    Newer,
    /// There is no such row.
    Gone,
}

/// The generation of a row, and who holds it until when.
struct Held {
    generation: i64,
    by: Option<String>,
    until: Option<i64>,
}

impl ClaimTable {
    const fn table(self) -> Table {
        match self {
            Self::Component => COMPONENT,
            Self::Authorizer => AUTHORIZER,
        }
    }

    const fn held(self) -> &'static str {
        match self {
            Self::Component => "SELECT appid, generation, claimed_by, claimed_until FROM component WHERE appid = ?1",
            Self::Authorizer => "SELECT appid, generation, claimed_by, claimed_until FROM authorizer WHERE appid = ?1",
        }
    }

    const fn claim(self) -> &'static str {
        match self {
            Self::Component => "UPDATE component SET claimed_by = ?2, claimed_until = ?3 WHERE appid = ?1",
            Self::Authorizer => "UPDATE authorizer SET claimed_by = ?2, claimed_until = ?3 WHERE appid = ?1",
        }
    }

    const fn release(self) -> &'static str {
        match self {
            Self::Component => {
                "UPDATE component SET claimed_by = NULL, claimed_until = NULL WHERE appid = ?1 AND claimed_by = ?2"
            }
            Self::Authorizer => {
                "UPDATE authorizer SET claimed_by = NULL, claimed_until = NULL WHERE appid = ?1 AND claimed_by = ?2"
            }
        }
    }

    const fn free(self) -> &'static str {
        match self {
            Self::Component => {
                "UPDATE component SET claimed_by = NULL, claimed_until = NULL WHERE claimed_until IS NOT NULL"
            }
            Self::Authorizer => {
                "UPDATE authorizer INDEXED BY authorizer_claimed SET claimed_by = NULL, claimed_until = NULL
                 WHERE claimed_until IS NOT NULL"
            }
        }
    }
}

impl Claimant {
    /// Whether a claim that is written down is in the way. One that ends further ahead than any does was written by a
    /// calendar that has been stepped back since.
    fn is_held_by_another(&self, by: &str, until: i64) -> bool {
        let until = Time::from_ms(until);
        by != self.by && until > self.now && self.now.until(until) <= HOLDS
    }
}

impl Store {
    /// Claims the next token of a row: nobody else fetches it meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was claimed.
    pub async fn claim(&self, table: ClaimTable, appid: &str, claimant: Claimant) -> Result<Claim, StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| claim(db, table, &appid, &claimant)).await
    }

    /// Gives a claim back, as after a call without an answer.
    ///
    /// # Errors
    /// [`StoreError`]: it ends by itself.
    pub async fn release(&self, table: ClaimTable, appid: &str, by: &str) -> Result<(), StoreError> {
        let (appid, by) = (appid.to_owned(), by.to_owned());
        self.executor.write(move |db| db.execute(table.release(), (&appid, &by)).map(drop)).await
    }

    /// Frees every claim: the process that made them is gone.
    ///
    /// # Errors
    /// [`StoreError`]: they end by themselves.
    pub async fn free_claims(&self) -> Result<(), StoreError> {
        self.executor
            .write(move |db| {
                for table in [ClaimTable::Component, ClaimTable::Authorizer] {
                    decode::apart(table.table().name, "claims", db.execute(table.free(), ()))?;
                }
                Ok(())
            })
            .await
    }
}

fn claim(db: Db<'_>, table: ClaimTable, appid: &str, claimant: &Claimant) -> Result<Claim, StoreError> {
    let held = |cells: &mut Cells<'_>| {
        cells.skip(1);
        Ok(Held { generation: cells.next()?, by: cells.next()?, until: cells.next()? })
    };
    let held = db.first(table.held(), [appid], |row| Ok(decode::cells(row, table.table(), held)))?.transpose()?;
    match held {
        None => Ok(Claim::Gone),
        Some(Held { generation, .. }) if generation != claimant.generation => Ok(Claim::Newer),
        Some(Held { by: Some(by), until: Some(until), .. }) if claimant.is_held_by_another(&by, until) => {
            Ok(Claim::Taken)
        }
        Some(_) => {
            db.execute(table.claim(), (appid, &claimant.by, (claimant.now + HOLDS).ms()))?;
            Ok(Claim::Ours)
        }
    }
}
