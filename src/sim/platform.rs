//! What happens around a third-party platform: it is set up, accounts authorize it and take that back, pushes are held,
//! sent again and spoilt.

use serde::{Deserialize, Serialize};

use super::{
    authorizers::{AuthorizerKind, AuthorizerState, Mint, Recovery},
    component::{BadSetup, Component, ComponentSetup, check_url},
    crypt::PushKeys,
    push::{Push, PushAnswer, Spoil},
    pushes::{Outgoing, Resend},
    secrets::{Secret, SecretKind},
    span::Span,
    world::World,
};

/// Copies of one push that may be asked for: enough for any crowd, and few enough to be held in memory.
const COPIES_MAX: u32 = 1_000;

/// Random characters of a `pre_auth_code`.
const PRE_AUTH_LETTERS: usize = 64;

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Nobody set a platform up.
    #[error("there is no third-party platform: POST /_sim/component first")]
    NoComponent,
    /// It stands already.
    #[error("{0} has authorized the platform already: reauthorize it")]
    Authorized(String),
    /// It does not stand.
    #[error("{0} has not authorized the platform")]
    NotAuthorized(String),
    /// The number is unknown, or the push is forgotten.
    #[error("there is no push {0}")]
    NoSuchPush(u64),
    /// Without a URL there is nothing to push.
    #[error("the platform has no URL to push to: name one as push_to")]
    NoUrl,
    /// See [`BadSetup`].
    #[error(transparent)]
    BadSetup(#[from] BadSetup),
}

/// What is pushed by hand: an earlier push again, a new ticket, or anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushAsk {
    /// The number of an earlier push, which is sent again with the same `Encrypt`.
    pub id: Option<u64>,
    /// Otherwise what is pushed; absent: a new ticket.
    pub info_type: Option<String>,
    /// The account it is about.
    pub account: Option<String>,
    /// When, from now.
    pub delay: Span,
    /// How many copies; absent: one.
    pub times: Option<u32>,
    /// Whether the copies go out at once.
    pub at_once: bool,
    /// How it is spoilt.
    pub spoil: Option<Spoil>,
    /// Where to; absent: where all pushes go.
    pub to: Option<String>,
    /// The generation of keys, from 0; absent: the newest, or the push's own.
    pub keys: Option<usize>,
}

impl World {
    /// Sets a third-party platform up, or changes what is named. With another appid a new platform begins.
    ///
    /// # Errors
    ///
    /// The key or the URL is none; nothing was changed.
    pub fn set_component(&mut self, setup: &ComponentSetup, now: i64) -> Result<(), BadSetup> {
        let is_same = |known: &&mut Component| setup.appid.as_ref().is_none_or(|appid| *appid == known.appid);
        if let Some(known) = self.component.as_mut().filter(is_same) {
            return known.update(setup);
        }
        self.component = Some(Component::new(self.seed, setup, now)?);
        Ok(())
    }

    /// The third-party platform, if one was set up.
    #[must_use]
    pub fn component(&self) -> Option<&Component> {
        self.component.as_ref()
    }

    fn component_mut(&mut self) -> Result<&mut Component, PlatformError> {
        self.component.as_mut().ok_or(PlatformError::NoComponent)
    }

    /// An account or program authorizes the platform: the code is pushed with `authorized`, and comes back here. Without
    /// `func_ids` it grants what its kind usually does, permission set 33 of an account among it.
    ///
    /// # Errors
    ///
    /// It has done so already, or there is no platform.
    pub fn authorize(
        &mut self,
        appid: &str,
        kind: AuthorizerKind,
        func_ids: Option<&[u32]>,
        now: i64,
    ) -> Result<String, PlatformError> {
        let stands = |state| state != AuthorizerState::Unauthorized;
        if self.component_mut()?.authorizer(appid).is_some_and(|known| stands(known.state)) {
            return Err(PlatformError::Authorized(appid.to_owned()));
        }
        match kind {
            AuthorizerKind::Account => drop(self.account(appid).owner.clone()),
            AuthorizerKind::Program => drop(self.program(appid).owner.clone()),
        }
        self.grant("authorized", appid, kind, func_ids, now)
    }

