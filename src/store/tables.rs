//! Tables by name and key, for naming rows that are not valid.

use super::decode::Table;

/// Requests.
pub(super) const REQUEST: Table = Table { name: "request", key: &["id"] };

/// Accounts.
pub(super) const ACCOUNT: Table = Table { name: "account", key: &["account"] };

/// The platform's component.
pub(super) const COMPONENT: Table = Table { name: "component", key: &["appid"] };

/// Authorizers of the platform, and their view.
pub(super) const AUTHORIZER: Table = Table { name: "authorizer", key: &["appid"] };

/// Pushes about authorizers.
pub(super) const PUSH: Table = Table { name: "push", key: &["id"] };

/// What commands ask the keeper of tokens for.
pub(super) const TOKEN_TASK: Table = Table { name: "token_task", key: &["id"] };
