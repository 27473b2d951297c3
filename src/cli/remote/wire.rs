//! A wish as the API takes it, and where requests are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{domain::request::Kind, engine::wish::Wish};

/// A request as the API takes it.
#[derive(Debug, Serialize)]
pub(super) struct NewRequest<'w> {
    kind: &'static str,
    account: &'w str,
    program: &'w str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    notify_users: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    confirm_notify_users: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    show_profile: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'w BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'w str>,
}

impl<'w> NewRequest<'w> {
    /// A wish; whoever typed it has been told what `--notify-users` does.
    pub(super) fn of(wish: &'w Wish) -> Self {
        let (notify_users, show_profile) = match wish.kind {
            Kind::Link(options) => (options.notify_users.wanted(), options.show_profile.wanted()),
            Kind::Unlink => (false, false),
        };
        Self {
            kind: wish.kind.as_str(),
            account: wish.account.as_str(),
            program: wish.program.as_str(),
            username: wish.username.as_ref().map(ToString::to_string),
            notify_users,
            confirm_notify_users: notify_users,
            show_profile,
            labels: &wish.labels,
            key: wish.key.as_deref(),
        }
    }
}

/// The path of a request.
pub(super) fn path(id: &str) -> String {
    format!("/api/v1/requests/{id}")
}
