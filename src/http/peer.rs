//! Who is at the other end of a connection.

use std::net::IpAddr;

/// Who is at the other end: an address, or nothing behind a socket file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

impl Peer {
    /// Whether that is this machine.
    #[must_use]
    pub fn is_local(self) -> bool {
        self.0.is_none_or(|address| address.to_canonical().is_loopback())
    }
}
