//! What all tabs share: the figures of the overview are read by one at a time, at most every fifteen seconds, whoever asks.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    domain::digest::Digest,
    http::api::{problem::Problem, state::Api},
    store::{
        StoreError,
        read::{
            alert_groups::AlertGroup,
            alert_views::ChannelFigures,
            status::{CallsHeld, GateFigures, SuspendedCause, UnreadCause},
            views::RequestView,
        },
        write::pace::PaceRow,
    },
};

/// How old figures may be that are shown at once.
const FRESH: Duration = Duration::from_secs(15);

/// How old figures may be that are shown while newer ones are read.
const USABLE: Duration = Duration::from_mins(5);

/// What is news.
const DAY: Duration = Duration::from_hours(24);

/// Alerts by reason that are shown, and requests that wait longest.
const GROUPS: u32 = 50;
const LONGEST: u32 = 8;

/// What the overview shows.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) digest: Digest,
    pub(super) groups: Vec<AlertGroup>,
    pub(super) longest: Vec<RequestView>,
    pub(super) accounts: i64,
    pub(super) unread: Vec<UnreadCause>,
    pub(super) suspended: Vec<SuspendedCause>,
    pub(super) calls_held: CallsHeld,
    pub(super) gates: Vec<GateFigures>,
    pub(super) channels: Vec<ChannelFigures>,
    pub(super) pace: Option<PaceRow>,
}

impl Figures {
    async fn read(api: &Api) -> Result<Self, StoreError> {
        let (store, now, config) = (api.store(), api.now(), api.config());
        let names: Vec<&str> = config.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
        Ok(Self {
            digest: store.digest(now - DAY, now).await?,
            groups: store.alert_groups(GROUPS).await?,
            longest: store.longest_waiting(LONGEST).await?,
            accounts: store.count_accounts().await?,
            unread: store.unread_causes().await?,
            suspended: store.suspended_causes().await?,
            calls_held: store.calls_held().await?,
            gates: store.gate_figures(now).await?,
            channels: store.channel_figures(&names).await?,
            pace: store.pace().await?,
        })
    }
}

/// The last figures, when they were read on the stopwatch, and by which event.
#[derive(Debug)]
struct Last {
    at: Duration,
    figures: Arc<Figures>,
}

/// Keeps the figures.
#[derive(Debug, Default, Clone)]
pub(super) struct Shared(Arc<Mutex<Option<Last>>>);

impl Shared {
    /// The figures of now or of fifteen seconds ago; while newer ones are read, those of before.
    ///
    /// # Errors
    /// [`Problem`] when they cannot be read and were not lately.
    pub(super) async fn figures(&self, api: &Api) -> Result<Arc<Figures>, Problem> {
        let mut last = self.0.lock().await;
        let now = api.clock().monotonic();
        match &*last {
            Some(Last { at, figures }) if now.saturating_sub(*at) < FRESH => return Ok(Arc::clone(figures)),
            Some(Last { at, figures }) if now.saturating_sub(*at) < USABLE => {
                let figures = Arc::clone(figures);
                self.renew(api);
                return Ok(figures);
            }
            Some(_) | None => {}
        }
        let figures = Arc::new(api.reporting(Figures::read(api)).await?);
        *last = Some(Last { at: api.clock().monotonic(), figures: Arc::clone(&figures) });
        Ok(figures)
    }

    /// Reads newer ones beside whoever asks; not twice at once.
    fn renew(&self, api: &Api) {
        let (shared, api) = (self.clone(), api.clone());
        drop(tokio::spawn(async move {
            let Ok(figures) = api.reporting(Figures::read(&api)).await else { return };
            let mut last = shared.0.lock().await;
            *last = Some(Last { at: api.clock().monotonic(), figures: Arc::new(figures) });
        }));
    }
}
