//! The row of `component`: the platform's ticket and token, sealed; who refreshes the token; how many calls the day has
//! had; what was refused.

pub use super::component_row::ComponentRow;
use super::component_row::read;
use crate::{
    domain::{authorizer::Life, errcode::Refusal, time::Time},
    store::{Store, StoreError, executor::Db, sql::CellError, tables::COMPONENT, write::component_mend::mend},
};

/// A token as it is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Sealed.
    pub sealed: Vec<u8>,
    /// How long it lives.
    pub life: Life,
}

/// Which ticket a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedTicket {
    /// The one that was made then: the call that was refused carried it.
    Made(Time),
    /// The one that is kept: the call carried none.
    Kept,
}

/// What a call of the component is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// For tokens of the component and pages of the list.
    Call,
    /// For one account.
    Lookup,
}

const COLUMNS: &str = "
    SELECT appid, key_check, ticket, ticket_made, ticket_at, ticketless_since, ticket_refused, token, renew_at, token_until,
           generation, errcode, errmsg, refused_since, held_until, swept_at, sweep_offset, calls_day, calls_used, lookups_used,
           open_keys
    FROM component WHERE appid = ?1";

const ONLY: &str = "SELECT appid FROM component ORDER BY appid LIMIT 1";

const KEY_CHECKS: &str = "SELECT appid, key_check FROM component ORDER BY appid";

const OPEN_KEYS: &str = "UPDATE component SET open_keys = ?2 WHERE appid = ?1";

const ADD: &str =
    "INSERT INTO component (appid, key_check, ticketless_since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

// A delayed push of an older ticket never replaces a newer one.
const TICKET: &str = "
    UPDATE component
    SET ticket = ?2, ticket_made = ?3, ticket_at = ?4, ticketless_since = NULL,
        held_until = CASE WHEN errcode IN (61005, 61006) THEN NULL ELSE held_until END,
        refused_since = CASE WHEN errcode IN (61005, 61006) THEN NULL ELSE refused_since END,
        errmsg = CASE WHEN errcode IN (61005, 61006) THEN NULL ELSE errmsg END,
        errcode = CASE WHEN errcode IN (61005, 61006) THEN NULL ELSE errcode END
    WHERE appid = ?1 AND coalesce(ticket_made, ?3) <= ?3";

const HEARD: &str = "UPDATE component SET ticket_at = ?2 WHERE appid = ?1";

const TOKEN: &str = "
    UPDATE component
    SET token = ?4, renew_at = ?5, token_until = ?6, generation = generation + 1, claimed_by = NULL, claimed_until = NULL,
        errcode = NULL, errmsg = NULL, refused_since = NULL, held_until = NULL
    WHERE appid = ?1 AND generation = ?2 AND claimed_by = ?3";

// So many in one write; more come back by themselves, within half an hour.
const RETRY_WITHOUT_TOKEN: [&str; 2] = [
    "UPDATE account SET next_check_at = ?1, reread_at = ?1
     WHERE account IN (
         SELECT account FROM account INDEXED BY account_trouble WHERE trouble = 'token' LIMIT 100000
     )",
    "INSERT INTO wakeup (account, at, asked)
     SELECT account, ?1, 0 FROM account INDEXED BY account_trouble WHERE trouble = 'token' LIMIT 100000",
];

const DROP: &str = "
    UPDATE component SET token = NULL, renew_at = NULL, token_until = NULL
    WHERE appid = ?1 AND generation = ?2 AND token IS NOT NULL";

const REFUSED: &str = "
    UPDATE component
    SET errcode = ?2, errmsg = ?3, held_until = ?5, refused_since = CASE WHEN errcode IS NOT DISTINCT FROM ?2 THEN refused_since ELSE ?4 END
    WHERE appid = ?1";

const PROBE: &str = "UPDATE component SET held_until = ?3 WHERE appid = ?1 AND held_until = ?2";

// What is refused to the whole platform: 45009, 61004 and 40164.
const ANSWERED: &str = "
    UPDATE component
    SET errcode = NULL, errmsg = NULL, refused_since = NULL, held_until = NULL
    WHERE appid = ?1 AND errcode IN (45009, 61004, 40164)";

const TICKET_REFUSED: &str = "
    UPDATE component
    SET ticket_refused = ticket_made, ticketless_since = coalesce(ticketless_since, ?2)
    WHERE appid = ?1 AND (?3 IS NULL OR ticket_made = ?3)";

const ACTED: &str = "
    UPDATE component
    SET held_until = 0
    WHERE appid = ?1 AND errcode IS NOT NULL AND held_until IS NULL";

const COUNT: &str = "
    UPDATE component
    SET calls_used = CASE WHEN calls_day = ?2 THEN calls_used ELSE 0 END + ?3,
        lookups_used = CASE WHEN calls_day = ?2 THEN lookups_used ELSE 0 END + ?4,
        calls_day = ?2
    WHERE appid = ?1
      AND (calls_day <> ?2 OR ((?3 = 0 OR calls_used + ?3 <= ?5) AND (?4 = 0 OR lookups_used + ?4 <= ?5)))";

const SWEPT: &str = "UPDATE component SET swept_at = ?2, sweep_offset = ?3 WHERE appid = ?1";

