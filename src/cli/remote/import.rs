//! `request import`: the lines of a file, checked as on this machine, in pieces that the API takes. Each piece is all or
//! none, and all of them are checked before the first is sent; a file that is imported again goes on where it stopped, for
//! what is there already is found by key and pair.

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use super::{
    desk::Desk,
    wire::{NewRequest, path},
};
use crate::{
    cli::{
        context::{ExitStatus, note, progress},
        import::{self, Import, Summary, check::Checked, tell_lost_keys},
        request::ask::key_lost,
    },
    engine::wish::Wish,
    remote::{Failure, Repeat},
    store::read::views::RequestView,
};

/// Requests of a piece at most: half of what a call may hold.
const PIECE: usize = 5_000;

/// Bytes of a piece at most: half of what a body may have.
const PIECE_BYTES: usize = 8 << 20;

/// Keys that were there before and are looked after; a request each.
const KEYS_MAX: usize = 100;

#[derive(Debug, Serialize)]
struct Piece<'p> {
    requests: &'p [NewRequest<'p>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    id: String,
    existing: bool,
}

/// Imports a file.
pub(super) async fn run(desk: &Desk<'_>, import: &Import) -> anyhow::Result<ExitStatus> {
    let Some((name, Checked { wishes, numbers, .. })) = import::checked(desk.context, import)? else {
        return Ok(ExitStatus::Success);
    };
    desk.name_server();
    let pieces = pieces(&wishes);
    if pieces.len() > 1 {
        note(format!(
            "{} lines are checked, then go in {} pieces: each is taken whole or not at all",
            wishes.len(),
            pieces.len()
        ));
        // What would be refused in a later piece is found out before anything is written.
        let mut checked = 0;
        for piece in &pieces {
            let sent = send(desk, piece, true).await;
            sent.map_err(|failure| stopped(&failure, (&name, &numbers), checked, 0))?;
            checked += piece.len();
        }
    }
    let bar = progress(wishes.len() as u64, "sending");
    let mut taken: Vec<Accepted> = Vec::with_capacity(wishes.len());
    for piece in pieces {
        let sent = send(desk, piece, false).await;
        taken.extend(sent.map_err(|failure| stopped(&failure, (&name, &numbers), taken.len(), taken.len()))?);
        bar.set_position(taken.len() as u64);
    }
    bar.finish_and_clear();
    tell_lost_keys(&name, &lost_keys(desk, &taken, &wishes, &numbers).await?);
    let existing = taken.iter().filter(|accepted| accepted.existing).count();
    desk.context.print_one(&Summary { lines: taken.len(), accepted: taken.len() - existing, existing })?;
    Ok(ExitStatus::Success)
}

/// Has a piece taken, or only checked.
async fn send(desk: &Desk<'_>, piece: &[Wish], dry_run: bool) -> Result<Vec<Accepted>, Failure> {
    let requests: Vec<NewRequest<'_>> = piece.iter().map(NewRequest::of).collect();
    desk.server.post("/api/v1/requests/batch", &Piece { requests: &requests, dry_run }, Repeat::Once).await
}

/// The wishes in pieces of a bearable size.
fn pieces(wishes: &[Wish]) -> Vec<&[Wish]> {
    let (mut pieces, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (place, wish) in wishes.iter().enumerate() {
        let size = serde_json::to_vec(&NewRequest::of(wish)).map_or(0, |text| text.len() + 1);
        if place > begin && (place - begin == PIECE || bytes + size > PIECE_BYTES) {
            pieces.push(&wishes[begin..place]);
            (begin, bytes) = (place, 0);
        }
        bytes += size;
    }
    pieces.push(&wishes[begin..]);
    pieces
}

/// Why it stopped, at which line, and what stands: `before` is the place of the piece, `taken` how many are accepted.
fn stopped(failure: &Failure, (name, numbers): (&str, &[u64]), before: usize, taken: usize) -> anyhow::Error {
    let places = failure.refused().map(|refused| refused.errors.as_slice()).unwrap_or_default();
    let line = places.iter().find_map(|fault| {
        // The only request of a piece has no number.
        let pointer = if fault.pointer == "/key" { "/requests/0/key" } else { &fault.pointer };
        let place: usize = pointer.strip_prefix("/requests/")?.split('/').next()?.parse().ok()?;
        numbers.get(before + place)
    });
    let at = line.map(|line| format!(" line {line}")).unwrap_or_default();
    let stands = match taken {
        // An answer that is lost says by itself what may have been done.
        0 if failure.refused().is_some() => "nothing was written".to_owned(),
        0 => "nothing before it was written".to_owned(),
        count => format!(
            "the {count} lines before it are accepted; importing the file again goes on from there, since it counts them as \
             existing"
        ),
    };
    anyhow!("{name}{at}: {failure}; {stands}")
}

/// Lines whose request was there already under another key; of very many the first.
async fn lost_keys(
    desk: &Desk<'_>,
    taken: &[Accepted],
    wishes: &[Wish],
    numbers: &[u64],
) -> anyhow::Result<Vec<(u64, String)>> {
    let lines = taken.iter().zip(wishes).zip(numbers).filter(|((accepted, _), _)| accepted.existing);
    let keyed: Vec<(&str, &str, u64)> = lines
        .filter_map(|((accepted, wish), number)| Some((accepted.id.as_str(), wish.key.as_deref()?, *number)))
        .collect();
    if keyed.len() > KEYS_MAX {
        note(format!(
            "{} lines with a key were there before; whether the key is theirs is told of the first {KEYS_MAX}",
            keyed.len()
        ));
    }
    let mut lost = Vec::new();
    for (id, key, number) in keyed.into_iter().take(KEYS_MAX) {
        let row: Option<RequestView> = desk.server.find(&path(id)).await?;
        lost.extend(row.and_then(|row| key_lost(key, &row)).map(|lost| (number, lost)));
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::Kind;

    #[test]
    fn a_large_file_goes_in_pieces_and_nothing_is_left_out() {
        let wish = Wish {
            kind: Kind::Unlink,
            account: "wx00000000000000aa".parse().unwrap(),
            program: "wx00000000000000bb".parse().unwrap(),
            username: None,
            key: None,
            labels: std::iter::once(("a".to_owned(), "b".repeat(200))).collect(),
        };
        let many = vec![wish; PIECE * 2 + 1];
        let sizes: Vec<usize> = pieces(&many).iter().map(|piece| piece.len()).collect();
        assert_eq!(sizes, [PIECE, PIECE, 1]);
        assert_eq!(pieces(&many[..1]).len(), 1);
    }
}
