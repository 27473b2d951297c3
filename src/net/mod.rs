//! What every HTTP client of ours needs: connections with limits and deadlines, bounded bodies, `Retry-After`, and texts
//! without secrets. Nothing here decides anything.

pub mod client;
pub(crate) mod redact;
pub(crate) mod retry_after;
pub(crate) mod secrets;
