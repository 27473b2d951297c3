//! Long work in short transactions: how many rows the next one may have, so that nobody who writes beside it waits long,
//! and the pause between two, in which those come through.

use std::time::Duration;

/// What a page should take: several of them fit into what anybody waits without noticing.
const TARGET: Duration = Duration::from_millis(300);

/// Between two pages. Whoever waits for the file tries again every tenth of a second at the latest (`SQLite`'s busy
/// handler): a shorter pause could be missed for ever, and in a little more than that two who wait come through.
const PAUSE: Duration = Duration::from_millis(150);

/// Rows of the first page: small on any disk.
const FIRST: u32 = 500;

/// Rows of the largest: what is held in memory for it.
const MOST: u32 = 10_000;

/// How many rows the next page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages(u32);

impl Default for Pages {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pages {
    pub(super) const fn rows(self) -> u32 {
        self.0
    }

    /// After a page of `rows` that took so long.
    #[must_use]
    pub(super) fn after(self, took: Duration) -> Self {
        if took > TARGET {
            // Twice as long means half as many, and ten times a tenth.
            let fitting = f64::from(self.0) * TARGET.as_secs_f64() / took.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and the rows of before"
            )]
            return Self((fitting as u32).clamp(1, MOST));
        }
        if took < TARGET / 2 { Self(self.0.saturating_mul(2).min(MOST)) } else { self }
    }

    /// After a page that one of its rows refused: each alone, until it is found.
    #[must_use]
    pub(super) const fn alone() -> Self {
        Self(1)
    }

    /// Lets others write.
    pub(super) async fn pause() {
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_to_take_what_it_should_whatever_a_row_costs() {
        for row in [Duration::from_micros(5), Duration::from_micros(100), Duration::from_millis(3), TARGET * 3] {
            let mut pages = Pages::default();
            for _ in 0..20 {
                pages = pages.after(row * pages.rows());
            }
            let took = row * pages.rows();
            let fits = took <= TARGET && (took >= TARGET / 4 || pages.rows() == MOST);
            assert!(fits || pages == Pages::alone(), "{row:?}: {pages:?} take {took:?}");
        }
        assert_eq!(Pages::alone().after(Duration::ZERO).rows(), 2, "it grows again");
    }
}
