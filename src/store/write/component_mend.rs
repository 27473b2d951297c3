//! Mends the row of `component` once somebody has edited it past us: nothing works without it.

use crate::store::{StoreError, executor::Db};

// What is not valid goes, as far as it comes again by itself.
const MEND: &str = "
    UPDATE component
    SET ticket = CASE WHEN typeof(ticket) = 'blob' AND typeof(ticket_made) = 'integer' THEN ticket END,
        ticket_made = CASE WHEN typeof(ticket) = 'blob' AND typeof(ticket_made) = 'integer' THEN ticket_made END,
        ticket_at = CASE typeof(ticket_at) WHEN 'integer' THEN ticket_at END,
        ticketless_since = CASE typeof(ticketless_since) WHEN 'integer' THEN ticketless_since END,
        ticket_refused = CASE typeof(ticket_refused) WHEN 'integer' THEN ticket_refused END,
        token = CASE WHEN typeof(token) = 'blob' AND typeof(token_until) = 'integer' THEN token END,
        token_until = CASE WHEN typeof(token) = 'blob' AND typeof(token_until) = 'integer' THEN token_until END,
        renew_at = CASE typeof(renew_at) WHEN 'integer' THEN renew_at END,
        generation = CASE WHEN typeof(generation) = 'integer' AND generation >= 0 THEN generation ELSE 0 END,
        claimed_by = NULL, claimed_until = NULL,
        calls_day = CASE typeof(calls_day) WHEN 'integer' THEN calls_day ELSE 0 END,
        calls_used = CASE WHEN typeof(calls_used) = 'integer' AND calls_used >= 0 THEN calls_used ELSE 0 END,
        lookups_used = CASE WHEN typeof(lookups_used) = 'integer' AND lookups_used >= 0 THEN lookups_used ELSE 0 END,
        errcode = CASE typeof(errcode) WHEN 'integer' THEN errcode END,
        errmsg = CASE typeof(errmsg) WHEN 'text' THEN errmsg END,
        refused_since = CASE typeof(refused_since) WHEN 'integer' THEN refused_since END,
        held_until = CASE typeof(held_until) WHEN 'integer' THEN held_until END,
        swept_at = CASE typeof(swept_at) WHEN 'integer' THEN swept_at END,
        sweep_offset = CASE typeof(sweep_offset) WHEN 'integer' THEN sweep_offset END
    WHERE appid = ?1";

/// Takes away what is not valid in the component's row; it comes again with pushes and calls.
pub(super) fn mend(db: Db<'_>, appid: &str) -> Result<usize, StoreError> {
    db.execute(MEND, [appid])
}
