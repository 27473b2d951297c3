//! What commands ask for: the whole list of authorizers, or an account's next token. The daemon does it, because it alone
//! refreshes.

use std::time::Duration;

use super::{TokenKeeper, memory::Missing, pushes::Tended, refresh::Tried};
use crate::{
    shutdown::Shutdown,
    store::{
        StoreError,
        write::token_task::{TaskDone, TokenTask},
    },
};

/// How long results are kept that nobody fetched.
const KEPT: Duration = Duration::from_hours(24);

impl TokenKeeper {
    /// Does what was asked for longest ago, if anything was. What the end breaks off is done by the next process.
    pub(super) async fn do_task(&self, shutdown: &Shutdown) -> Result<Tended, StoreError> {
        if shutdown.asked() {
            return Ok(Tended::Part);
        }
        let Some((id, task)) = self.0.store.next_token_task().await? else { return Ok(Tended::All) };
        let done = match task {
            TokenTask::Sync => match self.sync(shutdown).await {
                Ok(None) => return Ok(Tended::Part),
                Ok(Some(found)) => {
                    let without = match found.without_token {
                        0 => String::new(),
                        count => format!(", {count} without a refresh token: they must authorize anew"),
                    };
                    let listed = match found.listed {
                        1 => "1 authorizer".to_owned(),
                        count => format!("{count} authorizers"),
                    };
                    TaskDone { is_well: true, said: format!("{listed} listed{without}") }
                }
                Err(why) => TaskDone { is_well: false, said: why },
            },
            TokenTask::Refresh(appid) => match self.force(&appid).await {
                Ok(()) => TaskDone { is_well: true, said: "refreshed".to_owned() },
                Err(missing) => TaskDone { is_well: false, said: missing.to_string() },
            },
        };
        let now = self.0.now();
        self.0.store.token_task_done(id, done, now, now - KEPT).await?;
        Ok(Tended::Part)
    }

    /// Fetches an account's next token although the one on disk may work; at most once a minute.
    async fn force(&self, appid: &str) -> Result<(), Missing> {
        let Some(row) = self.0.store.authorizer(appid).await? else {
            return Err(Missing::Later(
                "this account is not known: `amplinkd authorizer sync` reads the list".to_owned(),
            ));
        };
        let row = row.map_err(|bad| Missing::Later(bad.to_string()))?;
        if row.token.is_some() && !self.0.store.force_renewal(appid, row.generation, self.0.now()).await? {
            return Err(Missing::Later("it was refreshed less than a minute ago".to_owned()));
        }
        let renewed = self.0.renew(&row).await;
        self.0.memory().forget(appid);
        match renewed? {
            Tried::Kept(_) => Ok(()),
            Tried::Again => self.token(appid).await.map(drop),
        }
    }
}