    /// The owner authorizes again, with other permission sets if some are named: the tokens before it are dead at once,
    /// and `updateauthorized` is pushed.
    ///
    /// # Errors
    ///
    /// It has not authorized the platform, or there is none.
    pub fn reauthorize(&mut self, appid: &str, func_ids: Option<&[u32]>, now: i64) -> Result<String, PlatformError> {
        let kind = self.standing(appid)?;
        self.grant("updateauthorized", appid, kind, func_ids, now)
    }

    /// The owner takes the authorization back: calls answer 61003 from now on, and `unauthorized` is pushed.
    ///
    /// # Errors
    ///
    /// It has not authorized the platform, or there is none.
    pub fn revoke(&mut self, appid: &str, now: i64) -> Result<(), PlatformError> {
        self.standing(appid)?;
        self.tokens.supersede(appid, now);
        let switches = self.switches.clone();
        let component = self.component_mut()?;
        component.authorizers.end(appid, AuthorizerState::Unauthorized, now);
        let field = ("AuthorizerAppid", appid.to_owned());
        component.plan("unauthorized", Some(appid), vec![field], &switches, now);
        Ok(())
    }

    /// The owner changes the password: its tokens are dead until it authorizes again, and nothing is pushed.
    ///
    /// # Errors
    ///
    /// It has not authorized the platform, or there is none.
    pub fn change_password(&mut self, appid: &str, now: i64) -> Result<(), PlatformError> {
        self.standing(appid)?;
        self.tokens.supersede(appid, now);
        self.component_mut()?.authorizers.end(appid, AuthorizerState::PasswordChanged, now);
        Ok(())
    }

    /// The refresh token that the platform has is wrong from now on (61023), while its access token works on.
    ///
    /// # Errors
    ///
    /// It has not authorized the platform, or there is none.
    pub fn forget_refresh(&mut self, appid: &str, recovery: Recovery, now: i64) -> Result<(), PlatformError> {
        self.standing(appid)?;
        let seed = self.seed;
        let component = self.component_mut()?;
        let mut mint = Mint { seed, secrets: &mut component.secrets };
        component.authorizers.renew_refresh(appid, now, &mut mint);
        component.authorizers.set_recovery(appid, recovery);
        Ok(())
    }

    /// What an authorizer is whose authorization stands.
    fn standing(&mut self, appid: &str) -> Result<AuthorizerKind, PlatformError> {
        let known = self.component_mut()?.authorizer(appid);
        let stands = known.filter(|known| known.state != AuthorizerState::Unauthorized);
        stands.map(|known| known.kind).ok_or_else(|| PlatformError::NotAuthorized(appid.to_owned()))
    }

    fn grant(
        &mut self,
        info_type: &str,
        appid: &str,
        kind: AuthorizerKind,
        func_ids: Option<&[u32]>,
        now: i64,
    ) -> Result<String, PlatformError> {
        self.tokens.supersede(appid, now);
        let (seed, switches) = (self.seed, self.switches.clone());
        let component = self.component_mut()?;
        let mut mint = Mint { seed, secrets: &mut component.secrets };
        let lifetime = switches.code_lifetime.as_millis();
        let code = component.authorizers.grant(appid, kind, func_ids, lifetime, &mut mint, now);
        let number = component.authorizers.grants();
        let pre_auth_code = mint.make(SecretKind::PreAuthCode, "preauthcode@@@", number, PRE_AUTH_LETTERS);
        let expires = now.saturating_add(lifetime).div_euclid(1_000);
        let fields = vec![
            ("AuthorizerAppid", appid.to_owned()),
            ("AuthorizationCode", code.clone()),
            ("AuthorizationCodeExpiredTime", expires.to_string()),
            ("PreAuthCode", pre_auth_code),
        ];
        component.plan(info_type, Some(appid), fields, &switches, now);
        Ok(code)
    }

