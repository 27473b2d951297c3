//! A third-party platform as WeChat keeps it: appid, secret, tickets, component tokens, and what it used of its quota.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    api_name::ComponentApi,
    authorizers::{Authorizer, Authorizers, Mint},
    chance,
    crypt::{NotAKey, PushKeys},
    errcode,
    faults::FaultKind,
    push::Field,
    pushes::{Plan, Pushes},
    quota::{day, reached},
    secrets::{Secret, SecretKind, Secrets},
    switches::Switches,
};

/// Tickets made in one step. A clock that jumped further finds the older ones expired anyway.
const TICKETS_AT_ONCE_MAX: i64 = 1_000;

/// Calls kept for who wants to count them; beyond it the oldest go.
const CALLS_MAX: usize = 100_000;

/// Random characters of a ticket, as many as real ones have.
const TICKET_LETTERS: usize = 86;

/// What a platform is set up with. What is absent is made up from the seed, or stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComponentSetup {
    /// Its appid.
    pub appid: Option<String>,
    /// Its `AppSecret`.
    pub secret: Option<String>,
    /// The callback's token and `EncodingAESKey`.
    pub keys: Option<PushKeys>,
    /// The URL that WeChat pushes to; without one nothing is pushed.
    pub push_to: Option<String>,
    /// Whether pushes wait for [`super::Sim::deliver_pushes`] instead of going out by themselves.
    pub by_hand: Option<bool>,
    /// Whether tickets are made at once; otherwise from the first `api_start_push_ticket`.
    pub tickets: Option<bool>,
}

/// A setup that cannot be. The key is not repeated here, because it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetup {
    /// The key is none.
    #[error("keys: {0}")]
    Key(#[from] NotAKey),
    /// The appid is none.
    #[error("{0:?} is no appid: wx and 16 lower-case letters or digits")]
    Appid(String),
    /// The address is none.
    #[error("{0:?} is no URL to push to: http:// or https://, and a host")]
    Url(String),
}

impl ComponentSetup {
    fn check(&self) -> Result<(), BadSetup> {
        if let Some(keys) = &self.keys {
            keys.aes_key()?;
        }
        self.appid.iter().try_for_each(|appid| check_appid(appid))?;
        self.push_to.iter().filter(|url| !url.is_empty()).try_for_each(|url| check_url(url))
    }
}

fn check_appid(appid: &str) -> Result<(), BadSetup> {
    let is_word =
        |word: &str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    if appid.strip_prefix("wx").is_some_and(is_word) { Ok(()) } else { Err(BadSetup::Appid(appid.to_owned())) }
}

pub(super) fn check_url(url: &str) -> Result<(), BadSetup> {
    let is_http = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if url.parse().is_ok_and(|url| is_http(&url)) { Ok(()) } else { Err(BadSetup::Url(url.to_owned())) }
}

/// One call of the platform's own APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentCall {
    /// Which call.
    pub api: ComponentApi,
    /// The account that the body named, where one is named.
    pub authorizer: Option<String>,
    /// Milliseconds UTC on the simulator's time.
    pub at: i64,
    /// The verdict; with a lost or spoilt answer the one the caller never read.
    pub errcode: i64,
    /// Whether the caller could read the verdict.
    pub delivered: bool,
    /// The fault that met the call.
    pub fault: Option<FaultKind>,
}

/// What a component token is and until when it works.
#[derive(Clone, Debug)]
struct ComponentToken {
    text: String,
    expires_at: i64,
    replaced_at: i64,
}

/// Calls of one API: of all time, and of the day they were last made.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    total: u64,
    day: i64,
    today: u32,
}

/// The third-party platform.
#[derive(Clone, Debug)]
pub struct Component {
    pub(super) appid: String,
    pub(super) secret: String,
    pub(super) push_to: Option<String>,
    pub(super) by_hand: bool,
    pub(super) authorizers: Authorizers,
    pub(super) pushes: Pushes,
    pub(super) secrets: Secrets,
    keys: Vec<PushKeys>,
    tickets: Vec<(String, i64)>,
    next_ticket: Option<i64>,
    tokens: Vec<ComponentToken>,
    used: BTreeMap<ComponentApi, Used>,
    calls: VecDeque<ComponentCall>,
}

