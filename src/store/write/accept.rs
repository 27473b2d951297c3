//! New requests: those that exist already are answered with what exists, the others are inserted.

use sqlx::SqliteConnection;

use super::{
    accounts, import,
    requests::{Accepted, Ask, Sorted, insert, name, sort_out},
    urgency::Urgency,
    wakeups,
    writer::WriteCommand,
};
use crate::{
    domain::{request::Request, time::Time},
    store::{Store, StoreError},
};

#[derive(Debug)]
struct Accept {
    requests: Vec<Request>,
    urgency: Urgency,
    now: Time,
}

impl WriteCommand for Accept {
    type Answer = Vec<Accepted>;

    async fn write(&self, tx: &mut SqliteConnection) -> Result<Vec<Accepted>, StoreError> {
        let Self { requests, urgency, now } = self;
        let (urgency, now) = (*urgency, *now);
        let asks: Vec<Ask<'_>> = requests.iter().map(Ask::from).collect();
        import::take_up_duplicates(tx, &asks, now).await?;
        let Sorted { accepted, fresh, keyed, linked } = sort_out(tx, requests, &asks, None).await?;
        let keys: Vec<_> = keyed.iter().map(|(id, wish)| (id.as_str(), wish.key.as_deref())).collect();
        name(tx, &keys).await?;
        insert(tx, &fresh, urgency, now).await?;
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
        now: Time,
    ) -> Result<Vec<Accepted>, StoreError> {
        self.writer.write(Accept { requests, urgency, now }).await
    }
}
