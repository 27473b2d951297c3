//! The one table of `WeChat`'s error codes: what each means for us and what to do about it.
//!
//! Sources: the link APIs' page (errors 89xxx), the global return codes page, and reports in the developers' community
//! (1003, 1005). Where no page says what a code means for a link, the row says so.

/// What kind of "no" an answer is. If two need different handling they are two classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 0, or no code at all.
    Done,
    /// 89010: an invitation is already out, started by whom is unknown.
    InvitationOut,
    /// 89035: begun in the account's own console, waits for the program's administrator.
    ConsoleLink,
    /// 89015: linked already.
    AlreadyLinked,
    /// 89018: an unlink is already out.
    UnlinkOut,
    /// 89007: the program's month is used up, on every account.
    ProgramMonth,
    /// 89016, 89017, 89030: the account's month is used up.
    AccountMonth,
    /// No call will ever help, or none before a person acts.
    Final,
    /// -1: busy, and nobody knows whether it took effect.
    Busy,
    /// The token is no longer good; nothing was done.
    TokenBad,
    /// The account took its authorization back.
    AuthorizationGone,
    /// The permission set is not granted, or the token is of the wrong kind.
    PermissionMissing,
    /// `WeChat` restricts the account.
    AccountRestricted,
    /// Our address is not on the platform's whitelist: no account can be reached.
    IpNotAllowed,
    /// This API's daily quota of this account.
    DailyQuota,
    /// Too many calls in a minute.
    TooFast,
    /// We sent something wrong: a defect of ours.
    OurBug,
    /// A code this table does not know.
    Unknown,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Done,
        Self::InvitationOut,
        Self::ConsoleLink,
        Self::AlreadyLinked,
        Self::UnlinkOut,
        Self::ProgramMonth,
        Self::AccountMonth,
        Self::Final,
        Self::Busy,
        Self::TokenBad,
        Self::AuthorizationGone,
        Self::PermissionMissing,
        Self::AccountRestricted,
        Self::IpNotAllowed,
        Self::DailyQuota,
        Self::TooFast,
        Self::OurBug,
        Self::Unknown,
    ];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::InvitationOut => "invitation_out",
            Self::ConsoleLink => "console_link",
            Self::AlreadyLinked => "already_linked",
            Self::UnlinkOut => "unlink_out",
            Self::ProgramMonth => "program_month",
            Self::AccountMonth => "account_month",
            Self::Final => "final",
            Self::Busy => "busy",
            Self::TokenBad => "token_bad",
            Self::AuthorizationGone => "authorization_gone",
            Self::PermissionMissing => "permission_missing",
            Self::AccountRestricted => "account_restricted",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::DailyQuota => "daily_quota",
            Self::TooFast => "too_fast",
            Self::OurBug => "our_bug",
            Self::Unknown => "unknown",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The code, as in `errcode`.
    pub code: i64,
    /// How it is handled.
    pub class: Class,
    /// What it means, as the end of the sentence "`WeChat` says …".
    pub means: &'static str,
    /// What a person can do.
    pub remedy: &'static str,
}

const fn row(code: i64, class: Class, means: &'static str, remedy: &'static str) -> Meaning {
    Meaning { code, class, means, remedy }
}

const REAUTHORIZE: &str =
    "have the account's administrator authorize the platform again, then `amplinkd account resume`";
const GRANT: &str =
    "have the account grant permission set 33 (小程序关联管理) and check that the token is the account's own";
const UNBLOCK: &str =
    "have the account's administrator read the notice on mp.weixin.qq.com, then `amplinkd account resume`";
const WHITELIST: &str = "add the address to the platform's IP whitelist; calls go on by themselves once it is there";
const NEXT_MONTH: &str = "nothing: the call is made again when the Beijing month rolls over";
const REPORT: &str = "report it with the rid: it is a defect of amplinkd or of a proxy between";
const RENEW: &str = "check the token source: it handed out a token that WeChat does not take";

