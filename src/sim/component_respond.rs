//! One call of a third-party platform and its response on the wire, faults included. Pure.

use serde_json::{Value, json};

use super::{
    api_name::ComponentApi,
    component::ComponentCall,
    errcode,
    faults::FaultKind,
    respond::{Served, refusal, refused_before, sealed, spoil, verdict},
    world::World,
};

/// What came in.
pub(super) struct Asked<'r> {
    pub(super) api: ComponentApi,
    pub(super) is_post: bool,
    pub(super) token: &'r str,
    pub(super) body: &'r [u8],
}

/// Answers one call at `now` (milliseconds UTC).
pub(super) fn exchange(world: &mut World, asked: &Asked<'_>, now: i64) -> Served {
    *world.stats.component.entry(asked.api).or_default() += 1;
    if !asked.is_post {
        return verdict(world, errcode::POST_REQUIRED);
    }
    let fault = draw(world, asked.api, now);
    if let Some(kind) = fault
        && let Some(code) = refused_before(kind)
    {
        if matches!(kind, FaultKind::TokenExpired | FaultKind::TokenInvalid) {
            // Without a platform there is no token to kill.
            let _ = world.expire_component_tokens(now);
        }
        let delivered = !matches!(kind, FaultKind::ResetBefore | FaultKind::BadGateway);
        record(world, asked.api, None, code, delivered, fault, now);
        return refusal(world, kind, code);
    }
    let (authorizer, answer) = world.component_call(asked.api, asked.token, asked.body, now);
    let code = answer.as_ref().err().copied().unwrap_or(0);
    let served = spell(world, asked.api, answer);
    let (served, delivered) = match fault {
        Some(kind) => spoil(world, served, kind),
        None => (served, true),
    };
    record(world, asked.api, authorizer, code, delivered, fault, now);
    served
}

fn draw(world: &mut World, api: ComponentApi, now: i64) -> Option<FaultKind> {
    let call = world.component.as_mut()?.count(api);
    let kind = world.faults.draw_component(world.seed, api, call, now)?;
    *world.stats.faults.entry(kind).or_default() += 1;
    Some(kind)
}

/// A success of these calls carries no code, but for the one that says nothing else.
fn spell(world: &mut World, api: ComponentApi, answer: Result<Value, i64>) -> Served {
    match answer {
        Err(code) => verdict(world, code),
        Ok(mut body) => {
            if api == ComponentApi::StartPushTicket {
                body = json!({ "errcode": 0, "errmsg": "ok" });
            }
            world.stats.answered(0);
            sealed(world, body.to_string().into_bytes())
        }
    }
}

fn record(
    world: &mut World,
    api: ComponentApi,
    authorizer: Option<String>,
    errcode: i64,
    delivered: bool,
    fault: Option<FaultKind>,
    now: i64,
) {
    if let Some(component) = &mut world.component {
        component.record(ComponentCall { api, authorizer, at: now, errcode, delivered, fault });
    }
}
