//! Splits long work into short transactions: how many rows the next one may have, so that no other writer waits long,
//! and the pause between two, in which others get through.

use std::time::Duration;

/// What a page should take: several of them fit into what anybody waits without noticing.
const TARGET: Duration = Duration::from_millis(300);

/// Between two pages. Whoever waits for the file tries again every tenth of a second at the latest (`SQLite`'s busy
/// handler): a shorter pause could be missed for ever, and in a little more than that two who wait come through.
const PAUSE: Duration = Duration::from_millis(150);

/// Rows of the first page: small on any disk.
const FIRST: u32 = 1_000;

/// Rows of the largest: what is held in memory for it.
const MOST: u32 = 10_000;

/// How many rows the next page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paging {
    rows: u32,
    /// For how long nobody else could come through for sure.
    held: Duration,
}

impl Default for Paging {
    fn default() -> Self {
        Self::of(FIRST)
    }
}

impl Paging {
    const fn of(rows: u32) -> Self {
        Self { rows, held: Duration::ZERO }
    }

    pub(super) const fn rows(self) -> u32 {
        self.rows
    }

    /// After a page of `rows` that took so long.
    #[must_use]
    pub(super) fn after(self, took: Duration) -> Self {
        let held = self.held + took;
        if took > TARGET {
            // Twice as long means half as many, and ten times a tenth.
            let fitting = f64::from(self.rows) * TARGET.as_secs_f64() / took.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and the rows of before"
            )]
            return Self { rows: (fitting as u32).clamp(1, MOST), held };
        }
        let rows = if took < TARGET / 2 { self.rows.saturating_mul(2).min(MOST) } else { self.rows };
        Self { rows, held }
    }

    /// After a page that one of its rows refused: each alone, until it is found.
    #[must_use]
    pub(super) const fn alone() -> Self {
        Self::of(1)
    }

    /// Lets others write, once the pages since the last time have together taken what one should.
    pub(super) async fn let_others(&mut self) {
        if self.held >= TARGET / 2 {
            self.held = Duration::ZERO;
            Self::pause().await;
        }
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
            let mut pages = Paging::default();
            for _ in 0..20 {
                pages = pages.after(row * pages.rows());
            }
            let took = row * pages.rows();
            let fits = took <= TARGET && (took >= TARGET / 4 || pages.rows() == MOST);
            assert!(fits || pages.rows() == 1, "{row:?}: {pages:?} take {took:?}");
        }
        assert_eq!(Paging::alone().after(Duration::ZERO).rows(), 2, "it grows again");
    }

    #[tokio::test]
    async fn short_pages_share_a_pause_and_nobody_waits_for_more_than_a_long_one_takes() {
        let mut pages = Paging::default();
        for _ in 0..4 {
            pages = pages.after(TARGET / 10);
            pages.let_others().await;
            assert_ne!(pages.held, Duration::ZERO);
        }
        pages = pages.after(TARGET / 10);
        pages.let_others().await;
        assert_eq!(pages.held, Duration::ZERO, "a half is enough");
    }
}
