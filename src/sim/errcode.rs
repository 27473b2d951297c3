//! The codes the simulator returns, with the platform's texts.

pub(super) const BUSY: i64 = -1;
pub(super) const TOO_MANY_CYCLES: i64 = 1005;
pub(super) const TOKEN_INVALID: i64 = 40001;
pub(super) const PROGRAM_UNKNOWN: i64 = 40013;
pub(super) const TOKEN_MADE_UP: i64 = 40014;
pub(super) const ARGUMENT_WRONG: i64 = 40097;
pub(super) const SECRET_WRONG: i64 = 40125;
pub(super) const TOKEN_MISSING: i64 = 41001;
pub(super) const TOKEN_EXPIRED: i64 = 42001;
pub(super) const PASSWORD_CHANGED: i64 = 42007;
pub(super) const POST_REQUIRED: i64 = 43002;
pub(super) const BODY_EMPTY: i64 = 44002;
pub(super) const DAILY_QUOTA: i64 = 45009;
pub(super) const TOO_FAST: i64 = 45011;
pub(super) const BODY_NO_JSON: i64 = 47001;
pub(super) const API_UNAUTHORIZED: i64 = 48001;
pub(super) const NOT_AUTHORIZED: i64 = 61003;
pub(super) const IP_REFUSED: i64 = 61004;
pub(super) const TICKET_EXPIRED: i64 = 61005;
pub(super) const TICKET_INVALID: i64 = 61006;
pub(super) const NO_PERMISSION: i64 = 61007;
pub(super) const CODE_INVALID: i64 = 61009;
pub(super) const CODE_EXPIRED: i64 = 61010;
pub(super) const NO_COMPONENT: i64 = 61011;
pub(super) const REFRESH_INVALID: i64 = 61023;
pub(super) const PROGRAM_MONTH_QUOTA: i64 = 89007;
pub(super) const OVERSEAS: i64 = 89008;
pub(super) const HELD_LIMIT: i64 = 89009;
pub(super) const LINK_IN_FLIGHT: i64 = 89010;
pub(super) const NEARBY: i64 = 89011;
pub(super) const STORE: i64 = 89012;
pub(super) const BANNED: i64 = 89013;
pub(super) const ALREADY_LINKED: i64 = 89015;
pub(super) const SAME_OWNER_QUOTA: i64 = 89016;
pub(super) const OTHER_OWNER_QUOTA: i64 = 89017;
pub(super) const UNLINK_IN_FLIGHT: i64 = 89018;
pub(super) const OPERATIONS_QUOTA: i64 = 89030;
pub(super) const STARTED_FROM_CONSOLE: i64 = 89035;

/// The platform's text for a code, without the request id. Unknown codes and 1003, 1005 have none.
pub(super) fn text(errcode: i64) -> &'static str {
    match errcode {
        0 => "ok",
        BUSY => "system error",
        TOKEN_INVALID => {
            "invalid credential, access_token is invalid or not latest, could get access_token by \
             getStableAccessToken"
        }
        PROGRAM_UNKNOWN => "invalid appid",
        TOKEN_MADE_UP => "invalid access_token",
        ARGUMENT_WRONG => "invalid args",
        SECRET_WRONG => "invalid appsecret",
        TOKEN_MISSING => "access_token missing",
        TOKEN_EXPIRED => "access_token expired",
        42006 => "component_access_token expired",
        PASSWORD_CHANGED => "refresh_token is expired, please reauthorize",
        POST_REQUIRED => "require POST method",
        BODY_EMPTY => "empty post data",
        DAILY_QUOTA => "reach max api daily quota limit",
        TOO_FAST => "api minute-quota reach limit, must slower, retry next minute",
        BODY_NO_JSON => "data format error",
        API_UNAUTHORIZED => "api unauthorized",
        48004 => "api forbidden for irregularities",
        50001 => "user is unauthorized",
        50002 => "user limited",
        NOT_AUTHORIZED => "component is not authorized by this account",
        IP_REFUSED => "access clientip is not registered requestIP: 127.0.0.1",
        TICKET_EXPIRED => "component ticket is expired",
        TICKET_INVALID => "component ticket is invalid",
        NO_PERMISSION => "api is unauthorized to component",
        CODE_INVALID => "code is invalid",
        CODE_EXPIRED => "code is expired",
        NO_COMPONENT => "invalid component",
        REFRESH_INVALID => "refresh_token is invalid",
        PROGRAM_MONTH_QUOTA => "wxa quota limit",
        OVERSEAS => "overseas account can not link",
        HELD_LIMIT => "wxa reach link limit",
        LINK_IN_FLIGHT => "link message has sent",
        NEARBY => "can not unlink nearby wxa",
        STORE => "can not unlink store or mall",
        BANNED => "wxa is banned",
        ALREADY_LINKED => "has linked wxa",
        SAME_OWNER_QUOTA => "reach same realname quota",
        OTHER_OWNER_QUOTA => "reach different realname quota",
        UNLINK_IN_FLIGHT => "unlink message has sent",
        OPERATIONS_QUOTA => "operation reach month limit",
        STARTED_FROM_CONSOLE => "linking from mp",
        _ => "",
    }
}