    /// Pushes by hand; the push's number comes back.
    ///
    /// # Errors
    ///
    /// There is no platform, no such push, or no URL to push to.
    pub fn push(&mut self, ask: &PushAsk, now: i64) -> Result<u64, PlatformError> {
        ask.to.iter().try_for_each(|url| check_url(url))?;
        let (seed, switches) = (self.seed, self.switches.clone());
        let component = self.component_mut()?;
        let id = match (ask.id, &ask.info_type) {
            (Some(id), _) => id,
            (None, None) => component.make_ticket(seed, &switches, now).ok_or(PlatformError::NoUrl)?,
            (None, Some(info_type)) => {
                let fields = ask.account.iter().map(|appid| ("AuthorizerAppid", appid.clone())).collect();
                let planned = component.plan(info_type, ask.account.as_deref(), fields, &switches, now);
                planned.ok_or(PlatformError::NoUrl)?
            }
        };
        let resend = Resend {
            due: now.saturating_add(ask.delay.as_millis()),
            to: ask.to.clone(),
            times: ask.times.unwrap_or(1).min(COPIES_MAX),
            at_once: ask.at_once,
            spoil: ask.spoil,
            keys: ask.keys.map(|keys| keys.min(component.generations() - 1)),
        };
        if component.pushes.resend(id, resend) { Ok(id) } else { Err(PlatformError::NoSuchPush(id)) }
    }

    /// Nothing is pushed any more until [`Self::release_pushes`].
    ///
    /// # Errors
    ///
    /// There is no platform.
    pub fn hold_pushes(&mut self) -> Result<(), PlatformError> {
        self.component_mut()?.pushes.hold();
        Ok(())
    }

    /// What was held goes out, in the order of the switch.
    ///
    /// # Errors
    ///
    /// There is no platform.
    pub fn release_pushes(&mut self) -> Result<(), PlatformError> {
        self.component_mut()?.pushes.release();
        Ok(())
    }

    /// What has not gone out is lost; how many pushes that were comes back.
    ///
    /// # Errors
    ///
    /// There is no platform.
    pub fn drop_pushes(&mut self) -> Result<usize, PlatformError> {
        Ok(self.component_mut()?.pushes.drop_planned())
    }

    /// The callback gets another token and key; pushes that were made before keep theirs.
    ///
    /// # Errors
    ///
    /// There is no platform.
    pub fn rotate_key(&mut self) -> Result<PushKeys, PlatformError> {
        let seed = self.seed;
        let component = self.component_mut()?;
        component.add_keys(PushKeys::made_up(seed, component.generations()));
        Ok(component.keys().clone())
    }

    /// Kills the platform's own tokens at once.
    ///
    /// # Errors
    ///
    /// There is no platform.
    pub fn expire_component_tokens(&mut self, now: i64) -> Result<(), PlatformError> {
        self.component_mut()?.expire_tokens(now);
        Ok(())
    }

    /// Every secret that was ever made, so that outputs can be searched for them.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let of_platform = self.component.iter().flat_map(Component::secrets).cloned();
        let tokens = self.tokens.all(self.seed).map(|text| Secret { kind: SecretKind::AccessToken, text });
        of_platform.chain(tokens).collect()
    }

    pub(super) fn advance_component(&mut self, now: i64) {
        if let Some(component) = &mut self.component {
            component.advance(self.seed, &self.switches, now);
        }
    }

    /// What is to be posted now; whoever takes it posts it.
    pub(super) fn take_outgoing(&mut self, now: i64) -> Vec<Outgoing> {
        self.advance_component(now);
        self.component.as_mut().map(|component| component.pushes.take_outgoing()).unwrap_or_default()
    }

    /// How many requests are to be posted now.
    pub(super) fn outgoing(&mut self, now: i64) -> usize {
        self.advance_component(now);
        self.component.as_ref().map_or(0, |component| component.pushes.outgoing())
    }

    pub(super) fn push_answered(&mut self, push: u64, answer: PushAnswer) -> Option<Push> {
        let component = self.component.as_mut()?;
        component.pushes.answered(push, answer, &self.switches);
        component.pushes.iter().rev().find(|known| known.id == push).cloned()
    }
}
