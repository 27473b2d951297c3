//! Rows of `push`: what `WeChat` told of authorizations. A push is written down, with all that it means for the account,
//! before it is answered.

use super::{
    authorization,
    authorizer::{self, AuthorizerRow, NewTokens},
    claim::Claimant,
};
use crate::{
    domain::{
        authorizer::{AuthorizationEvent, Order, is_replay, order},
        errcode::Refusal,
        time::Time,
    },
    store::{
        Store, StoreError,
        decode::{self, Cells},
        executor::Db,
        tables::PUSH,
    },
};

/// A push about an account, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPush {
    /// The SHA-256 of what was encrypted, in hexadecimal.
    pub id: String,
    /// The account, or the program.
    pub appid: String,
    /// What it says.
    pub event: AuthorizationEvent,
    /// When `WeChat` made it.
    pub made: Time,
    /// The authorization code, sealed.
    pub code: Option<Vec<u8>>,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It counts.
    Taken,
    /// It was there already.
    Repeated,
    /// Something newer is known.
    Late,
    /// It contradicts another one of the same second: the account is looked up.
    Doubtful,
}

/// What is still to be done about a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPush {
    /// Its id.
    pub id: String,
    /// Whom it is about.
    pub appid: String,
    /// The code to trade, sealed; `None`: the account is to be looked up.
    pub code: Option<Vec<u8>>,
    /// When it came.
    pub at: Time,
}

const KNOWN: &str = "SELECT 1 FROM push WHERE id = ?1";

