//! What every HTTP client of ours needs: connections with limits and deadlines, bounded bodies, `Retry-After`, and texts
//! without secrets. Nothing here decides anything.

pub mod client;
pub mod egress;
pub mod proxy;
pub(crate) mod redact;
pub(crate) mod retry_after;
pub(crate) mod secrets;
pub mod trust;
