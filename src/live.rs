//! Values that are replaced while a loop works with them: whoever sets one knows when the loop goes by it. One that is set
//! before the loop begins waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// Sets the value of one loop. Cheap to clone.
#[derive(Debug)]
pub struct Control<T> {
    sender: mpsc::Sender<Change<T>>,
    early: Early<T>,
}

/// What was set last while nobody listens yet; `None` once somebody does.
type Early<T> = Arc<Mutex<Option<Option<T>>>>;

impl<T> Clone for Control<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), early: Arc::clone(&self.early) }
    }
}

/// What a loop is told; it goes by the new value once this is dropped.
#[derive(Debug)]
pub struct Change<T> {
    /// The new value.
    pub to: T,
    /// Dropped with the rest, which is what the other side waits for, if it waits.
    _done: Option<oneshot::Sender<()>>,
}

/// Where a loop hears of changes.
#[derive(Debug)]
pub struct Changes<T> {
    receiver: Option<mpsc::Receiver<Change<T>>>,
    early: Early<T>,
}

impl<T> Default for Changes<T> {
    /// Nobody changes anything.
    fn default() -> Self {
        Self { receiver: None, early: Arc::default() }
    }
}

/// Both ends.
#[must_use]
pub fn controlled<T>() -> (Control<T>, Changes<T>) {
    let (sender, receiver) = mpsc::channel(1);
    let early = Arc::new(Mutex::new(Some(None)));
    (Control { sender, early: Arc::clone(&early) }, Changes { receiver: Some(receiver), early })
}

impl<T> Control<T> {
    /// Hands a value over and waits until the loop goes by it, or has ended. One that has not begun will begin with it.
    pub async fn set(&self, to: T) {
        let to = {
            // Nothing in here panics halfway through a change.
            let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            match early.as_mut() {
                Some(early) => {
                    *early = Some(to);
                    return;
                }
                None => to,
            }
        };
        let (done, is_done) = oneshot::channel();
        if self.sender.send(Change { to, _done: Some(done) }).await.is_ok() {
            // It is never sent: that it is gone says it.
            let _ = is_done.await;
        }
    }
}

impl<T> Changes<T> {
    /// What was set before anybody listened; from now on whoever sets a value waits.
    pub fn begin(&mut self) -> Option<T> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner).take().flatten()
    }

    /// Waits for the next change, for ever when there is none. It can be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Change<T> {
        if let Some(to) = self.begin() {
            return Change { to, _done: None };
        }
        let next = match &mut self.receiver {
            Some(receiver) => receiver.recv().await,
            None => None,
        };
        match next {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_sets_a_value_waits_until_it_is_in_force() {
        let (control, mut changes) = controlled();
        let mut value = 1;
        control.set(0).await;
        assert_eq!((changes.begin(), changes.begin()), (Some(0), None));
        let heed = async {
            let change = changes.next().await;
            tokio::task::yield_now().await;
            value = change.to;
        };
        tokio::join!(control.set(2), heed);
        assert_eq!(value, 2);
        drop(changes);
        control.set(3).await;
    }
}
