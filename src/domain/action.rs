//! What a person, or a program of theirs, does to the daemon's records: who, by which door, to what, and why.

use serde::{Serialize, Serializer};

/// The longest reason or note, in bytes.
pub const REASON_MAX: usize = 1_000;

/// A reason or a note as it is kept: one line, without spaces around it; nothing when nothing is left.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn reason(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.len() > REASON_MAX {
        return Err(format!("at most {REASON_MAX} bytes; these are {}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("one line of text, without control characters".to_owned());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// The door somebody came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A command on the machine.
    Cli,
    /// The HTTP API, with a token.
    Api,
    /// A session of a person.
    Web,
}

impl Via {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cli, Self::Api, Self::Web];

    /// The door with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.as_str() == word)
    }

    /// The word of `v_action.via`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Web => "web",
        }
    }
}

impl Serialize for Via {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of the system's user, of the token, or of the user.
    pub name: String,
    /// The door.
    pub via: Via,
    /// The id of the token that was used.
    pub token: Option<String>,
    /// From where, when that is another machine or process: an IP address.
    pub address: Option<String>,
}

impl Actor {
    /// The system's user behind a command.
    #[must_use]
    pub fn on_machine(name: impl Into<String>) -> Self {
        Self { name: name.into(), via: Via::Cli, token: None, address: None }
    }
}

/// On whose word something is done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who says so.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The filters that chose what it is done to, as a JSON object.
    pub filter: Option<String>,
    /// The action on many that it is a part of.
    pub part_of: Option<String>,
}

impl By {
    /// On this one's word, without a reason.
    #[must_use]
    pub const fn new(actor: Actor) -> Self {
        Self { actor, reason: None, filter: None, part_of: None }
    }

    /// On the word of nobody who exists: of a simulation or a test.
    #[must_use]
    pub fn simulated() -> Self {
        Self::new(Actor::on_machine("simulation"))
    }

    /// The same for this reason.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }

    /// The same for all that these filters choose.
    #[must_use]
    pub fn of_all(self, filter: String) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// What is kept in the hash-chained detail of a step, before what else is known of it.
    #[must_use]
    pub fn detail(&self, more: Option<&str>) -> String {
        let mut text = format!("by {}", self.actor.name);
        for (joint, words) in [(": ", self.reason.as_deref()), ("; ", more)] {
            if let Some(words) = words.filter(|words| !words.is_empty()) {
                text.push_str(joint);
                text.push_str(words);
            }
        }
        text
    }
}

/// What kind of thing something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A request, by its id.
    Request,
    /// An account, by its appid.
    Account,
    /// An alert, by its id.
    Alert,
    /// A channel, by its name.
    Channel,
    /// A gate, as `kind/subject`.
    Gate,
    /// A user, by name.
    User,
    /// A token of the API, by its name.
    ApiToken,
    /// A session, by its id.
    Session,
    /// The database.
    Database,
}

impl SubjectKind {
    /// The word of `v_action.subject_kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Account => "account",
            Self::Alert => "alert",
            Self::Channel => "channel",
            Self::Gate => "gate",
            Self::User => "user",
            Self::ApiToken => "api_token",
            Self::Session => "session",
            Self::Database => "database",
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// A request is made.
    Request,
    /// A request is no longer followed.
    Cancel,
    /// A finished request is made again.
    Retry,
    /// A reminder is written.
    Nudge,
    /// An account is no longer called.
    Suspend,
    /// An account is called again.
    Resume,
    /// An account is polled now.
    Check,
    /// An alert is taken.
    Acknowledge,
    /// An alert is put off.
    Snooze,
    /// An alert is ended.
    Resolve,
    /// Messages that were given up are sent again.
    RetryDeliveries,
    /// A channel is sent an example.
    TestChannel,
    /// A gate is opened before its time.
    OpenGate,
    /// A token is fetched now.
    RefreshToken,
    /// The list of authorizers is read.
    SyncAuthorizers,
    /// The records are audited.
    Audit,
    /// The database is copied.
    Backup,
    /// Old requests are taken away.
    Prune,
    /// A person signs in.
    SignIn,
    /// A session ends.
    SignOut,
    /// A user is added.
    AddUser,
    /// A user's role changes, or whether they may sign in.
    ChangeUser,
    /// A user's password changes.
    ChangePassword,
    /// A user is removed.
    RemoveUser,
    /// A token of the API is made.
    NewApiToken,
    /// A token of the API is revoked.
    RevokeApiToken,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Request,
        Self::Cancel,
        Self::Retry,
        Self::Nudge,
        Self::Suspend,
        Self::Resume,
        Self::Check,
        Self::Acknowledge,
        Self::Snooze,
        Self::Resolve,
        Self::RetryDeliveries,
        Self::TestChannel,
        Self::OpenGate,
        Self::RefreshToken,
        Self::SyncAuthorizers,
        Self::Audit,
        Self::Backup,
        Self::Prune,
        Self::SignIn,
        Self::SignOut,
        Self::AddUser,
        Self::ChangeUser,
        Self::ChangePassword,
        Self::RemoveUser,
        Self::NewApiToken,
        Self::RevokeApiToken,
    ];

    /// The word of `v_action.action`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Nudge => "nudge",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Check => "check",
            Self::Acknowledge => "acknowledge",
            Self::Snooze => "snooze",
            Self::Resolve => "resolve",
            Self::RetryDeliveries => "retry_deliveries",
            Self::TestChannel => "test_channel",
            Self::OpenGate => "open_gate",
            Self::RefreshToken => "refresh_token",
            Self::SyncAuthorizers => "sync_authorizers",
            Self::Audit => "audit",
            Self::Backup => "backup",
            Self::Prune => "prune",
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::AddUser => "add_user",
            Self::ChangeUser => "change_user",
            Self::ChangePassword => "change_password",
            Self::RemoveUser => "remove_user",
            Self::NewApiToken => "new_api_token",
            Self::RevokeApiToken => "revoke_api_token",
        }
    }

    /// What it is done to.
    #[must_use]
    pub const fn subject(self) -> SubjectKind {
        match self {
            Self::Request | Self::Cancel | Self::Retry | Self::Nudge => SubjectKind::Request,
            Self::Suspend | Self::Resume | Self::Check | Self::RefreshToken | Self::SyncAuthorizers => {
                SubjectKind::Account
            }
            Self::Acknowledge | Self::Snooze | Self::Resolve => SubjectKind::Alert,
            Self::RetryDeliveries | Self::TestChannel => SubjectKind::Channel,
            Self::OpenGate => SubjectKind::Gate,
            Self::Audit | Self::Backup | Self::Prune => SubjectKind::Database,
            Self::SignIn | Self::SignOut => SubjectKind::Session,
            Self::AddUser | Self::ChangeUser | Self::ChangePassword | Self::RemoveUser => SubjectKind::User,
            Self::NewApiToken | Self::RevokeApiToken => SubjectKind::ApiToken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason("  客户已离开 "), Ok(Some("客户已离开".to_owned())));
        assert_eq!(reason(" "), Ok(None));
        assert!(reason("a\nb").is_err() && reason(&"a".repeat(1_001)).is_err());
    }

    #[test]
    fn a_step_says_by_whom_it_was_and_why() {
        let by = By::new(Actor::on_machine("lena"));
        assert_eq!(by.detail(None), "by lena");
        assert_eq!(by.detail(Some("nothing had been sent")), "by lena; nothing had been sent");
        let by = by.because(Some("the customer left".to_owned()));
        assert_eq!(by.detail(Some("nothing had been sent")), "by lena: the customer left; nothing had been sent");
    }
}
