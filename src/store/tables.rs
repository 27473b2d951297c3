//! Tables by name and key, for naming rows that are not valid.

use super::decode::Table;

/// Requests.
pub(super) const REQUEST: Table = Table { name: "request", key: &["id"] };

/// Accounts.
pub(super) const ACCOUNT: Table = Table { name: "account", key: &["account"] };