/// Every code we know, ascending.
pub const TABLE: &[Meaning] = &[
    row(-1, Class::Busy, "it is busy", "nothing: the list decides whether the call took effect"),
    row(
        1003,
        Class::Final,
        "no more, without a text (seen after repeated linking and unlinking)",
        "ask WeChat's support with the rid before you retry",
    ),
    row(
        1005,
        Class::Final,
        "no more, without a text (seen after repeated linking and unlinking)",
        "ask WeChat's support with the rid before you retry",
    ),
    row(40001, Class::TokenBad, "the token is invalid", RENEW),
    row(40014, Class::TokenBad, "the token is invalid", RENEW),
    row(40164, Class::IpNotAllowed, "our address is not on the whitelist", WHITELIST),
    row(41001, Class::OurBug, "the call carried no token", REPORT),
    row(42001, Class::TokenBad, "the token has expired", RENEW),
    row(42007, Class::AuthorizationGone, "the authorization ended with a changed password", REAUTHORIZE),
    row(43002, Class::OurBug, "the call was no POST", REPORT),
    row(44002, Class::OurBug, "the call had no body", REPORT),
    row(
        45009,
        Class::DailyQuota,
        "the account's daily quota of this API is used up",
        "nothing: calls go on when the Beijing day rolls over",
    ),
    row(45011, Class::TooFast, "the calls come too fast", "lower `[wechat] per_second` if it happens often"),
    row(47001, Class::OurBug, "the body is no JSON", REPORT),
    row(48001, Class::PermissionMissing, "the API is not authorized", GRANT),
    row(48004, Class::AccountRestricted, "the account's APIs are blocked", UNBLOCK),
    row(50001, Class::AuthorizationGone, "the account has not authorized this", REAUTHORIZE),
    row(50002, Class::AccountRestricted, "the account is frozen or closed", UNBLOCK),
    row(50004, Class::AccountRestricted, "the account may not use tokens, perhaps as a punishment", UNBLOCK),
    row(61003, Class::AuthorizationGone, "the account has not authorized the platform", REAUTHORIZE),
    row(61004, Class::IpNotAllowed, "our address is not on the whitelist", WHITELIST),
    row(61007, Class::PermissionMissing, "the API is not granted to the platform", GRANT),
    row(61023, Class::AuthorizationGone, "the refresh token is invalid", REAUTHORIZE),
    row(89007, Class::ProgramMonth, "the program's links of this month are used up", NEXT_MONTH),
    row(89008, Class::Final, "the program belongs to an overseas account", "nothing: such programs cannot be linked"),
    row(
        89009,
        Class::Final,
        "the program has reached its limit of links",
        "have the program's administrator free a slot, then retry",
    ),
    row(89010, Class::InvitationOut, "an invitation is already out", "nothing: it is followed"),
    row(
        89011,
        Class::Final,
        "the program is shown nearby",
        "take it out of the programs nearby (附近的小程序), then retry",
    ),
    row(89012, Class::Final, "the program is a store or a mall", "nothing: such programs cannot be unlinked"),
    row(89013, Class::Final, "the program is banned", "have the program's administrator lift the ban, then retry"),
    row(89015, Class::AlreadyLinked, "the program is linked already", "nothing: the list will confirm it"),
    row(
        89016,
        Class::AccountMonth,
        "the account's links to programs of its own owner are used up this month",
        NEXT_MONTH,
    ),
    row(
        89017,
        Class::AccountMonth,
        "the account's links to programs of other owners are used up this month",
        NEXT_MONTH,
    ),
    row(89018, Class::UnlinkOut, "an unlink is already out", "nothing: it is followed"),
    row(89030, Class::AccountMonth, "the account's operations of this month are used up", NEXT_MONTH),
    row(
        89035,
        Class::ConsoleLink,
        "the link was begun in the account's console",
        "nothing: it is followed; the program's administrator must agree",
    ),
];

/// What a code means, or nothing when the table does not know it.
#[must_use]
pub fn meaning(code: i64) -> Option<&'static Meaning> {
    place(code).map(|at| &TABLE[at])
}

/// Where a code stands in [`TABLE`].
#[must_use]
pub fn place(code: i64) -> Option<usize> {
    TABLE.binary_search_by_key(&code, |row| row.code).ok()
}

/// How a code is handled.
#[must_use]
pub fn classify(code: i64) -> Class {
    if code == 0 { Class::Done } else { meaning(code).map_or(Class::Unknown, |row| row.class) }
}

/// What `WeChat` said beside "no": everything its support asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `errcode`.
    pub errcode: i64,
    /// `errmsg` with its rid, clipped to a readable length.
    pub errmsg: String,
}

impl Refusal {
    /// How the code is handled.
    #[must_use]
    pub fn class(&self) -> Class {
        classify(self.errcode)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match meaning(self.errcode) {
            Some(row) => write!(f, "errcode {} ({}): {:?}", self.errcode, row.means, self.errmsg),
            None => write!(f, "errcode {}: {:?}", self.errcode, self.errmsg),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ascends_and_knows_every_code_once() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn a_code_outside_the_table_is_unknown_and_zero_is_done() {
        assert_eq!([classify(0), classify(99_999), classify(-2)], [Class::Done, Class::Unknown, Class::Unknown]);
    }
}
