//! Every secret the platform's side ever made, so that a test can search logs, files and messages for them.

use serde::Serialize;

/// What kind of secret a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// The component's `AppSecret`.
    ComponentSecret,
    /// The callback's token.
    PushToken,
    /// The callback's `EncodingAESKey`.
    EncodingAesKey,
    /// A `component_verify_ticket`.
    Ticket,
    /// A `component_access_token`.
    ComponentToken,
    /// An `authorization_code`.
    AuthorizationCode,
    /// A `pre_auth_code`.
    PreAuthCode,
    /// An `authorizer_refresh_token`.
    RefreshToken,
    /// An `authorizer_access_token`; the text is its distinctive beginning.
    AccessToken,
}

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// What it is.
    pub kind: SecretKind,
    /// Its text; whoever shows this shows the secret.
    pub text: String,
}

/// Secrets in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Remembers a secret and gives its text back.
    pub(super) fn keep(&mut self, kind: SecretKind, text: String) -> String {
        self.0.push(Secret { kind, text: text.clone() });
        text
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}
