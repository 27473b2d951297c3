//! Accounts and programs that authorized a third-party platform: their state, permissions, refresh tokens and codes.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    crypt::letters,
    errcode,
    secrets::{SecretKind, Secrets},
    switches::{AuthorizerOrder, RefreshRotation, Switches},
};

/// The permission set that the link calls need: 小程序关联管理.
pub(super) const LINK_PERMISSION: u32 = 33;

/// What an official account ticks unless it is said otherwise: messages, users, and the links of programs.
const ACCOUNT_FUNC_IDS: [u32; 5] = [1, 2, 3, 11, LINK_PERMISSION];

/// What a mini program ticks unless it is said otherwise.
const PROGRAM_FUNC_IDS: [u32; 5] = [17, 18, 19, 25, 30];

/// Random characters of a refresh token and of a code, about as many as real ones have.
const REFRESH_LETTERS: usize = 43;
const CODE_LETTERS: usize = 86;

/// What an authorizer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizerKind {
    /// An official account.
    #[default]
    Account,
    /// A mini program.
    Program,
}

/// Where an authorization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizerState {
    /// It holds.
    Authorized,
    /// It was taken back (61003).
    Unauthorized,
    /// The owner changed the password: tokens are dead until it is authorized again.
    PasswordChanged,
}

/// What `api_get_authorizer_list` says of a refresh token that the platform lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// The new one.
    #[default]
    Listed,
    /// An empty text: only a new authorization helps.
    Empty,
}

/// A refresh token that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RefreshToken {
    text: String,
    works_until: i64,
}

/// One account or program that authorized the platform, now or before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorizer {
    /// Its appid.
    pub appid: String,
    /// What it is.
    pub kind: AuthorizerKind,
    /// Where the authorization stands.
    pub state: AuthorizerState,
    /// The permission sets that were granted.
    pub func_ids: Vec<u32>,
    /// When it was authorized last, milliseconds UTC.
    pub auth_time: i64,
    /// What the list says of its refresh token.
    pub recovery: Recovery,
    #[serde(skip)]
    refresh: Vec<RefreshToken>,
}

/// An authorization code.
#[derive(Clone, Debug)]
struct Code {
    appid: String,
    expires_at: i64,
    is_used: bool,
}

/// What a refresh token and a code are made from.
pub(super) struct Mint<'m> {
    pub(super) seed: u64,
    pub(super) secrets: &'m mut Secrets,
}

impl Mint<'_> {
    /// A new secret such as `ticket@@@…`, fixed by the seed and its number.
    pub(super) fn make(&mut self, kind: SecretKind, prefix: &str, number: u64, length: usize) -> String {
        let text = format!("{prefix}{}", letters(self.seed, &[prefix, &number.to_string()], length));
        self.secrets.keep(kind, text)
    }
}

/// Everyone who authorized the platform, in the order in which they did so first.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorizers {
    all: Vec<Authorizer>,
    places: HashMap<String, usize>,
    codes: HashMap<String, Code>,
    refresh_made: u64,
}

impl Authorizers {
    pub(super) fn get(&self, appid: &str) -> Option<&Authorizer> {
        self.places.get(appid).map(|place| &self.all[*place])
    }

