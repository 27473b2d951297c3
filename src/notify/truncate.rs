//! Cuts a message to the size its service accepts: the last rows go first, who must act goes last, and missing rows are
//! counted.

use std::fmt::Write as _;

use reqwest::Url;

use super::labels;
use crate::domain::{
    message::Message,
    text::{
        Language,
        format::{clip, one_line},
    },
};

/// Characters of a title. Ours have about fifty; a longer one is no title on a phone.
const TITLE_MAX: usize = 120;

/// Characters of a lead: a few sentences.
const LEAD_MAX: usize = 600;

/// Characters of a cell. An appid has 18, a nickname at most 30; what is longer is a sentence.
const CELL_MAX: usize = 100;

/// Characters of a hint. A command that was cut would be another command: a longer one is left out.
const HINT_MAX: usize = 200;

/// Bytes of a link. A link that was cut would lead elsewhere: a longer one is left out.
const LINK_MAX: usize = 512;

/// Rows that are tried at all. The roomiest service takes 20 000 bytes, and a row of ours has more than forty.
const ROWS_MAX: usize = 500;

/// What stands in an empty cell, so that the others keep their places.
const EMPTY: &str = "–";

/// Between two cells of one row.
const BETWEEN: &str = " · ";

/// A message's texts, each on one line and short enough, not yet escaped for any dialect.
#[derive(Debug, Clone)]
pub(super) struct Fitted<'m> {
    /// What it was made of.
    pub(super) message: &'m Message,
    /// The title.
    pub(super) title: String,
    /// Who must do what; may be empty.
    pub(super) lead: String,
    /// The heads of the table; none without a table.
    pub(super) columns: Vec<String>,
    /// As many rows as fit.
    pub(super) rows: Vec<Vec<String>>,
    /// How many rows are missing, in words.
    pub(super) more: Option<String>,
    /// A link without any character that could end it in some dialect.
    pub(super) link: Option<String>,
    /// A command; may be empty.
    pub(super) hint: String,
    /// Who says it, and when it happened.
    pub(super) footer: String,
}

impl<'m> Fitted<'m> {
    fn of(message: &'m Message) -> Self {
        let cell = |text: &String| {
            let text = clip(&one_line(text), CELL_MAX);
            if text.is_empty() { EMPTY.to_owned() } else { text }
        };
        let cells = |row: &Vec<String>| row.iter().map(cell).collect();
        let hint = one_line(&message.hint);
        Self {
            message,
            title: clip(&one_line(&message.title), TITLE_MAX),
            lead: clip(&one_line(&message.lead), LEAD_MAX),
            columns: cells(&message.columns),
            rows: if message.columns.is_empty() {
                Vec::new()
            } else {
                message.rows.iter().take(ROWS_MAX).map(cells).collect()
            },
            more: None,
            link: message.link.as_deref().and_then(safe_link),
            hint: if hint.chars().count() > HINT_MAX { String::new() } else { hint },
            footer: labels::footer(message),
        }
    }

    fn with_rows(&self, count: usize) -> Self {
        let total = self.message.total.max(self.message.rows.len());
        let more = (!self.columns.is_empty()).then(|| labels::more(self.language(), count, total)).flatten();
        Self { rows: self.rows[..count].to_vec(), more, ..self.clone() }
    }

    /// The language of its words.
    pub(super) const fn language(&self) -> Language {
        self.message.language
    }

    /// Mood and title.
    pub(super) fn headline(&self) -> String {
        labels::headline(self.message, &self.title)
    }

    /// The only row there is, each cell on a line of its own behind its head: so it reads better than a table of one
    /// row. Nothing when there are more rows, or none.
    pub(super) fn only_row(&self, escape: fn(&str) -> String) -> Option<Vec<String>> {
        let [row] = self.rows.as_slice() else { return None };
        let line = |(head, cell): (&String, &String)| labels::labelled(self.language(), &escape(head), &escape(cell));
        self.more.is_none().then(|| self.columns.iter().zip(row).map(line).collect())
    }

    /// The heads of the table in one line; nothing without rows.
    pub(super) fn heads(&self, escape: fn(&str) -> String) -> Option<String> {
        let heads = || self.columns.iter().map(|head| escape(head)).collect::<Vec<_>>().join(BETWEEN);
        (!self.rows.is_empty()).then(heads)
    }

    /// Each row in one line, its first cell between marks, as for bold.
    pub(super) fn lines(&self, escape: fn(&str) -> String, mark: &str) -> impl Iterator<Item = String> {
        self.rows.iter().map(move |row| {
            let cells = row.iter().enumerate().map(|(at, cell)| match at {
                0 => format!("{mark}{}{mark}", escape(cell)),
                _ => escape(cell),
            });
            cells.collect::<Vec<_>>().join(BETWEEN)
        })
    }
}

