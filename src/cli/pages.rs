//! Prints rows that may be many, page by page: the first screens of a table, or every column of all rows for programs.

use serde::Serialize;

use super::{
    context::{Context, note},
    output::Column,
};

/// Rows of a table when no limit is given: two screens; who wants more says so.
const TABLE_ROWS: u32 = 50;

/// How many rows are printed at most, of a limit of which 0 is all.
pub(super) fn bound(context: &Context, limit: Option<u32>) -> usize {
    match limit.unwrap_or(if context.is_table() { TABLE_ROWS } else { 0 }) {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

/// The columns of the table, and those for programs.
pub(super) type Columns<'c> = (&'c [Column], &'c [Column]);

/// Prints rows, at most `limit` (0: all), which `next` reads page by page after the last row of the page before; how many
/// were printed. In a table each is shown as `glance` makes it.
pub(super) async fn print<Row: Serialize + Clone, Glance: Serialize, E: Into<anyhow::Error>>(
    context: &Context,
    (table, fields): Columns<'_>,
    limit: Option<u32>,
    mut next: impl AsyncFnMut(Option<&Row>) -> Result<Vec<Row>, E>,
    glance: impl Fn(Row) -> Glance,
) -> anyhow::Result<usize> {
    let is_table = context.is_table();
    let limit = bound(context, limit);
    let mut printer = context.printer(if is_table { table } else { fields });
    let (mut last, mut shown, mut there_are_more) = (None, 0, false);
    while !printer.reader_gone() && !there_are_more {
        let page = next(last.as_ref()).await.map_err(Into::into)?;
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        for row in page {
            there_are_more = shown == limit;
            if there_are_more {
                break;
            }
            shown += 1;
            if is_table {
                printer.row(&glance(row))?;
            } else {
                printer.row(&row)?;
            }
        }
    }
    printer.finish()?;
    if is_table && there_are_more {
        note(format!("showing the first {limit}; --limit 0 shows all"));
    }
    Ok(shown)
}