impl Component {
    pub(super) fn new(seed: u64, setup: &ComponentSetup, now: i64) -> Result<Self, BadSetup> {
        setup.check()?;
        let number = chance::fixed(seed, &["component"]);
        let mut component = Self {
            appid: setup.appid.clone().unwrap_or_else(|| format!("wx{number:016x}")),
            secret: String::new(),
            push_to: None,
            by_hand: false,
            authorizers: Authorizers::default(),
            pushes: Pushes::default(),
            secrets: Secrets::default(),
            keys: Vec::new(),
            tickets: Vec::new(),
            next_ticket: setup.tickets.unwrap_or(true).then_some(now),
            tokens: Vec::new(),
            used: BTreeMap::new(),
            calls: VecDeque::new(),
        };
        component.add_keys(setup.keys.clone().unwrap_or_else(|| PushKeys::made_up(seed, 0)));
        let half = |name| chance::fixed(seed, &["component", "secret", name]);
        component.set_secret(format!("{:016x}{:016x}", half("high"), half("low")));
        component.update(&ComponentSetup { keys: None, ..setup.clone() })?;
        Ok(component)
    }

    /// Takes what is named; new keys replace the old ones for what is pushed from now on.
    pub(super) fn update(&mut self, setup: &ComponentSetup) -> Result<(), BadSetup> {
        setup.check()?;
        if let Some(keys) = &setup.keys {
            self.add_keys(keys.clone());
        }
        if let Some(secret) = &setup.secret {
            self.set_secret(secret.clone());
        }
        if let Some(url) = &setup.push_to {
            self.push_to = Some(url.clone()).filter(|url| !url.is_empty());
        }
        self.by_hand = setup.by_hand.unwrap_or(self.by_hand);
        Ok(())
    }

