//! The calls, by name: those of an account, and those of a third-party platform.

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

/// One of a third-party platform's own calls, by WeChat's name in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ComponentApi {
    /// `api_start_push_ticket`
    #[serde(rename = "api_start_push_ticket")]
    StartPushTicket,
    /// `api_component_token`
    #[serde(rename = "api_component_token")]
    ComponentToken,
    /// `api_query_auth`
    #[serde(rename = "api_query_auth")]
    QueryAuth,
    /// `api_authorizer_token`
    #[serde(rename = "api_authorizer_token")]
    AuthorizerToken,
    /// `api_get_authorizer_list`
    #[serde(rename = "api_get_authorizer_list")]
    AuthorizerList,
    /// `api_get_authorizer_info`
    #[serde(rename = "api_get_authorizer_info")]
    AuthorizerInfo,
}

impl ComponentApi {
    /// Every call.
    pub const ALL: [Self; 6] = [
        Self::StartPushTicket,
        Self::ComponentToken,
        Self::QueryAuth,
        Self::AuthorizerToken,
        Self::AuthorizerList,
        Self::AuthorizerInfo,
    ];

    /// The last part of its path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StartPushTicket => "api_start_push_ticket",
            Self::ComponentToken => "api_component_token",
            Self::QueryAuth => "api_query_auth",
            Self::AuthorizerToken => "api_authorizer_token",
            Self::AuthorizerList => "api_get_authorizer_list",
            Self::AuthorizerInfo => "api_get_authorizer_info",
        }
    }

    /// Whether it is made with a component's token; the other two are made with its secret.
    pub(super) fn takes_token(self) -> bool {
        !matches!(self, Self::StartPushTicket | Self::ComponentToken)
    }
}
