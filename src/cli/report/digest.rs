//! `amplinkd report --digest`: prints the daily digest as of now.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{drawn, print};
use crate::{
    cli::{
        context::{Context, ExitStatus},
        output::{Column, Format},
        terminal_escape::legible,
    },
    domain::{
        digest::{AGES, Digest},
        text::Language,
        text::{Report, digest::columns},
    },
};

/// What is news in a digest.
const DAY: Duration = Duration::from_hours(24);

/// The table's columns by their places: the heads depend on the language.
const PLACES: [&str; 2 + AGES.len()] = ["0", "1", "2", "3", "4", "5"];

/// Prints the digest: the words for people, the figures for programs.
pub(super) async fn run(context: &Context, language: Option<&str>) -> anyhow::Result<ExitStatus> {
    context
        .with_view(async |session| {
            let now = session.now();
            let digest = session.store().digest(now - DAY, now).await?;
            print_digest(context, &digest, language, session.config.alerts.language)
        })
        .await?;
    Ok(ExitStatus::Success)
}

/// Prints a digest in a language, or in the usual one.
pub(in crate::cli) fn print_digest(
    context: &Context,
    digest: &Digest,
    language: Option<&str>,
    usual: Language,
) -> anyhow::Result<()> {
    if context.format != Format::Table {
        return context.print_one(digest);
    }
    let language = match language {
        Some("en") => Language::En,
        Some(_) => Language::Zh,
        None => usual,
    };
    print(&told(context, &digest.words(language), language)?)
}

fn told(context: &Context, words: &Report, language: Language) -> anyhow::Result<String> {
    let mut text = format!("{}\n\n{}\n", legible(&words.title), legible(&words.lead));
    if !words.rows.is_empty() {
        let mut heads = columns(language).into_iter();
        let shown = PLACES.map(|place| Column::shown(place, heads.next().unwrap_or_default()));
        let rows: Vec<BTreeMap<&str, Value>> =
            words.rows.iter().map(|row| PLACES.into_iter().zip(row.iter().map(|cell| value(cell))).collect()).collect();
        text.push('\n');
        text += &drawn(context, &shown, &rows)?;
    }
    Ok(text)
}

/// A number where it is one, so that the table sets it right.
fn value(cell: &str) -> Value {
    cell.parse::<u64>().map_or_else(|_| Value::from(cell), Value::from)
}
