//! Who may do what over HTTP: roles of people and programs, and the scopes that a token is cut down to.

use std::fmt;

use serde::{Serialize, Serializer};

/// The longest name of a user or of a token, in bytes.
pub const NAME_MAX: usize = 64;

/// What somebody may do; each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads everything that is no secret.
    Viewer,
    /// Acts on requests, accounts, alerts and channels, too.
    Operator,
    /// Manages users, tokens and backups, too.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word of commands, views and bodies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether it includes this scope.
    #[must_use]
    pub fn includes(self, scope: Scope) -> bool {
        scope.role() <= self
    }

    /// All scopes that it includes.
    #[must_use]
    pub fn scopes(self) -> Vec<Scope> {
        Scope::ALL.into_iter().filter(|scope| self.includes(*scope)).collect()
    }
}

/// A part of what a role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Reads requests, accounts, programs, conflicts, alerts, channels and reports.
    Read,
    /// Reads events as they happen.
    Events,
    /// Reads `/metrics`.
    Metrics,
    /// Makes, cancels and retries requests, and writes reminders.
    Requests,
    /// Suspends and resumes accounts.
    Accounts,
    /// Acknowledges, snoozes and resolves alerts.
    Alerts,
    /// Tests channels and has them try again.
    Channels,
    /// Makes and lists backups.
    Backup,
    /// Manages users and tokens of others.
    Users,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Events,
        Self::Metrics,
        Self::Requests,
        Self::Accounts,
        Self::Alerts,
        Self::Channels,
        Self::Backup,
        Self::Users,
    ];

    /// The word of commands, views and bodies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Events => "events",
            Self::Metrics => "metrics",
            Self::Requests => "requests",
            Self::Accounts => "accounts",
            Self::Alerts => "alerts",
            Self::Channels => "channels",
            Self::Backup => "backup",
            Self::Users => "users",
        }
    }

    /// The scope with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// The least role that includes it.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Read | Self::Events | Self::Metrics => Role::Viewer,
            Self::Requests | Self::Accounts | Self::Alerts | Self::Channels => Role::Operator,
            Self::Backup | Self::Users => Role::Admin,
        }
    }
}

macro_rules! written_as_word {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

written_as_word!(Role);
written_as_word!(Scope);

/// Checks the name of a user or of a token: letters and digits of any script, and `. _ - @`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!("a name has 1 to {NAME_MAX} bytes; this one has {}", name.len()));
    }
    match name.chars().find(|c| !c.is_alphanumeric() && !".-_@".contains(*c)) {
        Some(wrong) => Err(format!("a name has letters, digits and . _ - @ only, not {wrong:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_includes_the_scopes_of_those_before_it() {
        assert_eq!(Role::Viewer.scopes(), [Scope::Read, Scope::Events, Scope::Metrics]);
        assert!(Role::Operator.includes(Scope::Alerts) && !Role::Operator.includes(Scope::Users));
        assert_eq!(Role::Admin.scopes(), Scope::ALL);
    }

    #[test]
    fn words_lead_back_to_what_they_name() {
        assert!(Role::ALL.into_iter().all(|role| Role::from_word(role.as_str()) == Some(role)));
        assert!(Scope::ALL.into_iter().all(|scope| Scope::from_word(scope.as_str()) == Some(scope)));
        assert_eq!(Role::from_word("root"), None);
    }

    #[test]
    fn a_name_is_a_word() {
        for good in ["ops", "ci-bot", "lena@example.com", "张伟"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a\n", "a:b", "a/b", "\u{200b}a", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