impl Store {
    /// The component, once it is known.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn component(&self, appid: &str) -> Result<Option<ComponentRow>, StoreError> {
        let appid = appid.to_owned();
        self.executor.read(move |db| find(db, &appid)).await
    }

    /// The component that a daemon has made known here.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn only_component(&self) -> Result<Option<ComponentRow>, StoreError> {
        self.executor
            .read(move |db| match db.first(ONLY, (), |row| row.get::<String>(0))? {
                Some(appid) => find(db, &appid),
                None => Ok(None),
            })
            .await
    }

    /// Every component that was ever made known here, with its known word as it is sealed.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn key_checks(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.executor
            .read(move |db| {
                let rows = db.all(KEY_CHECKS, (), |row| Ok::<_, CellError>((row.get(0)?, row.get(1)?)))?;
                Ok(rows.into_iter().collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Writes which keys the daemon that starts now opens values with.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn put_open_keys(&self, appid: &str, ids: String) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(OPEN_KEYS, (&appid, &ids)).map(drop)).await
    }

    /// Makes the component known, with a known word that its key seals.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn add_component(&self, appid: &str, key_check: Vec<u8>, now: Time) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(ADD, (&appid, &key_check, now.ms())).map(drop)).await
    }

    /// Keeps a ticket unless a newer one is there; whether it was kept.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, and the push must not be answered with success.
    pub async fn put_ticket(&self, appid: &str, sealed: Vec<u8>, made: Time, now: Time) -> Result<bool, StoreError> {
        let appid = appid.to_owned();
        self.executor
            .write(move |db| {
                let ticket = || db.execute(TICKET, (&appid, &sealed, made.ms(), now.ms()));
                let kept = match ticket() {
                    // Without a ticket nothing goes on: this row does not wait until somebody has mended it.
                    Err(error) if error.is_of_one_row() => {
                        tracing::error!(event = "db.bad_row", table = COMPONENT.name, id = appid, error = %error, "invalid row mended");
                        mend(db, &appid)?;
                        ticket()? > 0
                    }
                    kept => kept? > 0,
                };
                if !kept {
                    db.execute(HEARD, (&appid, now.ms()))?;
                }
                Ok(kept)
            })
            .await
    }

    /// Keeps a token of whoever claimed it; whether it still did, and nobody was faster. Accounts that had none for want of
    /// it are looked at now.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, so the token must not be used.
    pub async fn put_component_token(
        &self,
        appid: &str,
        generation: i64,
        by: &str,
        token: NewToken,
        now: Time,
    ) -> Result<bool, StoreError> {
        let (appid, by) = (appid.to_owned(), by.to_owned());
        let NewToken { sealed, life } = token;
        self.executor
            .write(move |db| {
                let params = (&appid, generation, &by, &sealed, life.renew_at.ms(), life.until.ms());
                let is_kept = db.execute(TOKEN, params)? > 0;
                if is_kept {
                    RETRY_WITHOUT_TOKEN.into_iter().try_for_each(|retry| db.execute(retry, [now.ms()]).map(drop))?;
                }
                Ok(is_kept)
            })
            .await
    }

    /// Forgets the token if it is still this one.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn drop_component_token(&self, appid: &str, generation: i64) -> Result<bool, StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| Ok(db.execute(DROP, (&appid, generation))? > 0)).await
    }

    /// Writes what was refused, and until when nothing is tried because of it: not if it is about a ticket after which
    /// another has come.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn component_refused(
        &self,
        appid: &str,
        refusal: Refusal,
        (now, held_until): (Time, Option<Time>),
        ticket: Option<RefusedTicket>,
    ) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor
            .write(move |db| {
                if let Some(ticket) = ticket {
                    let made = match ticket {
                        RefusedTicket::Made(made) => Some(made.ms()),
                        RefusedTicket::Kept => None,
                    };
                    if db.execute(TICKET_REFUSED, (&appid, now.ms(), made))? == 0 {
                        return Ok(());
                    }
                }
                let Refusal { errcode, errmsg } = &refusal;
                db.execute(REFUSED, (&appid, errcode, errmsg, now.ms(), held_until.map(Time::ms))).map(drop)
            })
            .await
    }

    /// Whether the one call is ours that finds out, now that a refusal has held everything back until `held`, whether it
    /// still stands; the others are held back until `until`.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, and it is not.
    pub async fn probe_component(&self, appid: &str, held: Time, until: Time) -> Result<bool, StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| Ok(db.execute(PROBE, (&appid, held.ms(), until.ms()))? > 0)).await
    }

    /// `WeChat` takes calls of the platform again.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn component_answered(&self, appid: &str) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(ANSWERED, [&appid]).map(drop)).await
    }

    /// A person has acted, as a restart or a reload says: what waited for that is tried once more. It stays written until it
    /// is known to be over.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn retry_component(&self, appid: &str) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(ACTED, [&appid]).map(drop)).await
    }

    /// Counts a call that is about to be made; `false` when the day has had as many as `most`, and it may not be.
    ///
    /// # Errors
    /// [`StoreError`]: it is not counted, and may not be made.
    pub async fn count_component_call(
        &self,
        appid: &str,
        counted: Counted,
        most: i64,
        now: Time,
    ) -> Result<bool, StoreError> {
        let appid = appid.to_owned();
        let (calls, lookups) = match counted {
            Counted::Call => (1, 0),
            Counted::Lookup => (0, 1),
        };
        let day = now.beijing_day();
        self.executor.write(move |db| Ok(db.execute(COUNT, (&appid, day, calls, lookups, most))? > 0)).await
    }

    /// Writes how far a sweep has come; no offset: it is done.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn put_sweep(&self, appid: &str, began: Time, offset: Option<i64>) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(SWEPT, (&appid, began.ms(), offset)).map(drop)).await
    }
}

fn find(db: Db<'_>, appid: &str) -> Result<Option<ComponentRow>, StoreError> {
    Ok(db.first(COLUMNS, [appid], |row| Ok(read(row)))?.transpose()?)
}
