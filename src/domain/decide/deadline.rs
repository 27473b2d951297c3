//! Whether the policy's deadline may end a request yet: an administrator may have agreed while the list could not be
//! read.

use std::time::Duration;

use super::{Policy, Request, Time};

/// How long after its deadline a request waits for a list that shows how it stands. After a day of outage an end that may
/// be wrong is better than none: whoever set a deadline waits for it.
const UNREAD_MAX: Duration = Duration::from_hours(24);

/// Whether the deadline of `request` may end it now. It may once a list was read after it, which had its say first; or
/// when none could be read for a day.
///
/// `last_read_at` is when the account's last readable list was asked for. One that seems to lie ahead was read before the
/// clock was stepped back, and tells nothing.
#[must_use]
pub fn deadline_may_end(request: &Request, policy: &Policy, last_read_at: Option<Time>, now: Time) -> bool {
    let Some(after) = policy.deadline else { return false };
    let deadline = request.requested_at + after;
    let was_read_since = last_read_at.is_some_and(|at| at >= deadline && at <= now);
    request.is_open() && now >= deadline && (was_read_since || now >= deadline + UNREAD_MAX)
}
