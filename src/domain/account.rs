//! What an account is to us: the one that is polled. It must never be asked what a request's state is.

/// Why the list of an account cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// No token that `WeChat` takes.
    Token,
    /// `WeChat` answers with a code.
    Refused,
    /// An answer comes that is no list.
    Unreadable,
    /// No answer comes.
    Unreachable,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::Refused, Self::Unreadable, Self::Unreachable];

    /// The word of `v_account.trouble`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "unreachable",
        }
    }

    /// The trouble with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.as_str() == word)
    }
}
