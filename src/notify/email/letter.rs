//! Encodes a message as a mail, text and HTML, the same on every retry except for the date. No line break gets into a
//! header and no outside text unescaped into the HTML: both would be injections.

use std::time::{Duration, SystemTime};

use lettre::{
    Address,
    message::{
        Mailbox, MessageBuilder, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{
        message::Message,
        text::{
            Language,
            format::{clip, one_line},
        },
        time::Time,
    },
    notify::labels,
};

/// Rows of a table. More are not read in a mail; the hint's command shows all.
const ROWS_MAX: usize = 200;

/// Bytes of all rows as HTML. Gmail clips a mail at about 102 kB, as senders have measured (Google documents no
/// figure), so the rest of the page has 12 kB left.
const ROWS_BYTES_MAX: usize = 90_000;

/// Characters of one cell: longer than any name or sentence of ours.
const CELL_CHARS_MAX: usize = 500;

/// Characters of the subject. Mail programs show about 100.
const SUBJECT_CHARS_MAX: usize = 200;

/// Characters of the lead, which is a sentence or two.
const LEAD_CHARS_MAX: usize = 2_000;

/// Characters of the link and of the hint.
const HINT_CHARS_MAX: usize = 1_000;

/// Seconds after 1970 of the last moment that a mail's date can be: the end of the year 9999.
const DATE_MAX_S: u64 = 253_402_300_799;

/// What every subject begins with, for filters.
const PREFIX: &str = "[amplinkd] ";

/// Who a mail is from, and whom it goes to.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
}

impl Envelope {
    /// The addresses it goes to, without names.
    pub(super) fn recipients(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().map(|mailbox| &mailbox.email)
    }
}

/// The whole mail as bytes, ASCII only. The error is a sentence.
pub(super) fn write(message: &Message, envelope: &Envelope, now: Time) -> Result<Vec<u8>, String> {
    let domain = envelope.from.email.domain().trim_start_matches('[').trim_end_matches(']');
    let thread = format!("<thread-{}@{domain}>", fingerprint(&message.partition_key));
    let mut builder = MessageBuilder::new()
        .from(envelope.from.clone())
        .date(date(now))
        .subject(format!("{PREFIX}{}", title(message)))
        .message_id(Some(format!("<{}@{domain}>", name(&message.id))))
        // The thread's first mail was never sent; programs group by the name alone.
        .in_reply_to(thread.clone())
        .references(thread)
        // Out-of-office programs answer nothing that says so (RFC 3834, section 5).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    for mailbox in &envelope.to {
        builder = builder.to(mailbox.clone());
    }
    let body = Body::of(message);
    let parts = MultiPart::alternative().boundary(format!("amplinkd-{}", fingerprint(&message.id))).build();
    let parts = parts
        .singlepart(lettre::message::SinglePart::plain(body.text(message)))
        .singlepart(lettre::message::SinglePart::html(body.html(message)));
    builder.multipart(parts).map(|mail| mail.formatted()).map_err(|error| format!("no mail can be made: {error}"))
}

