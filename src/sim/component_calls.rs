//! The platform's own calls on plain data, and what its authorizers' tokens may do. Without HTTP and faults.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    api_name::ComponentApi,
    authorizers::{Authorizer, AuthorizerKind, Mint},
    component::Component,
    errcode,
    listing::official_name,
    switches::AuthorizerInfoShape,
    token::{Renew, Token},
    world::World,
};

/// Authorizers on one page of the list.
const PAGE_MAX: usize = 500;

/// The fields of all bodies; each call has its own of them.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Body {
    component_appid: String,
    component_appsecret: String,
    component_secret: String,
    component_verify_ticket: String,
    authorization_code: String,
    authorizer_appid: String,
    authorizer_refresh_token: String,
    offset: usize,
    count: usize,
}

impl World {
    /// The account of an access token whose calls may be made at `now` (milliseconds UTC), or the code that they answer.
    ///
    /// # Errors
    ///
    /// `WeChat`'s errcode.
    pub fn account_of<'t>(&self, token: &'t str, now: i64) -> Result<&'t str, i64> {
        let (account, serial) = self.tokens.made_for(self.seed, token)?;
        // Without authorization every token of the account answers the same, dead or not.
        let authorizer = self.authorization(account)?;
        self.tokens.works(account, serial, now)?;
        if authorizer.is_none_or(Authorizer::may_link) { Ok(account) } else { Err(errcode::NO_PERMISSION) }
    }

    /// The account that a token was made for, dead or not.
    pub(super) fn account_named_by(&self, token: &str) -> Option<String> {
        self.tokens.made_for(self.seed, token).ok().map(|(account, _)| account.to_owned())
    }

    /// Whether an account may be called, as far as the platform goes: an account that nobody described is made up, in a
    /// strict world it is not authorized.
    pub(super) fn authorization(&self, account: &str) -> Result<Option<&Authorizer>, i64> {
        let Some(component) = &self.component else { return Ok(None) };
        match component.authorizer(account) {
            Some(known) => known.allowed(&self.switches).map(|()| Some(known)),
            None if self.switches.strict => Err(errcode::NOT_AUTHORIZED),
            None => Ok(None),
        }
    }

    /// One call of the platform, and the authorizer that its body names.
    pub(super) fn component_call(
        &mut self,
        api: ComponentApi,
        token: &str,
        body: &[u8],
        now: i64,
    ) -> (Option<String>, Result<Value, i64>) {
        let body = match parsed(body) {
            Ok(body) => body,
            Err(code) => return (None, Err(code)),
        };
        let named = Some(body.authorizer_appid.clone()).filter(|appid| !appid.is_empty());
        (named, self.component_verdict(api, token, &body, now))
    }

    fn component_verdict(&mut self, api: ComponentApi, token: &str, body: &Body, now: i64) -> Result<Value, i64> {
        let is_anothers =
            self.accounts.contains_key(&body.component_appid) || self.programs.contains_key(&body.component_appid);
        let unknown = if is_anothers { errcode::NO_COMPONENT } else { errcode::PROGRAM_UNKNOWN };
        let component = self.component.as_mut().ok_or(errcode::NO_COMPONENT)?;
        if api.takes_token() {
            component.token_works(token, &self.switches, now)?;
        }
        if body.component_appid != component.appid {
            return Err(unknown);
        }
        let day = now.saturating_sub(self.switches.day_rolls_late_by.as_millis());
        component.take_quota(api, day, self.quotas.component_calls_per_day)?;
        match api {
            ComponentApi::StartPushTicket => self.start_push_ticket(body, now),
            ComponentApi::ComponentToken => self.component_token(body, now),
            ComponentApi::QueryAuth => self.query_auth(body, now),
            ComponentApi::AuthorizerToken => self.authorizer_token(body, now),
            ComponentApi::AuthorizerList => self.authorizer_list(body),
            ComponentApi::AuthorizerInfo => self.authorizer_info(body),
        }
    }

    fn the_component(&mut self) -> Result<&mut Component, i64> {
        self.component.as_mut().ok_or(errcode::NO_COMPONENT)
    }

    fn start_push_ticket(&mut self, body: &Body, now: i64) -> Result<Value, i64> {
        let component = self.the_component()?;
        if body.component_secret != component.secret {
            return Err(errcode::SECRET_WRONG);
        }
        component.start_tickets(now);
        Ok(json!({}))
    }

    fn component_token(&mut self, body: &Body, now: i64) -> Result<Value, i64> {
        let component = self.component.as_mut().ok_or(errcode::NO_COMPONENT)?;
        if body.component_appsecret != component.secret {
            return Err(errcode::SECRET_WRONG);
        }
        component.ticket_works(&body.component_verify_ticket, &self.switches, now)?;
        let token = component.issue_token(self.seed, &self.switches, now);
        Ok(json!({ "component_access_token": token, "expires_in": self.switches.token_lifetime.as_millis() / 1_000 }))
    }

    fn query_auth(&mut self, body: &Body, now: i64) -> Result<Value, i64> {
        let appid = self.the_component()?.authorizers.take_code(&body.authorization_code, now)?;
        let token = self.renewed(&appid, now);
        let known = self.the_component()?.authorizer(&appid).ok_or(errcode::CODE_INVALID)?;
        Ok(json!({
            "authorization_info": {
                "authorizer_appid": appid,
                "authorizer_access_token": token.text,
                "expires_in": token.expires_in,
                "authorizer_refresh_token": known.refresh_token(),
                "func_info": func_info(known),
            }
        }))
    }

    fn authorizer_token(&mut self, body: &Body, now: i64) -> Result<Value, i64> {
        if body.authorizer_appid.is_empty() {
            return Err(errcode::PROGRAM_UNKNOWN);
        }
        let component = self.component.as_mut().ok_or(errcode::NO_COMPONENT)?;
        let mut mint = Mint { seed: self.seed, secrets: &mut component.secrets };
        let (appid, refresh_token) = (&body.authorizer_appid, &body.authorizer_refresh_token);
        let refresh_token = component.authorizers.refresh(appid, refresh_token, &self.switches, &mut mint, now)?;
        let token = self.renewed(&body.authorizer_appid, now);
        Ok(json!({
            "authorizer_access_token": token.text,
            "expires_in": token.expires_in,
            "authorizer_refresh_token": refresh_token,
        }))
    }

    fn renewed(&mut self, appid: &str, now: i64) -> Token {
        self.tokens.give(self.seed, appid, Renew::ByPlatform, &self.switches, now)
    }

    fn authorizer_list(&mut self, body: &Body) -> Result<Value, i64> {
        if body.count == 0 || body.count > PAGE_MAX {
            return Err(errcode::ARGUMENT_WRONG);
        }
        let component = self.component.as_ref().ok_or(errcode::NO_COMPONENT)?;
        let (total, page) = component.authorizers.page(body.offset, body.count, self.switches.list_order);
        let list: Vec<Value> = page
            .into_iter()
            .map(|known| {
                json!({
                    "authorizer_appid": known.appid,
                    "refresh_token": known.listed_refresh_token(&self.switches),
                    "auth_time": known.auth_time.div_euclid(1_000),
                })
            })
            .collect();
        Ok(json!({ "total_count": total, "list": list }))
    }

    fn authorizer_info(&mut self, body: &Body) -> Result<Value, i64> {
        let component = self.component.as_ref().ok_or(errcode::NO_COMPONENT)?;
        let known = component.authorizer(&body.authorizer_appid).ok_or(errcode::NOT_AUTHORIZED)?;
        known.allowed(&self.switches)?;
        let mut authorization = json!({ "func_info": func_info(known) });
        let qrcode_url = format!("http://sim.invalid/qrcode/{}.jpg", known.appid);
        let mut info = self.described(known);
        let mut answer = json!({});
        match self.switches.authorizer_info {
            AuthorizerInfoShape::New => {
                authorization["authorizer_appid"] = json!(known.appid);
                if !known.listed_refresh_token(&self.switches).is_empty() {
                    authorization["authorizer_refresh_token"] = json!(known.refresh_token());
                }
                info["qrcode_url"] = json!(qrcode_url);
            }
            AuthorizerInfoShape::Old => {
                authorization["appid"] = json!(known.appid);
                answer["qrcode_url"] = json!(qrcode_url);
            }
        }
        answer["authorizer_info"] = info;
        answer["authorization_info"] = authorization;
        Ok(answer)
    }

    /// `authorizer_info`: who it is.
    fn described(&self, known: &Authorizer) -> Value {
        let of_program = self.programs.get(&known.appid).filter(|_| known.kind == AuthorizerKind::Program);
        let (user_name, nick_name) = match of_program {
            Some(program) => (program.username.clone(), program.nickname.clone()),
            None => official_name(self.seed, &known.appid),
        };
        let mut info = json!({
            "nick_name": nick_name,
            "head_img": format!("http://sim.invalid/head/{user_name}.png"),
            "service_type_info": { "id": if known.kind == AuthorizerKind::Program { 0 } else { 2 } },
            "verify_type_info": { "id": 0 },
            "user_name": user_name,
            "principal_name": "个人",
            "alias": "",
            "business_info": { "open_pay": 0, "open_shake": 0, "open_scan": 0, "open_card": 0, "open_store": 0 },
            "account_status": 1,
        });
        if known.kind == AuthorizerKind::Program {
            info["MiniProgramInfo"] = json!({ "network": {}, "categories": [], "visit_status": 0 });
        }
        info
    }
}

/// The granted permission sets. As in real answers, only some have a `confirm_info`.
fn func_info(known: &Authorizer) -> Vec<Value> {
    let entry = |id: &u32| {
        let mut entry = Map::new();
        entry.insert("funcscope_category".to_owned(), json!({ "id": id }));
        if id % 2 == 1 {
            let confirm = json!({ "need_confirm": 0, "already_confirm": 0, "can_confirm": 0 });
            entry.insert("confirm_info".to_owned(), confirm);
        }
        Value::Object(entry)
    };
    known.func_ids.iter().map(entry).collect()
}

fn parsed(body: &[u8]) -> Result<Body, i64> {
    if body.is_empty() {
        return Err(errcode::BODY_EMPTY);
    }
    serde_json::from_slice(body).map_err(|_| errcode::BODY_NO_JSON)
}