const INSERT: &str = "
    INSERT INTO push (id, appid, kind, made, at, code, done_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

// Tokens of before are dead at once, the refresh token too, and whoever refreshes them is overtaken.
const GRANTED: &str = "
    INSERT INTO authorizer (appid, state, since, event_made, event) VALUES (?1, 'authorized', ?4, ?2, ?3)
    ON CONFLICT (appid) DO UPDATE
    SET since = CASE WHEN authorizer.state = 'authorized' THEN authorizer.since ELSE ?4 END, state = 'authorized',
        event_made = ?2, event = ?3, refresh = NULL, token = NULL, renew_at = NULL, token_until = NULL,
        generation = authorizer.generation + 1, claimed_by = NULL, claimed_until = NULL,
        errcode = NULL, errmsg = NULL, failures = 0, retry_at = NULL, killed_at = NULL";

const DOUBTED: &str = "
    UPDATE authorizer
    SET state = 'unknown', since = ?2, token = NULL, renew_at = NULL, token_until = NULL, generation = generation + 1,
        claimed_by = NULL, claimed_until = NULL
    WHERE appid = ?1";

const WITHDRAWN: &str = "
    INSERT INTO authorizer (appid, state, since, event_made, event) VALUES (?1, 'unauthorized', ?4, ?2, ?3)
    ON CONFLICT (appid) DO UPDATE SET event_made = ?2, event = ?3";

const FORGET: &str = "DELETE FROM authorizer WHERE appid = ?1";

// A code of before is worth nothing any more.
const SUPERSEDED: &str = "
    UPDATE push SET code = NULL, done_at = ?2 WHERE appid = ?1 AND done_at IS NULL AND id <> ?3";

const OPEN: &str = "
    SELECT id, appid, code, at FROM push WHERE done_at IS NULL AND (at, id) > (?2, ?3) ORDER BY at, id LIMIT ?1";

const DONE: &str = "UPDATE push SET code = NULL, done_at = ?2 WHERE id = ?1";

const TO_LOOK_UP: &str = "UPDATE push SET code = NULL WHERE id = ?1";

const IS_OPEN: &str = "SELECT 1 FROM push WHERE id = ?1 AND done_at IS NULL";

const PRUNE: &str = "DELETE FROM push WHERE done_at < ?1";

impl Store {
    /// Writes a push down with what it means: one that withdraws an authorization wipes its tokens and suspends the account,
    /// one that grants it ends the tokens of before.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, and the push must not be answered with success.
    pub async fn receive_push(&self, push: NewPush, now: Time) -> Result<Received, StoreError> {
        self.executor.write(move |db| receive(db, &push, now)).await
    }

    /// Pushes about which something is still to be done, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn open_pushes(&self, limit: u32) -> Result<Vec<OpenPush>, StoreError> {
        self.open_pushes_after(None, limit).await
    }

    /// The same, of those after this one.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn open_pushes_after(&self, after: Option<&OpenPush>, limit: u32) -> Result<Vec<OpenPush>, StoreError> {
        let (at, id) = after.map_or((i64::MIN, String::new()), |push| (push.at.ms(), push.id.clone()));
        self.executor
            .read(move |db| {
                let read = |cells: &mut Cells<'_>| {
                    let (id, appid, code) = (cells.next()?, cells.next()?, cells.next()?);
                    Ok(OpenPush { id, appid, code, at: Time::from_ms(cells.next()?) })
                };
                Ok(decode::legible_cells(db.all(OPEN, (limit, at, &id), |row| decode::cells(row, PUSH, read))?))
            })
            .await
    }

    /// Keeps the tokens that a code was traded for; `false` when a newer push, or another process, has come between: they are
    /// thrown away, and the account is looked up unless the newer push says all.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written; the code is used up, so the account is looked up.
    pub async fn push_traded(
        &self,
        id: &str,
        appid: &str,
        claimant: Claimant,
        tokens: NewTokens,
    ) -> Result<bool, StoreError> {
        let (id, appid) = (id.to_owned(), appid.to_owned());
        self.executor
            .write(move |db| {
                if db.first(IS_OPEN, [&id], |_| Ok(()))?.is_none() {
                    return Ok(false);
                }
                let Claimant { by, generation, now } = &claimant;
                let is_kept = authorizer::put(db, &appid, *generation, by, &tokens, *now)?;
                if is_kept {
                    db.execute(DONE, (&id, now.ms()))?;
                }
                Ok(is_kept)
            })
            .await
    }

    /// Nothing is left to be done about a push.
    ///
    /// # Errors
    /// [`StoreError`]: it is done again.
    pub async fn push_done(&self, id: &str, now: Time) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.executor.write(move |db| decode::apart(PUSH.name, &id, db.execute(DONE, (&id, now.ms()))).map(drop)).await
    }

    /// Its code is used up or too old: the account is looked up in its place.
    ///
    /// # Errors
    /// [`StoreError`]: the code is tried again.
    pub async fn push_to_look_up(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.executor.write(move |db| db.execute(TO_LOOK_UP, [&id]).map(drop)).await
    }

    /// The account of a push that was looked up turned out to be no authorizer: the same as a push that withdraws it, unless
    /// a newer push has come meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn looked_up_in_vain(&self, push: &OpenPush, refusal: Refusal, now: Time) -> Result<(), StoreError> {
        let OpenPush { id, appid, .. } = push.clone();
        self.executor
            .write(move |db| match db.first(IS_OPEN, [&id], |_| Ok(()))? {
                Some(()) => authorization::gone(db, &appid, &refusal, now),
                None => Ok(()),
            })
            .await
    }

    /// Takes pushes away that are done with since before this; how many.
    ///
    /// # Errors
    /// [`StoreError`]: none is gone.
    pub async fn prune_pushes(&self, before: Time) -> Result<usize, StoreError> {
        self.executor.write(move |db| db.execute(PRUNE, [before.ms()])).await
    }
}

