//! New requests: those that exist already are answered with what exists, the others are inserted.

use super::{
    accounts,
    action::{self, Action},
    bulk_action::{self, BulkPage},
    import,
    requests::{Accepted, Ask, Sorted, insert, name, sort_out},
    urgency::Urgency,
    wakeups,
    writer::WriteCommand,
};
use crate::{
    domain::{
        action::{ActionKind, By},
        request::Request,
        time::Time,
    },
    store::{Store, StoreError, sql::Tx},
};

/// So many new requests at once are a deed each.
const EACH_MAX: usize = 100;

#[derive(Debug)]
struct Accept {
    requests: Vec<Request>,
    urgency: Urgency,
    by: By,
    now: Time,
    page: Option<BulkPage>,
}

impl WriteCommand for Accept {
    type Answer = Vec<Accepted>;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<Accepted>, StoreError> {
        let Self { requests, urgency, by, now, page } = self;
        let (urgency, now) = (*urgency, *now);
        let asks: Vec<Ask<'_>> = requests.iter().map(Ask::from).collect();
        import::take_up_duplicates(tx, &asks, now).await?;
        let Sorted { accepted, fresh, keyed, linked } = sort_out(tx, requests, &asks, None).await?;
        let keys: Vec<_> = keyed.iter().map(|(id, wish)| (id.as_str(), wish.key.as_deref())).collect();
        name(tx, &keys).await?;
        insert(tx, &fresh, urgency, now).await?;
        match page {
            None => action::add(tx, &actions(&fresh, by, now)).await?,
            Some(page) => {
                action::add(tx, &each(&fresh, by, now)).await?;
                bulk_action::advance(tx, page, accepted.len() as u64).await?;
            }
        }
        if urgency == Urgency::Asked && !linked.is_empty() {
            // Links can be removed by anybody at any time: whoever asks by hand is to know soon.
            accounts::make_due(tx, &linked, urgency, now).await?;
            wakeups::add(tx, &linked, urgency, now).await?;
        }
        Ok(accepted)
    }
}

impl Store {
    /// Writes new requests, all or none. One that exists already, by its key or as an open request for the same pair,
    /// is answered with the existing one.
    ///
    /// # Errors
    /// [`StoreError`]: none was written. [`StoreError::KeyTaken`] when a key names a request for something else.
    pub async fn accept(
        &self,
        requests: Vec<Request>,
        urgency: Urgency,
        by: By,
        now: Time,
    ) -> Result<Vec<Accepted>, StoreError> {
        self.writer.write(Accept { requests, urgency, by, now, page: None }).await
    }

    /// The same for a page of an action on many, each a deed.
    ///
    /// # Errors
    /// [`StoreError`]: none was written.
    pub async fn accept_page(
        &self,
        requests: Vec<Request>,
        by: By,
        now: Time,
        page: BulkPage,
    ) -> Result<(), StoreError> {
        let accept = Accept { requests, urgency: Urgency::InTurn, by, now, page: Some(page) };
        self.writer.write(accept).await.map(drop)
    }
}

/// New requests as deeds: one each while they are few, else one for all.
fn actions(fresh: &[&Request], by: &By, now: Time) -> Vec<Action> {
    if fresh.len() > EACH_MAX {
        return vec![Action::of_many(ActionKind::Request, fresh.len() as u64, by, now)];
    }
    each(fresh, by, now)
}

fn each(fresh: &[&Request], by: &By, now: Time) -> Vec<Action> {
    let action = |request: &&Request| match &request.retry_of {
        Some(earlier) => Action::of(ActionKind::Retry, earlier.as_str(), by, now),
        None => Action::of(ActionKind::Request, request.id.as_str(), by, now),
    };
    fresh.iter().map(action).collect()
}
