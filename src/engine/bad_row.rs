//! Says that a request's row is not legal: whoever meets one goes on with the others.

use std::fmt::Display;

pub(super) fn warn_of_bad_row(request: &impl Display, error: &impl Display) {
    tracing::error!(
        event = "db.bad_row",
        request.id = %request,
        error = %error,
        "invalid row skipped; other rows are not affected"
    );
}