fn receive(db: Db<'_>, push: &NewPush, now: Time) -> Result<Received, StoreError> {
    let NewPush { id, appid, event, made, code } = push;
    if db.first(KNOWN, [id], |_| Ok(()))?.is_some() {
        return Ok(Received::Repeated);
    }
    let last = match authorizer::find(db, appid)? {
        Some(Ok(AuthorizerRow { event, .. })) => event,
        None => None,
        // It is written anew by what came last.
        Some(Err(bad)) => {
            decode::tell(&bad);
            db.execute(FORGET, [appid])?;
            None
        }
    };
    let insert = |code: Option<&Vec<u8>>, done: Option<i64>| {
        db.execute(INSERT, (id, appid, event.as_str(), made.ms(), now.ms(), code, done))
    };
    let order = if is_replay(last, *event, *made, now) { Order::Late } else { order(last, *event, *made) };
    match order {
        Order::Late => insert(None, Some(now.ms())).map(|_| Received::Late),
        Order::Newest => {
            decode::apart(PUSH.name, appid, db.execute(SUPERSEDED, (appid, now.ms(), id)))?;
            match event {
                AuthorizationEvent::Authorized | AuthorizationEvent::Updated => {
                    db.execute(GRANTED, (appid, made.ms(), event.as_str(), now.ms()))?;
                    insert(code.as_ref(), None)?;
                }
                AuthorizationEvent::Unauthorized => {
                    db.execute(WITHDRAWN, (appid, made.ms(), event.as_str(), now.ms()))?;
                    authorization::gone(db, appid, &withdrawn(), now)?;
                    insert(None, Some(now.ms()))?;
                }
            }
            Ok(Received::Taken)
        }
        // Until WeChat has said which one was last, nothing is called.
        Order::Doubtful => {
            decode::apart(PUSH.name, appid, db.execute(SUPERSEDED, (appid, now.ms(), id)))?;
            db.execute(DOUBTED, (appid, now.ms()))?;
            authorization::suspend(db, appid, &doubtful(), now)?;
            insert(None, None)?;
            Ok(Received::Doubtful)
        }
    }
}

fn withdrawn() -> Refusal {
    Refusal { errcode: 61_003, errmsg: "the account has withdrawn its authorization of the platform".to_owned() }
}