fn date(now: Time) -> SystemTime {
    let ms = u64::try_from(now.ms()).unwrap_or(0).min(DATE_MAX_S * 1_000);
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

/// An id as the left half of a Message-ID: as it is when it can stand there, otherwise its fingerprint.
fn name(id: &str) -> String {
    let fits = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits { id.to_owned() } else { fingerprint(id) }
}

/// What it is about and what it asks for, in one line.
fn title(message: &Message) -> String {
    labels::headline(message, &clip(&one_line(&message.title), SUBJECT_CHARS_MAX))
}

/// 128 bits of a hash in hexadecimal.
fn fingerprint(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A message cut to what a mail takes, its texts in single lines.
struct Body {
    language: Language,
    title: String,
    lead: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// How many rows are missing, in words.
    more: Option<String>,
    link: Option<String>,
    hint: String,
}

impl Body {
    fn of(message: &Message) -> Self {
        let cells = |row: &[String]| row.iter().map(|cell| clip(&one_line(cell), CELL_CHARS_MAX)).collect::<Vec<_>>();
        let mut bytes = 0;
        let rows = message.rows.iter().take(ROWS_MAX).map(|row| cells(row)).take_while(|row| {
            bytes += html_row("td", row).len();
            bytes <= ROWS_BYTES_MAX
        });
        let rows: Vec<Vec<String>> = rows.collect();
        Self {
            language: message.language,
            title: title(message),
            lead: clip(&one_line(&message.lead), LEAD_CHARS_MAX),
            columns: cells(&message.columns),
            // Without a table, `total` counts what the words already speak of.
            more: labels::more(message.language, rows.len(), message.total.max(message.rows.len()))
                .filter(|_| !message.rows.is_empty()),
            rows,
            link: message.link.as_deref().map(|link| clip(&one_line(link), HINT_CHARS_MAX)),
            hint: clip(&one_line(&message.hint), HINT_CHARS_MAX),
        }
    }

    fn text(&self, message: &Message) -> String {
        let mut blocks = vec![self.title.clone()];
        if !self.lead.is_empty() {
            blocks.push(self.lead.clone());
        }
        if !self.rows.is_empty() {
            let mut lines: Vec<String> =
                std::iter::once(&self.columns).chain(&self.rows).map(|r| r.join(" | ")).collect();
            lines.extend(self.more.clone());
            blocks.push(lines.join("\n"));
        }
        let mut last = Vec::new();
        last.extend(self.link.as_ref().map(|link| labels::labelled(self.language, labels::see(self.language), link)));
        last.extend((!self.hint.is_empty()).then(|| labels::run(self.language, &self.hint)));
        if !last.is_empty() {
            blocks.push(last.join("\n"));
        }
        blocks.push(format!("-- \n{}", origin(message)));
        blocks.join("\n\n") + "\n"
    }

    fn html(&self, message: &Message) -> String {
        let paragraph = |inner: &str| format!("<p>{inner}</p>\n");
        let mut parts = vec![format!(
            "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"></head>\n\
             <body style=\"font-family:sans-serif;font-size:14px\">\n<h2 style=\"font-size:18px\">{}</h2>\n",
            match self.language {
                Language::En => "en",
                Language::Zh => "zh-CN",
            },
            escaped(&self.title)
        )];
        parts.extend((!self.lead.is_empty()).then(|| paragraph(&escaped(&self.lead))));
        if !self.rows.is_empty() {
            let table = "<table border=\"1\" cellpadding=\"6\" style=\"border-collapse:collapse;font-size:13px\">\n";
            parts.push(table.to_owned());
            parts.push(html_row("th align=\"left\"", &self.columns));
            parts.extend(self.rows.iter().map(|row| html_row("td", row)));
            parts.push("</table>\n".to_owned());
            parts.extend(self.more.as_deref().map(paragraph));
        }
        let link = |link| labels::labelled(self.language, labels::see(self.language), &html_link(link));
        parts.extend(self.link.as_deref().map(|to| paragraph(&link(to))));
        let hint = || format!("<code>{}</code>", escaped(&self.hint));
        parts.extend((!self.hint.is_empty()).then(|| paragraph(&labels::run(self.language, &hint()))));
        let origin = escaped(&origin(message));
        parts.push(format!("<p style=\"color:#888;font-size:12px\">{origin}</p>\n</body></html>\n"));
        parts.concat()
    }
}

/// Where a mail comes from, for whoever asks later.
fn origin(message: &Message) -> String {
    one_line(&format!("{} · {} {}", labels::footer(message), message.kind, message.id))
}

/// A row of cells; `tag` may carry attributes.
fn html_row(tag: &str, cells: &[String]) -> String {
    let end = tag.split(' ').next().unwrap_or(tag);
    let mut parts = vec!["<tr>".to_owned()];
    parts.extend(cells.iter().map(|cell| format!("<{tag}>{}</{end}>", escaped(cell))));
    parts.push("</tr>\n".to_owned());
    parts.concat()
}

/// A link that can be clicked when it leads to a page, and is read when it does not.
fn html_link(link: &str) -> String {
    let shown = escaped(link);
    if link.starts_with("https://") || link.starts_with("http://") {
        format!("<a href=\"{shown}\">{shown}</a>")
    } else {
        shown
    }
}

/// A text that is no markup, neither between tags nor inside quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            '\'' => html += "&#39;",
            c => html.push(c),
        }
    }
    html
}
