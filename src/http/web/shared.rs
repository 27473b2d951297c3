//! What all tabs share: the figures of the overview, read by one at a time however many ask for them. What takes long to read is
//! shown for fifteen seconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex;

use crate::{
    domain::digest::{Count, Digest},
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

/// How old figures may be that are shown at once, at most, and as a multiple of how long it took to read them: where that is
/// quick, they are those of now.
const FRESH_MAX: Duration = Duration::from_secs(15);
const FRESH_FACTOR: u32 = 20;

/// Figures that take no longer are waited for.
const QUICK: Duration = Duration::from_millis(200);

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
    /// What came to an end in the last day and still stands there.
    pub(super) ended: Vec<Count>,
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
            ended: store.ended_since(now - DAY).await?,
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

/// The last figures, when they were read on the stopwatch, and how long that took.
#[derive(Debug)]
struct Last {
    at: Duration,
    took: Duration,
    figures: Arc<Figures>,
}

/// Keeps the figures.
#[derive(Debug, Default, Clone)]
pub(super) struct Shared(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: Mutex<Option<Last>>,
    is_renewed: AtomicBool,
}

impl Shared {
    /// The figures of now, or of at most fifteen seconds ago; where reading takes long, those of before while newer ones are
    /// read.
    ///
    /// # Errors
    /// [`Problem`] when they cannot be read and were not lately.
    pub(super) async fn figures(&self, api: &Api) -> Result<Arc<Figures>, Problem> {
        let mut last = self.0.last.lock().await;
        if let Some(Last { at, took, figures }) = &*last {
            let age = api.clock().monotonic().saturating_sub(*at);
            if age < FRESH_MAX.min(*took * FRESH_FACTOR) {
                return Ok(Arc::clone(figures));
            }
            if *took > QUICK && age < USABLE {
                let figures = Arc::clone(figures);
                self.renew(api);
                return Ok(figures);
            }
        }
        let read = read(api).await?;
        let figures = Arc::clone(&read.figures);
        *last = Some(read);
        Ok(figures)
    }

    /// Reads newer ones beside whoever asks; not twice at once.
    fn renew(&self, api: &Api) {
        if self.0.is_renewed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (shared, api) = (self.clone(), api.clone());
        drop(tokio::spawn(async move {
            if let Ok(read) = read(&api).await {
                *shared.0.last.lock().await = Some(read);
            }
            shared.0.is_renewed.store(false, Ordering::Relaxed);
        }));
    }
}

/// Reads them, and measures how long that takes.
async fn read(api: &Api) -> Result<Last, Problem> {
    let before = api.clock().monotonic();
    let figures = Arc::new(api.reporting(Figures::read(api)).await?);
    let at = api.clock().monotonic();
    Ok(Last { at, took: at.saturating_sub(before), figures })
}