fn doubtful() -> Refusal {
    let errmsg = "the account's authorization was granted and withdrawn in one second: WeChat is asked which came last";
    Refusal { errcode: 61_003, errmsg: errmsg.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::authorizer::{AuthorizerState, Life},
        store::{
            Location, Role, sql,
            write::{
                authorizer::{AuthorizerInfo, RefreshRefused},
                authorizer_list::ListedAuthorizer,
                claim::{Claim, ClaimTable},
                component::{Counted, NewToken},
            },
        },
    };

    const APPID: &str = "wx0123456789abcdef";

    const ACCOUNT: &str = "INSERT INTO account (account, state, since, next_check_at) VALUES (?1, 'active', 1, 5)";

    fn at(seconds: u64) -> Time {
        Time::from_ms(1_773_100_800_000) + Duration::from_secs(seconds)
    }

    fn push(id: &str, event: AuthorizationEvent, made: u64) -> NewPush {
        let code = (event != AuthorizationEvent::Unauthorized).then(|| b"code".to_vec());
        NewPush { id: id.to_owned(), appid: APPID.to_owned(), event, made: at(made), code }
    }

    fn tokens(word: &str, permissions: &[i64]) -> NewTokens {
        let life = Life::new(APPID, Duration::from_hours(2), at(0));
        NewTokens {
            token: NewToken { sealed: word.as_bytes().to_vec(), life },
            refresh: Some(b"refresh".to_vec()),
            permissions: Some(permissions.to_vec()),
        }
    }

    struct Desk {
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl Desk {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let location = Location::file(folder.path().join("a.db"), 0o600);
            let store = Store::open(&location, Role::Tool).await.unwrap();
            store.executor.write(move |db| db.execute(ACCOUNT, [APPID])).await.unwrap();
            Self { store, _folder: folder }
        }

        async fn row(&self) -> AuthorizerRow {
            self.store.authorizer(APPID).await.unwrap().unwrap().unwrap()
        }

        /// By whom the account is suspended, and with which code.
        async fn suspended(&self) -> (Option<String>, Option<i64>) {
            sql::query_as("SELECT suspended_by, errcode FROM account").fetch_one(self.store.readers()).await.unwrap()
        }

        async fn trade(&self, id: &str, tokens: NewTokens) -> bool {
            let generation = self.row().await.generation;
            let claimant = Claimant { by: "us".to_owned(), generation, now: at(20) };
            self.store.claim(ClaimTable::Authorizer, APPID, claimant.clone()).await.unwrap();
            self.store.push_traded(id, APPID, claimant, tokens).await.unwrap()
        }
    }

    #[tokio::test]
    async fn an_authorization_is_granted_traded_and_withdrawn() {
        use AuthorizationEvent as E;
        let desk = Desk::new().await;
        assert_eq!(desk.store.receive_push(push("a", E::Authorized, 10), at(11)).await.unwrap(), Received::Taken);
        assert_eq!(desk.store.receive_push(push("a", E::Authorized, 10), at(12)).await.unwrap(), Received::Repeated);
        assert_eq!(desk.store.open_pushes(9).await.unwrap().len(), 1);
        assert!(desk.trade("a", tokens("one", &[1, 33])).await);
        assert!(desk.store.open_pushes(9).await.unwrap().is_empty());
        let row = desk.row().await;
        assert_eq!((row.state, row.generation, row.permissions), (AuthorizerState::Authorized, 1, Some(vec![1, 33])));
        let late = push("b", E::Unauthorized, 9);
        assert_eq!(desk.store.receive_push(late, at(13)).await.unwrap(), Received::Late, "made before the grant");
        assert_eq!(desk.suspended().await, (None, None));
        assert_eq!(desk.store.receive_push(push("c", E::Unauthorized, 30), at(31)).await.unwrap(), Received::Taken);
        let row = desk.row().await;
        assert_eq!((row.state, row.token, row.refresh), (AuthorizerState::Unauthorized, None, None), "wiped");
        assert_eq!(desk.suspended().await, (Some("wechat".to_owned()), Some(61_003)), "before the push is answered");
        assert_eq!(desk.store.receive_push(push("d", E::Updated, 40), at(41)).await.unwrap(), Received::Taken);
        assert!(desk.trade("d", tokens("two", &[33])).await);
        assert_eq!(desk.suspended().await, (None, None), "lifted at once");
        let woken = desk.store.wakeups(0, 9, crate::store::write::wakeups::Heard::ALL).await.unwrap();
        assert!(woken.iter().any(|one| one.account == APPID && one.asked), "{woken:?}");
    }

    #[tokio::test]
    async fn without_the_permission_set_it_is_suspended_and_a_person_must_tick_it() {
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", AuthorizationEvent::Authorized, 10), at(11)).await.unwrap();
        assert!(desk.trade("a", tokens("one", &[1, 2])).await);
        assert_eq!(desk.suspended().await, (Some("wechat".to_owned()), Some(61_007)));
        let view = desk.store.authorizer_view(APPID).await.unwrap().unwrap();
        assert_eq!((view.state.as_str(), view.has_link_permission), ("authorized", false));
    }

    #[tokio::test]
    async fn tokens_of_a_code_that_a_newer_push_has_overtaken_are_thrown_away() {
        use AuthorizationEvent as E;
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", E::Authorized, 10), at(11)).await.unwrap();
        let generation = desk.row().await.generation;
        desk.store.receive_push(push("b", E::Updated, 12), at(13)).await.unwrap();
        let claimant = Claimant { by: "us".to_owned(), generation, now: at(20) };
        assert!(!desk.store.push_traded("a", APPID, claimant, tokens("old", &[33])).await.unwrap());
        assert_eq!(desk.row().await.token, None);
        assert!(desk.trade("b", tokens("new", &[33])).await);
    }

    #[tokio::test]
    async fn the_last_grant_sent_again_after_its_row_is_gone_leaves_the_tokens_alone() {
        use AuthorizationEvent as E;
        const FORGET: &str = "DELETE FROM push";
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", E::Authorized, 10), at(11)).await.unwrap();
        assert!(desk.trade("a", tokens("one", &[33])).await);
        let before = desk.row().await;
        desk.store.executor.write(|db| db.execute(FORGET, ())).await.unwrap();
        let again = desk.store.receive_push(push("a", E::Authorized, 10), at(10 + 3_601)).await.unwrap();
        assert_eq!((again, desk.row().await), (Received::Late, before));
        // A new grant made meanwhile counts, however late it comes.
        let late = desk.store.receive_push(push("b", E::Updated, 20), at(9_000)).await.unwrap();
        assert_eq!(late, Received::Taken);
    }

    #[tokio::test]
    async fn a_contradiction_of_one_second_is_asked_about_in_both_orders() {
        use AuthorizationEvent as E;
        for (first, second) in [(E::Authorized, E::Unauthorized), (E::Unauthorized, E::Authorized)] {
            let desk = Desk::new().await;
            desk.store.receive_push(push("a", first, 10), at(11)).await.unwrap();
            let received = desk.store.receive_push(push("b", second, 10), at(12)).await.unwrap();
            assert_eq!(received, Received::Doubtful, "{first:?}, {second:?}");
            assert_eq!(desk.row().await.state, AuthorizerState::Unknown);
            assert_eq!(desk.suspended().await.1, Some(61_003), "nothing is called meanwhile");
            let open = desk.store.open_pushes(9).await.unwrap();
            assert_eq!(open.iter().map(|one| (one.id.as_str(), &one.code)).collect::<Vec<_>>(), [("b", &None)]);
        }
    }

    #[tokio::test]
    async fn one_process_refreshes_at_a_time_and_a_refresh_that_was_overtaken_is_thrown_away() {
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", AuthorizationEvent::Authorized, 10), at(11)).await.unwrap();
        desk.trade("a", tokens("one", &[33])).await;
        let generation = desk.row().await.generation;
        let claimant = |by: &str, now| Claimant { by: by.to_owned(), generation, now: at(now) };
        assert!(matches!(
            desk.store.claim(ClaimTable::Authorizer, APPID, claimant("us", 30)).await.unwrap(),
            Claim::Ours
        ));
        assert_eq!(desk.store.claim(ClaimTable::Authorizer, APPID, claimant("them", 31)).await.unwrap(), Claim::Taken);
        assert!(
            matches!(desk.store.claim(ClaimTable::Authorizer, APPID, claimant("them", 61)).await.unwrap(), Claim::Ours),
            "half a minute"
        );
        assert!(!desk.store.put_tokens(APPID, generation, "us", tokens("ours", &[33]), at(62)).await.unwrap());
        assert!(desk.store.put_tokens(APPID, generation, "them", tokens("theirs", &[33]), at(63)).await.unwrap());
        assert!(matches!(
            desk.store.claim(ClaimTable::Authorizer, APPID, claimant("us", 64)).await.unwrap(),
            Claim::Newer
        ));
    }

    #[tokio::test]
    async fn what_was_learned_before_a_newer_push_neither_resumes_nor_withdraws() {
        use AuthorizationEvent as E;
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", E::Authorized, 10), at(11)).await.unwrap();
        assert!(desk.trade("a", tokens("one", &[33])).await);
        desk.store.receive_push(push("b", E::Unauthorized, 30), at(31)).await.unwrap();
        let info = AuthorizerInfo { username: None, nickname: Some("n".to_owned()), permissions: Some(vec![33]) };
        desk.store.put_info(APPID, info, at(32)).await.unwrap();
        assert_eq!(desk.suspended().await, (Some("wechat".to_owned()), Some(61_003)));
        assert_eq!(desk.row().await.nickname, None);

        desk.store.receive_push(push("c", E::Authorized, 40), at(41)).await.unwrap();
        let looked_up = desk.store.open_pushes(9).await.unwrap().remove(0);
        desk.store.receive_push(push("d", E::Updated, 50), at(51)).await.unwrap();
        let refusal = || Refusal { errcode: 61_003, errmsg: "not in the list".to_owned() };
        desk.store.looked_up_in_vain(&looked_up, refusal(), at(52)).await.unwrap();
        assert_eq!(desk.row().await.state, AuthorizerState::Authorized, "the list was older");
        let looked_up = desk.store.open_pushes(9).await.unwrap().remove(0);
        desk.store.looked_up_in_vain(&looked_up, refusal(), at(53)).await.unwrap();
        assert_eq!(desk.row().await.state, AuthorizerState::Unauthorized);
    }

    #[tokio::test]
    async fn a_list_brings_back_what_no_push_has_withdrawn() {
        use AuthorizationEvent as E;
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", E::Authorized, 10), at(11)).await.unwrap();
        let looked_up = desk.store.open_pushes(9).await.unwrap().remove(0);
        let refusal = Refusal { errcode: 61_003, errmsg: "not in the list".to_owned() };
        desk.store.looked_up_in_vain(&looked_up, refusal, at(12)).await.unwrap();
        // The list knows the second before that of the push.
        let listed = ListedAuthorizer { appid: APPID.to_owned(), refresh: Some(b"refresh".to_vec()), auth_time: at(9) };
        desk.store.put_listed(vec![listed.clone()], at(13)).await.unwrap();
        assert_eq!(desk.row().await.state, AuthorizerState::Authorized);
        assert_eq!(desk.suspended().await, (None, None));
        desk.store.receive_push(push("b", E::Unauthorized, 30), at(31)).await.unwrap();
        desk.store.put_listed(vec![listed], at(32)).await.unwrap();
        assert_eq!(desk.row().await.state, AuthorizerState::Unauthorized, "older than what withdrew it");
    }

    #[tokio::test]
    async fn both_tables_are_claimed_alike_and_a_claim_is_given_back_by_its_own_name_alone() {
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", AuthorizationEvent::Authorized, 10), at(11)).await.unwrap();
        desk.store.add_component("wxcccccccccccccccc", b"check".to_vec(), at(0)).await.unwrap();
        for (table, appid, generation) in [
            (ClaimTable::Authorizer, APPID, desk.row().await.generation),
            (ClaimTable::Component, "wxcccccccccccccccc", 0),
        ] {
            let claim = async |by: &str, generation, now| {
                let claimant = Claimant { by: by.to_owned(), generation, now: at(now) };
                desk.store.claim(table, appid, claimant).await.unwrap()
            };
            assert_eq!(claim("p.1", generation, 20).await, Claim::Ours, "{table:?}");
            assert_eq!(claim("p.2", generation, 21).await, Claim::Taken, "{table:?}");
            assert_eq!(claim("p.2", generation + 1, 21).await, Claim::Newer, "{table:?}");
            desk.store.release(table, appid, "p.2").await.unwrap();
            assert_eq!(claim("p.2", generation, 22).await, Claim::Taken, "{table:?}: not its own");
            desk.store.release(table, appid, "p.1").await.unwrap();
            assert_eq!(claim("p.2", generation, 23).await, Claim::Ours, "{table:?}");
            desk.store.free_claims().await.unwrap();
            assert_eq!(claim("p.3", generation, 24).await, Claim::Ours, "{table:?}");
        }
        let nobody = Claimant { by: "p.1".to_owned(), generation: 0, now: at(20) };
        assert_eq!(desk.store.claim(ClaimTable::Component, "wxffffffffffffffff", nobody).await.unwrap(), Claim::Gone);
    }

    #[tokio::test]
    async fn a_refused_token_is_dropped_once_a_minute_and_only_if_it_is_still_there() {
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", AuthorizationEvent::Authorized, 10), at(11)).await.unwrap();
        desk.trade("a", tokens("one", &[33])).await;
        assert!(!desk.store.drop_token(APPID, 0, at(30)).await.unwrap(), "another one is there");
        assert!(desk.store.drop_token(APPID, 1, at(30)).await.unwrap());
        let claimant = Claimant { by: "us".to_owned(), generation: 1, now: at(31) };
        desk.store.claim(ClaimTable::Authorizer, APPID, claimant).await.unwrap();
        desk.store.put_tokens(APPID, 1, "us", tokens("two", &[33]), at(32)).await.unwrap();
        assert!(!desk.store.drop_token(APPID, 2, at(60)).await.unwrap(), "not twice in a minute");
        assert!(desk.store.drop_token(APPID, 2, at(91)).await.unwrap());
        assert_eq!(
            desk.store.killed_tokens(at(0), at(100)).await.unwrap(),
            (1, Some(APPID.to_owned())),
            "before its time"
        );
    }

    #[tokio::test]
    async fn a_forced_renewal_leaves_the_token_where_it_is_and_is_nobody_elses_doing() {
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", AuthorizationEvent::Authorized, 10), at(11)).await.unwrap();
        desk.trade("a", tokens("one", &[33])).await;
        assert!(!desk.store.force_renewal(APPID, 0, at(30)).await.unwrap(), "another one is there");
        assert!(desk.store.force_renewal(APPID, 1, at(30)).await.unwrap());
        let (_, life) = desk.row().await.token.unwrap();
        assert_eq!(life.renew_at, at(30));
        assert!(!desk.store.force_renewal(APPID, 1, at(60)).await.unwrap(), "not twice in a minute");
        assert!(!desk.store.drop_token(APPID, 1, at(60)).await.unwrap(), "in neither way");
        assert!(desk.store.force_renewal(APPID, 1, at(91)).await.unwrap());
        assert_eq!(desk.store.killed_tokens(at(0), at(100)).await.unwrap(), (0, None));
    }

    #[tokio::test]
    async fn a_refresh_token_that_is_lost_while_the_list_is_read_waits_for_the_next_list() {
        let desk = Desk::new().await;
        desk.store.receive_push(push("a", AuthorizationEvent::Authorized, 10), at(11)).await.unwrap();
        desk.trade("a", tokens("one", &[33])).await;
        let claimant = Claimant { by: "us".to_owned(), generation: 1, now: at(31) };
        desk.store.claim(ClaimTable::Authorizer, APPID, claimant).await.unwrap();
        let lost = RefreshRefused::RefreshTokenLost(Refusal { errcode: 61_023, errmsg: "lost".to_owned() });
        desk.store.refresh_refused(APPID, 1, "us", lost, at(32)).await.unwrap();
        assert!(desk.store.lacks_refresh_tokens().await.unwrap());
        assert_eq!(desk.store.give_up_lacking(at(31), at(33)).await.unwrap(), 0, "its page may have been read before");
        assert_eq!(desk.store.give_up_lacking(at(40), at(41)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_ticket_that_comes_late_replaces_no_newer_one_and_a_days_calls_are_counted() {
        let desk = Desk::new().await;
        let component = "wxcccccccccccccccc";
        desk.store.add_component(component, b"check".to_vec(), at(0)).await.unwrap();
        assert_eq!(desk.store.component(component).await.unwrap().unwrap().ticketless_since, Some(at(0)));
        assert!(desk.store.put_ticket(component, b"new".to_vec(), at(600), at(601)).await.unwrap());
        assert!(!desk.store.put_ticket(component, b"old".to_vec(), at(0), at(602)).await.unwrap());
        let row = desk.store.component(component).await.unwrap().unwrap();
        assert_eq!((row.ticket, row.ticket_at), (Some((b"new".to_vec(), at(600))), Some(at(602))));
        assert_eq!(row.ticketless_since, None);
        let count = async |now| desk.store.count_component_call(component, Counted::Call, 2, now).await.unwrap();
        assert_eq!((count(at(1)).await, count(at(2)).await, count(at(3)).await), (true, true, false));
        assert!(desk.store.count_component_call(component, Counted::Lookup, 2, at(4)).await.unwrap(), "counted apart");
        assert!(count(at(86_400)).await, "a new day");
    }
}
