//! The three calls, by name.

use serde::{Deserialize, Serialize};

/// One of the three calls, by WeChat's name in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Api {
    /// `wxamplinkget`
    #[serde(rename = "wxamplinkget")]
    Listing,
    /// `wxamplink`
    #[serde(rename = "wxamplink")]
    Link,
    /// `wxampunlink`
    #[serde(rename = "wxampunlink")]
    Unlink,
}
