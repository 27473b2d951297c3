//! Who runs a command, for the record.

use rustix::process::getuid;

use crate::{
    config::user_before_sudo,
    domain::action::{Actor, By},
    store::user_name,
};

/// Whoever runs this command. Somebody who became another by `sudo` is meant themselves.
#[must_use]
pub(super) fn by() -> By {
    By::new(Actor::on_machine(user_before_sudo().unwrap_or_else(|| user_name(getuid().as_raw()))))
}
