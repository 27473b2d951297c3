//! Values that are replaced while a loop works with them: whoever sets one knows when the loop goes by it.

use tokio::sync::{mpsc, oneshot};

/// Sets the value of one loop. Cheap to clone.
#[derive(Debug)]
pub struct Control<T> {
    sender: mpsc::Sender<Change<T>>,
}

impl<T> Clone for Control<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

/// What a loop is told; it goes by the new value once this is dropped.
#[derive(Debug)]
pub struct Change<T> {
    /// The new value.
    pub to: T,
    /// Dropped with the rest, which is what the other side waits for.
    _done: oneshot::Sender<()>,
}

/// Where a loop hears of changes.
#[derive(Debug)]
pub struct Changes<T> {
    receiver: Option<mpsc::Receiver<Change<T>>>,
}

impl<T> Default for Changes<T> {
    /// Nobody changes anything.
    fn default() -> Self {
        Self { receiver: None }
    }
}

/// Both ends.
#[must_use]
pub fn controlled<T>() -> (Control<T>, Changes<T>) {
    let (sender, receiver) = mpsc::channel(1);
    (Control { sender }, Changes { receiver: Some(receiver) })
}

impl<T> Control<T> {
    /// Hands a value over and waits until the loop goes by it, or has ended.
    pub async fn set(&self, to: T) {
        let (done, is_done) = oneshot::channel();
        if self.sender.send(Change { to, _done: done }).await.is_ok() {
            // It is never sent: that it is gone says it.
            let _ = is_done.await;
        }
    }
}

impl<T> Changes<T> {
    /// Waits for the next change, for ever when there is none. It can be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Change<T> {
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