    /// The platform's appid.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.appid
    }

    /// Its `AppSecret`.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Where its pushes go.
    #[must_use]
    pub fn push_to(&self) -> Option<&str> {
        self.push_to.as_deref()
    }

    /// The keys that pushes are made with now.
    #[must_use]
    pub fn keys(&self) -> &PushKeys {
        // A component begins with keys, and they only grow in number.
        &self.keys[self.keys.len() - 1]
    }

    /// The newest ticket and when it was made, milliseconds UTC.
    #[must_use]
    pub fn ticket(&self) -> Option<(&str, i64)> {
        self.tickets.last().map(|(text, made)| (text.as_str(), *made))
    }

    /// An account or program that authorized it, now or before.
    #[must_use]
    pub fn authorizer(&self, appid: &str) -> Option<&Authorizer> {
        self.authorizers.get(appid)
    }

    /// Everyone who authorized it, now or before.
    pub fn authorizers(&self) -> impl Iterator<Item = &Authorizer> {
        self.authorizers.iter()
    }

    /// Every push that was planned, the newest last.
    pub fn pushes(&self) -> impl Iterator<Item = &super::Push> {
        self.pushes.iter()
    }

    /// Every call of its own APIs, the newest last.
    pub fn calls(&self) -> impl Iterator<Item = &ComponentCall> {
        self.calls.iter()
    }

    /// How many calls of one API were made, refused ones too.
    #[must_use]
    pub fn called(&self, api: ComponentApi) -> u64 {
        self.used.get(&api).map_or(0, |used| used.total)
    }

    /// Secrets in the order they were made, but for access tokens of accounts.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter()
    }

    pub(super) fn generations(&self) -> usize {
        self.keys.len()
    }

    /// Takes keys that were checked.
    pub(super) fn add_keys(&mut self, keys: PushKeys) {
        self.secrets.keep(SecretKind::PushToken, keys.token.clone());
        self.secrets.keep(SecretKind::EncodingAesKey, keys.encoding_aes_key.clone());
        self.keys.push(keys);
    }

    fn set_secret(&mut self, secret: String) {
        self.secret = self.secrets.keep(SecretKind::ComponentSecret, secret);
    }

    /// Everything that happens by itself until `now`: tickets are made, pushes that are due are written.
    pub(super) fn advance(&mut self, seed: u64, switches: &Switches, now: i64) {
        let every = switches.ticket_every.as_millis().max(1_000);
        if let Some(due) = self.next_ticket {
            let missed = now.saturating_sub(due).div_euclid(every).saturating_sub(TICKETS_AT_ONCE_MAX);
            self.next_ticket = Some(due.saturating_add(missed.max(0).saturating_mul(every)));
        }
        while let Some(due) = self.next_ticket.filter(|due| *due <= now) {
            self.make_ticket(seed, switches, due);
            self.next_ticket = Some(due.saturating_add(every));
        }
        self.pushes.emit(seed, &self.appid, &self.keys, switches, now);
    }

    /// Makes a ticket and plans its push, whose number comes back unless there is nowhere to push to.
    pub(super) fn make_ticket(&mut self, seed: u64, switches: &Switches, now: i64) -> Option<u64> {
        let number = self.tickets.len() as u64 + 1;
        let mut mint = Mint { seed, secrets: &mut self.secrets };
        let ticket = mint.make(SecretKind::Ticket, "ticket@@@", number, TICKET_LETTERS);
        self.tickets.push((ticket.clone(), now));
        self.plan("component_verify_ticket", None, vec![("ComponentVerifyTicket", ticket)], switches, now)
    }

    /// Plans a push to the platform's URL, if it has one.
    pub(super) fn plan(
        &mut self,
        info_type: &str,
        account: Option<&str>,
        fields: Vec<Field>,
        switches: &Switches,
        now: i64,
    ) -> Option<u64> {
        let plan = Plan {
            info_type: info_type.to_owned(),
            account: account.map(str::to_owned),
            fields,
            to: self.push_to.clone()?,
            due: now.saturating_add(switches.push_delay.as_millis()),
            times: if switches.push_twice { 2 } else { 1 },
            keys: self.keys.len() - 1,
        };
        Some(self.pushes.plan(plan, now))
    }

    /// Begins to make tickets, unless that has begun.
    pub(super) fn start_tickets(&mut self, now: i64) {
        self.next_ticket.get_or_insert(now);
    }

    /// Whether a ticket is taken, or the code that it answers.
    pub(super) fn ticket_works(&self, ticket: &str, switches: &Switches, now: i64) -> Result<(), i64> {
        let (_, made) = self.tickets.iter().rfind(|(text, _)| text == ticket).ok_or(errcode::TICKET_INVALID)?;
        let until = made.saturating_add(switches.ticket_lifetime.as_millis());
        if now < until { Ok(()) } else { Err(errcode::TICKET_EXPIRED) }
    }

    /// A new component token; the one before it works for the grace.
    pub(super) fn issue_token(&mut self, seed: u64, switches: &Switches, now: i64) -> String {
        let grace = now.saturating_add(switches.token_grace.as_millis());
        if let Some(last) = self.tokens.last_mut() {
            last.replaced_at = last.replaced_at.min(grace);
        }
        let number = self.tokens.len() as u64 + 1;
        let mut mint = Mint { seed, secrets: &mut self.secrets };
        let text = mint.make(SecretKind::ComponentToken, "", number, switches.token_length.max(TICKET_LETTERS));
        let expires_at = now.saturating_add(switches.token_lifetime.as_millis());
        self.tokens.push(ComponentToken { text: text.clone(), expires_at, replaced_at: i64::MAX });
        text
    }

    /// Whether a component token works, or the code that it answers.
    pub(super) fn token_works(&self, token: &str, switches: &Switches, now: i64) -> Result<(), i64> {
        if token.is_empty() {
            return Err(errcode::TOKEN_MISSING);
        }
        let known = self.tokens.iter().rfind(|known| known.text == token).ok_or(errcode::TOKEN_MADE_UP)?;
        if now >= known.replaced_at {
            return Err(errcode::TOKEN_INVALID);
        }
        if now < known.expires_at { Ok(()) } else { Err(switches.component_token_expired) }
    }

    /// Kills every component token at once.
    pub(super) fn expire_tokens(&mut self, now: i64) {
        for token in &mut self.tokens {
            token.expires_at = token.expires_at.min(now);
        }
    }

    /// Counts a call, whose luck depends on its number.
    pub(super) fn count(&mut self, api: ComponentApi) -> u64 {
        let used = self.used.entry(api).or_default();
        used.total += 1;
        used.total
    }

    /// Takes a call from the day's quota, unless that is used up.
    pub(super) fn take_quota(&mut self, api: ComponentApi, now: i64, limit: Option<u32>) -> Result<(), i64> {
        let used = self.used.entry(api).or_default();
        if used.day != day(now) {
            (used.day, used.today) = (day(now), 0);
        }
        if reached(used.today, limit) {
            return Err(errcode::DAILY_QUOTA);
        }
        used.today += 1;
        Ok(())
    }

    pub(super) fn record(&mut self, call: ComponentCall) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}
