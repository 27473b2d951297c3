//! What `api_get_authorizer_info` says of an authorizer: its name and its permissions.

use super::{Inner, LOOKUPS_PER_DAY, memory::Kept};
use crate::{
    domain::authorizer::ComponentRefusal,
    store::write::{authorizer::AuthorizerInfo, component::Counted},
    wechat::CallError,
};

impl Inner {
    /// Learns an authorizer's `gh_` name and permissions; without them things go on, so that what fails is only told.
    pub(super) async fn learn_name(&self, component: &Kept, appid: &str) {
        let Ok(account) = appid.parse() else { return };
        let counted = self.store.count_component_call(self.appid(), Counted::Lookup, LOOKUPS_PER_DAY, self.now()).await;
        if !matches!(counted, Ok(true)) {
            return;
        }
        let learned = match self.client().authorizer_info(&component.token, &account).await {
            Ok(info) => {
                let info = AuthorizerInfo {
                    username: info.username.map(|name| name.to_string()),
                    nickname: info.nickname,
                    permissions: Some(info.func_ids),
                };
                self.store.put_info(appid, info, self.now()).await.map_err(|error| error.to_string())
            }
            Err(error) => {
                if let CallError::Refused(refusal) = &error
                    && ComponentRefusal::of(refusal.errcode) == ComponentRefusal::ComponentToken
                {
                    // One that cannot be dropped now is refused once more.
                    let _ = self.drop_component_token(component.generation).await;
                }
                Err(error.to_string())
            }
        };
        if let Err(error) = learned {
            tracing::warn!(event = "tokens.no_info", account = appid, error, "could not learn an authorizer's name");
        }
    }
}
