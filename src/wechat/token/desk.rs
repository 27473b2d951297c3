//! Asks whoever keeps tokens in this process: the daemon, when it is the platform's central token service itself. This room
//! may not know it, so a channel stands between.

use tokio::sync::{mpsc, oneshot};

use super::{Token, TokenError};
use crate::domain::id::AccountId;

/// Where tokens are asked for. Cheap to clone; clones ask the same keeper.
#[derive(Debug, Clone)]
pub struct Desk(mpsc::UnboundedSender<Ask>);

/// What is asked, in the order of asking.
pub type Asks = mpsc::UnboundedReceiver<Ask>;

/// What is asked of a keeper. Whoever waits for an answer bounds how many there are: polls and calls under way.
#[derive(Debug)]
pub enum Ask {
    /// The account's token.
    Token {
        /// Whose.
        account: AccountId,
        /// Where to answer.
        answer: oneshot::Sender<Result<Token, TokenError>>,
    },
    /// `WeChat` refused this token.
    Refused {
        /// Whose.
        account: AccountId,
        /// Which.
        token: Token,
    },
}

impl Desk {
    /// A desk and what is asked there.
    #[must_use]
    pub fn open() -> (Self, Asks) {
        let (sender, asks) = mpsc::unbounded_channel();
        (Self(sender), asks)
    }

    pub(super) async fn token(&self, account: &AccountId) -> Result<Token, TokenError> {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.send(Ask::Token { account: account.clone(), answer });
        let gone = || TokenError::Unavailable("the daemon keeps no tokens any more: it is stopping".to_owned());
        match asked {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(gone()),
        }
    }

    pub(super) fn refused(&self, account: &AccountId, token: &Token) {
        // Without a keeper there is nothing to forget.
        let _ = self.0.send(Ask::Refused { account: account.clone(), token: token.clone() });
    }
}