    fn get_mut(&mut self, appid: &str) -> Option<&mut Authorizer> {
        self.places.get(appid).map(|place| &mut self.all[*place])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Authorizer> {
        self.all.iter()
    }

    /// How often the platform was authorized.
    pub(super) fn grants(&self) -> u64 {
        self.codes.len() as u64
    }

    /// Authorizes, for the first time or again: every older refresh token is dead, and a code is made.
    pub(super) fn grant(
        &mut self,
        appid: &str,
        kind: AuthorizerKind,
        func_ids: Option<&[u32]>,
        lifetime: i64,
        mint: &mut Mint<'_>,
        now: i64,
    ) -> String {
        let place = *self.places.entry(appid.to_owned()).or_insert_with(|| {
            self.all.push(Authorizer::new(appid, kind));
            self.all.len() - 1
        });
        let known = &mut self.all[place];
        known.state = AuthorizerState::Authorized;
        known.auth_time = now;
        known.recovery = Recovery::Listed;
        if let Some(func_ids) = func_ids {
            known.func_ids = func_ids.to_vec();
        }
        self.renew_refresh(appid, now, mint);
        let number = self.grants() + 1;
        let code = mint.make(SecretKind::AuthorizationCode, "queryauthcode@@@", number, CODE_LETTERS);
        let expires_at = now.saturating_add(lifetime);
        self.codes.insert(code.clone(), Code { appid: appid.to_owned(), expires_at, is_used: false });
        code
    }

    /// Makes a new refresh token; those before it work until `old_until`.
    pub(super) fn renew_refresh(&mut self, appid: &str, old_until: i64, mint: &mut Mint<'_>) {
        self.refresh_made += 1;
        let text = mint.make(SecretKind::RefreshToken, "refreshtoken@@@", self.refresh_made, REFRESH_LETTERS);
        if let Some(known) = self.get_mut(appid) {
            for old in &mut known.refresh {
                old.works_until = old.works_until.min(old_until);
            }
            known.refresh.push(RefreshToken { text, works_until: i64::MAX });
        }
    }

    /// Takes the authorization away.
    pub(super) fn end(&mut self, appid: &str, state: AuthorizerState, now: i64) {
        if let Some(known) = self.get_mut(appid) {
            known.state = state;
            for old in &mut known.refresh {
                old.works_until = old.works_until.min(now);
            }
        }
    }

    pub(super) fn set_recovery(&mut self, appid: &str, recovery: Recovery) {
        if let Some(known) = self.get_mut(appid) {
            known.recovery = recovery;
        }
    }

    /// The account of a code, which is used up by this.
    pub(super) fn take_code(&mut self, code: &str, now: i64) -> Result<String, i64> {
        let known = self.codes.get_mut(code).filter(|known| !known.is_used).ok_or(errcode::CODE_INVALID)?;
        if now >= known.expires_at {
            return Err(errcode::CODE_EXPIRED);
        }
        let appid = known.appid.clone();
        known.is_used = true;
        let holds = self.get(&appid).is_some_and(|known| known.state == AuthorizerState::Authorized);
        if holds { Ok(appid) } else { Err(errcode::CODE_INVALID) }
    }

    /// Whether a refresh token may be used; what comes back is the one that a platform keeps from now on.
    pub(super) fn refresh(
        &mut self,
        appid: &str,
        refresh_token: &str,
        switches: &Switches,
        mint: &mut Mint<'_>,
        now: i64,
    ) -> Result<String, i64> {
        let known = self.get(appid).ok_or(errcode::NOT_AUTHORIZED)?;
        known.allowed(switches)?;
        let works = |token: &RefreshToken| token.text == refresh_token && now < token.works_until;
        if !known.refresh.iter().any(works) {
            return Err(errcode::REFRESH_INVALID);
        }
        match switches.refresh_token_rotates {
            RefreshRotation::Never => {}
            RefreshRotation::Each => self.renew_refresh(appid, now, mint),
            RefreshRotation::AfterGrace(grace) => {
                self.renew_refresh(appid, now.saturating_add(grace.as_millis()), mint);
            }
        }
        Ok(self.get(appid).map(Authorizer::refresh_token).unwrap_or_default().to_owned())
    }

    /// A page of the authorized, and how many there are in all.
    pub(super) fn page(&self, offset: usize, count: usize, order: AuthorizerOrder) -> (usize, Vec<&Authorizer>) {
        let listed = |known: &&Authorizer| known.state != AuthorizerState::Unauthorized;
        let total = self.all.iter().filter(listed).count();
        let page = match order {
            AuthorizerOrder::OldestFirst => self.all.iter().filter(listed).skip(offset).take(count).collect(),
            AuthorizerOrder::NewestFirst => self.all.iter().rev().filter(listed).skip(offset).take(count).collect(),
        };
        (total, page)
    }
}

impl Authorizer {
    fn new(appid: &str, kind: AuthorizerKind) -> Self {
        let func_ids = match kind {
            AuthorizerKind::Account => ACCOUNT_FUNC_IDS.to_vec(),
            AuthorizerKind::Program => PROGRAM_FUNC_IDS.to_vec(),
        };
        Self {
            appid: appid.to_owned(),
            kind,
            state: AuthorizerState::Authorized,
            func_ids,
            auth_time: 0,
            recovery: Recovery::Listed,
            refresh: Vec::new(),
        }
    }

    /// Whether calls for it may be made at all, or the code that they answer.
    pub(super) fn allowed(&self, switches: &Switches) -> Result<(), i64> {
        match self.state {
            AuthorizerState::Authorized => Ok(()),
            AuthorizerState::Unauthorized => Err(errcode::NOT_AUTHORIZED),
            AuthorizerState::PasswordChanged => Err(switches.password_changed),
        }
    }

    /// Whether its links may be read and changed. A program's token is the wrong kind, which answers elsewhere.
    pub(super) fn may_link(&self) -> bool {
        self.kind == AuthorizerKind::Program || self.func_ids.contains(&LINK_PERMISSION)
    }

    /// The newest refresh token, dead or not.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        self.refresh.last().map_or("", |token| &token.text)
    }

    /// What the list shows of it.
    pub(super) fn listed_refresh_token(&self, switches: &Switches) -> &str {
        if switches.list_hides_refresh || self.recovery == Recovery::Empty { "" } else { self.refresh_token() }
    }
}
