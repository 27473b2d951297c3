//! The rate limit of one address. Services count by address, so channels with the same one share its window and take
//! turns when it is full.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{ChannelEndpoint, rate_limit::RateLimit};
use crate::notify::{Address, Pace};

/// All addresses in use: one that stays in use keeps its window when the channels change.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    paces: BTreeMap<Address, Arc<AddressPace>>,
}

impl Addresses {
    /// The pace of each channel's address, by the channel's name.
    pub(super) fn paces(&mut self, outlets: &[Arc<ChannelEndpoint>]) -> BTreeMap<String, Arc<AddressPace>> {
        let mut sharing: BTreeMap<Address, Vec<&ChannelEndpoint>> = BTreeMap::new();
        for outlet in outlets {
            sharing.entry(outlet.channel.address(&outlet.name)).or_default().push(outlet);
        }
        let mut before = std::mem::take(&mut self.paces);
        let mut by_name = BTreeMap::new();
        for (address, outlets) in sharing {
            let (names, pace): (Vec<String>, Pace) =
                (outlets.iter().map(|outlet| outlet.name.clone()).collect(), outlets[0].pace);
            let known = before.remove(&address).filter(|known| known.pace == pace);
            let shared = known.unwrap_or_else(|| Arc::new(AddressPace::new(pace, Vec::new())));
            shared.names().clone_from(&names);
            by_name.extend(names.into_iter().map(|name| (name, Arc::clone(&shared))));
            self.paces.insert(address, shared);
        }
        by_name
    }
}

/// An address, and the channels that use it.
#[derive(Debug)]
pub(super) struct AddressPace {
    pace: Pace,
    /// Their names.
    channels: Mutex<Vec<String>>,
    /// Whether the window contains what the previous process sent.
    pub(super) recalled: tokio::sync::Mutex<bool>,
    shared: Mutex<Shared>,
    /// Seats handed out so far.
    seats: AtomicUsize,
}

#[derive(Debug)]
struct Shared {
    limit: RateLimit,
    /// Seats with a message to send, and since when they wait, on the stopwatch.
    waiting: BTreeMap<usize, Duration>,
}

impl AddressPace {
    pub(super) const fn new(pace: Pace, channels: Vec<String>) -> Self {
        let shared = Shared { limit: RateLimit::new(pace), waiting: BTreeMap::new() };
        let recalled = tokio::sync::Mutex::const_new(false);
        Self { pace, channels: Mutex::new(channels), recalled, shared: Mutex::new(shared), seats: AtomicUsize::new(0) }
    }

    /// Whether several channels use it.
    pub(super) fn is_shared(&self) -> bool {
        self.names().len() > 1
    }

    /// The channels that use it.
    pub(super) fn channels(&self) -> Vec<String> {
        self.names().clone()
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Nothing in here panics halfway through a change.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn room(&mut self, seat: usize, now: Duration, under_way: usize) -> usize {
        let room = self.limit.room(now, under_way);
        let mine = self.waiting.get(&seat).copied().unwrap_or(Duration::MAX);
        let others = || self.waiting.iter().filter(|(other, _)| **other != seat);
        if others().any(|(_, since)| *since < mine) {
            return 0;
        }
        if others().next().is_some() { room.min(1) } else { room }
    }
}

/// One channel's seat at its address.
#[derive(Debug)]
pub(super) struct PaceSeat {
    address: Arc<AddressPace>,
    number: usize,
}

impl PaceSeat {
    pub(super) fn at(address: &Arc<AddressPace>) -> Self {
        Self { address: Arc::clone(address), number: address.seats.fetch_add(1, Ordering::Relaxed) }
    }

    /// How many messages in how long a time, where that is limited.
    pub(super) fn most(&self) -> Option<(u32, Duration)> {
        self.address.pace.most
    }

    /// How many may be begun now, `under_way` of this channel being so already. While another channel has waited longer
    /// it is none; while any waits, one.
    pub(super) fn room(&self, now: Duration, under_way: usize) -> usize {
        self.address.shared().room(self.number, now, under_way)
    }

    /// The channel has a message and no room for it.
    pub(super) fn wait(&self, now: Duration) {
        self.address.shared().waiting.entry(self.number).or_insert(now);
    }

    /// The channel has nothing to send, or may not send.
    pub(super) fn leave(&self) {
        self.address.shared().waiting.remove(&self.number);
    }

    /// When the window has room for one more.
    pub(super) fn next(&self, now: Duration) -> Duration {
        let mut shared = self.address.shared();
        shared.limit.room(now, 0);
        shared.limit.next()
    }

    /// Counts one message as sent now, if there is room for it.
    pub(super) fn try_begin(&self, now: Duration, under_way: usize) -> bool {
        let mut shared = self.address.shared();
        let is_free = shared.room(self.number, now, under_way) > 0;
        if is_free {
            shared.waiting.remove(&self.number);
            shared.limit.begin(now);
        }
        is_free
    }

    /// Counts one message that was sent so long ago.
    pub(super) fn begun(&self, now: Duration, ago: Duration) {
        self.address.shared().limit.begun(now, ago);
    }
}

impl Drop for PaceSeat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_take_turns_at_one_address_and_never_exceed_its_pace() {
        let minute = Duration::from_mins(1);
        let address = Arc::new(AddressPace::new(Pace { at_once: 1, most: Some((20, minute)) }, Vec::new()));
        let seats = [PaceSeat::at(&address), PaceSeat::at(&address)];
        let mut begun: Vec<(usize, Duration)> = Vec::new();
        for tenth in 0..6_000 {
            let now = Duration::from_millis(tenth * 100);
            // The first always asks first, and both have more than enough to send.
            for (number, seat) in seats.iter().enumerate() {
                if seat.try_begin(now, 0) {
                    begun.push((number, now));
                } else {
                    seat.wait(now);
                }
            }
        }
        for (index, (_, first)) in begun.iter().enumerate() {
            assert!(begun[index..].iter().filter(|(_, at)| *at < *first + minute).count() <= 20);
        }
        let of = |seat: usize| begun.iter().filter(|(number, _)| *number == seat).count();
        assert!(begun.len() >= 180 && of(0).abs_diff(of(1)) <= 20, "{} and {}", of(0), of(1));
    }

    #[test]
    fn one_that_left_holds_up_nobody() {
        let address =
            Arc::new(AddressPace::new(Pace { at_once: 1, most: Some((1, Duration::from_secs(1))) }, Vec::new()));
        let (first, second) = (PaceSeat::at(&address), PaceSeat::at(&address));
        assert!(first.try_begin(Duration::ZERO, 0));
        second.wait(Duration::from_millis(1));
        assert_eq!(first.room(Duration::from_secs(2), 0), 0, "the other has waited longer");
        drop(second);
        assert_eq!(first.room(Duration::from_secs(2), 0), 1);
    }
}