/// Writes the message down with as many rows as fit. When it does not even fit without rows, the lead and then the
/// title are halved until it does, so that something is told in any case.
pub(super) fn fit<T>(message: &Message, compose: impl Fn(&Fitted<'_>) -> T, fits: impl Fn(&T) -> bool) -> T {
    let mut whole = Fitted::of(message);
    let try_rows = |count: usize| Some(compose(&whole.with_rows(count))).filter(&fits);
    if let Some(composed) = try_rows(whole.rows.len()) {
        return composed;
    }
    // Between `low` rows, which fit, and `high` rows, which do not.
    let (mut low, mut high, mut best) = (0, whole.rows.len(), None);
    if high > 0 {
        best = try_rows(0);
    }
    while best.is_some() && high - low > 1 {
        let middle = usize::midpoint(low, high);
        match try_rows(middle) {
            Some(composed) => (low, best) = (middle, Some(composed)),
            None => high = middle,
        }
    }
    if let Some(composed) = best {
        return composed;
    }
    loop {
        let text = if whole.lead.is_empty() { &mut whole.title } else { &mut whole.lead };
        *text = clip(text, text.chars().count() / 2);
        let composed = compose(&whole.with_rows(0));
        if fits(&composed) || whole.title.is_empty() {
            return composed;
        }
    }
}

/// The link as every dialect can hold it: http or https, with the characters percent-encoded that end a link somewhere.
fn safe_link(link: &str) -> Option<String> {
    let url = Url::parse(link.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut safe = String::new();
    for c in url.as_str().chars() {
        match c {
            '(' | ')' | '|' | '\\' | '`' | '*' | '<' | '>' | '"' | '\'' => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "%{:02X}", u32::from(c));
            }
            _ => safe.push(c),
        }
    }
    Some(safe).filter(|safe| safe.len() <= LINK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::fixture::message;

    /// Title, lead and rows on lines; its length in bytes is what must fit.
    fn plain(shown: &Fitted<'_>) -> String {
        let mut lines = vec![shown.title.clone(), shown.lead.clone()];
        lines.extend(shown.rows.iter().map(|row| row.join(BETWEEN)));
        lines.extend(shown.more.clone());
        lines.join("\n")
    }

    fn within(message: &Message, bytes: usize) -> String {
        fit(message, plain, |text| text.len() <= bytes)
    }

    #[test]
    fn to_the_byte() {
        let message = Message { total: 34, ..message() };
        let all = within(&message, usize::MAX);
        assert!(all.ends_with("茶馆 · wx00000000000000cc · 2天 22小时\n……另有 31 条"), "{all}");
        assert_eq!(within(&message, all.len()), all);

        let fewer = within(&message, all.len() - 1);
        assert!(fewer.ends_with("书屋 · wx00000000000000bb · 3天 1小时\n……另有 32 条"), "{fewer}");
        assert_eq!(within(&message, fewer.len()), fewer);
    }

    #[test]
    fn every_limit_is_kept_and_no_row_gets_lost() {
        let row = |n: usize| vec![format!("公众号{n}"), format!("wx{n:016x}"), "三天".to_owned()];
        let message = Message { rows: (0..60).map(row).collect(), total: 70, ..message() };
        for bytes in (60..4_000).step_by(7) {
            let text = within(&message, bytes);
            assert!(text.len() <= bytes, "{} > {bytes}", text.len());
            let rows = text.matches("公众号").count() - usize::from(text.contains("在等公众号"));
            let rest = match rows {
                0 => "共 70 条".to_owned(),
                some => format!("……另有 {} 条", 70 - some),
            };
            assert!(text.ends_with(&rest), "{rows} rows: {text}");
        }
    }

    #[test]
    fn a_long_lead_gives_way_when_no_row_is_left_to_cut() {
        let message = Message { lead: "请处理。".repeat(300), columns: Vec::new(), ..message() };
        let text = within(&message, 500);
        assert!(text.starts_with("3 个关联请求在等公众号管理员\n请处理。") && text.ends_with('…'), "{text}");
        // Not even the title: nothing is left, and there is an end.
        assert_eq!(within(&message, 0), "\n");
    }

    #[test]
    fn a_single_thing_is_told_without_a_table() {
        let mut message = message();
        message.rows.truncate(1);
        message.total = 1;
        fit(&message, |shown| assert_eq!(shown.only_row(str::to_owned).unwrap()[0], "公众号：小店"), |()| true);
        message.total = 2;
        fit(&message, |shown| assert_eq!(shown.only_row(str::to_owned), None), |()| true);
    }

    #[test]
    fn a_link_cannot_be_left_before_its_end() {
        let link = |text| safe_link(text).unwrap_or_default();
        assert_eq!(link("https://a.example/x y?q=(1)|<2>"), "https://a.example/x%20y?q=%281%29%7C%3C2%3E");
        assert_eq!(link("http://[::1]:8080/a"), "http://[::1]:8080/a");
        assert_eq!([link("javascript:alert(1)"), link("amplinkd.example")], ["", ""]);
        assert_eq!(link(&format!("https://a.example/{}", "x".repeat(LINK_MAX))), "");
    }
}
