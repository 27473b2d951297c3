//! How a connection of ours leaves this machine: directly or through a proxy, and whom it trusts at the other end.

use super::{proxy::Proxy, trust::Authorities};

/// The way out for one section of the configuration. Its `Debug` shows no password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// The proxy for every address of the section, also for one of this machine; `None` is directly.
    pub proxy: Option<Proxy>,
    /// Authorities that are trusted beside the system's.
    pub authorities: Authorities,
}
