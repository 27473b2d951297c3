//! The items of a listing that name no program: whether one of them may belong to a request that was not found.

use std::collections::HashMap;

use super::{Known, is_unnamed, username, waits_for_item};
use crate::domain::{
    errcode::Class,
    id::ProgramId,
    listing::{Listing, Status},
    request::{Outcome, Request, State},
    time::Time,
};

/// Later than every call: of an item that nothing is remembered of nobody can say that it is old.
const UNKNOWN: Time = Time::from_ms(i64::MAX);

/// Whether a request that was not found may be among the unnamed items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// It may: it is not found, and not absent either.
    Perhaps,
    /// It could only be one that stood there unchanged since before the call.
    OnlyOld,
    /// It is surely not.
    Surely,
}

/// Since when the youngest unnamed item of each kind stands there unchanged; `None` where there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Youngest {
    linked: Option<Time>,
    pending: Option<Time>,
    rejected: Option<Time>,
}

impl Youngest {
    fn add(&mut self, status: Status, since: Time) {
        let slot = match status {
            Status::Linked => &mut self.linked,
            // What nobody documents may be on its way, too.
            Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin | Status::Other(_) => &mut self.pending,
            Status::Rejected => &mut self.rejected,
        };
        *slot = (*slot).max(Some(since));
    }

    fn and(self, other: Self) -> Self {
        Self {
            linked: self.linked.max(other.linked),
            pending: self.pending.max(other.pending),
            rejected: self.rejected.max(other.rejected),
        }
    }
}

/// All unnamed items, summed up once, so that asking for one request costs the same however many there are.
pub(super) struct Unnamed<'a> {
    /// All of them: any fits a request whose `gh_` id is not known.
    all: Youngest,
    /// Those without any name: any fits every request.
    nameless: Youngest,
    /// The others by their `gh_` id.
    by_username: HashMap<&'a str, Youngest>,
}

impl<'a> Unnamed<'a> {
    pub(super) fn of(listing: &'a Listing, named: &[Option<ProgramId>], known: &impl Known) -> Self {
        let mut unnamed = Self { all: Youngest::default(), nameless: Youngest::default(), by_username: HashMap::new() };
        for (item, _) in listing.items.iter().zip(named).filter(|(item, named)| is_unnamed(item, named.as_ref())) {
            let name = username(item);
            let since = name.and_then(|name| known.unchanged_since(name, item.status)).unwrap_or(UNKNOWN);
            unnamed.all.add(item.status, since);
            match name {
                Some(name) => unnamed.by_username.entry(name).or_default().add(item.status, since),
                None => unnamed.nameless.add(item.status, since),
            }
        }
        unnamed
    }

    /// Whether `request`, which was not found by name, may be one of them.
    pub(super) fn among(&self, request: &Request) -> Among {
        let fitting = match &request.username {
            None => self.all,
            Some(username) => {
                let of_its_name = self.by_username.get(username.as_str()).copied().unwrap_or_default();
                self.nameless.and(of_its_name)
            }
        };
        let may_be = MayBe::of(request);
        [(fitting.linked, may_be.linked), (fitting.pending, may_be.pending), (fitting.rejected, may_be.rejected)]
            .map(|(youngest, which)| which.among(youngest))
            .into_iter()
            .fold(Among::Surely, Among::or)
    }
}

impl Among {
    const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Perhaps, _) | (_, Self::Perhaps) => Self::Perhaps,
            (Self::OnlyOld, _) | (_, Self::OnlyOld) => Self::OnlyOld,
            (Self::Surely, Self::Surely) => Self::Surely,
        }
    }
}

/// Which unnamed items of one kind may be a request's.
#[derive(Debug, Clone, Copy)]
enum Which {
    /// Every one.
    Any,
    /// Those that stand there, as they do now, only since later than this.
    NewerThan(Time),
    /// None that matters.
    None,
}

impl Which {
    fn among(self, youngest: Option<Time>) -> Among {
        match (self, youngest) {
            (_, None) | (Self::None, Some(_)) => Among::Surely,
            (Self::Any, Some(_)) => Among::Perhaps,
            (Self::NewerThan(call), Some(since)) if since > call => Among::Perhaps,
            (Self::NewerThan(_), Some(_)) => Among::OnlyOld,
        }
    }
}

/// Which unnamed items may be a request's, by what they show.
///
/// A look goes before every call, so what stood there when it was made is known. An item that stands there unchanged
/// since then is not what the call brought about: an invitation comes as a new item, or changes the one that is there.
/// One exception shows nothing: an old rejection is invited again, refused again, and nobody looked in between. It ends
/// as an invitation ends that was never seen: once `appear_within` has passed and two listings agree. So does an old
/// rejection that stays listed longer than `appear_within` before the new invitation takes its place, as it would with
/// its name shown.
///
/// When the answer was lost, an old item that is alive may be the program's own, begun by somebody else: the call that is
/// made again is harmless then, for `WeChat` answers it with 89010, 89035 or 89015.
#[derive(Debug, Clone, Copy)]
struct MayBe {
    linked: Which,
    pending: Which,
    rejected: Which,
}

impl MayBe {
    fn of(request: &Request) -> Self {
        let all = |which| Self { linked: which, pending: which, rejected: which };
        // To a link that stands, and to an unlink, a rejected item says what no item says: it is not linked.
        if !request.is_link() || matches!(request.state, State::Linked) {
            return Self { rejected: Which::None, ..all(Which::Any) };
        }
        let (Some(called_at), true) = (request.called_at, waits_for_item(request)) else {
            return all(Which::Any);
        };
        if matches!(request.state, State::Initiating(Outcome::Restored)) {
            // Nothing was called at that moment: the copy was put back, and it may have been called ever since.
            return all(Which::NewerThan(called_at - std::time::Duration::from_millis(1)));
        }
        let newer = all(Which::NewerThan(called_at));
        if was_begun_elsewhere(request) { Self { pending: Which::Any, ..newer } } else { newer }
    }
}

/// Whether `WeChat` said that the link had been begun before the call: its item may have stood there before, too.
fn was_begun_elsewhere(request: &Request) -> bool {
    request.refusal.as_ref().is_some_and(|refusal| match refusal.class() {
        Class::InvitationOut | Class::ConsoleLink => true,
        Class::Done
        | Class::AlreadyLinked
        | Class::UnlinkOut
        | Class::ProgramMonth
        | Class::AccountMonth
        | Class::Final
        | Class::Busy
        | Class::TokenBad
        | Class::AuthorizationGone
        | Class::PermissionMissing
        | Class::AccountRestricted
        | Class::IpNotAllowed
        | Class::DailyQuota
        | Class::TooFast
        | Class::OurBug
        | Class::Unknown => false,
    })
}
