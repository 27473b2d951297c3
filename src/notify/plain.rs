//! A message as plain text, for `style = "text"` and for services that show nothing else.

use super::{labels, truncate::Fitted};

/// Every part of the message on lines of its own: what is needed, who must do what, the table, where more can be seen,
/// and last whom it calls. `escape` defuses what comes from outside; `calls` is written as it is.
pub(super) fn text(shown: &Fitted<'_>, escape: fn(&str) -> String, calls: &str) -> String {
    let language = shown.language();
    let mut lines = vec![escape(&shown.headline())];
    lines.extend(Some(escape(&shown.lead)).filter(|lead| !lead.is_empty()));
    lines.extend(shown.only_row(escape).unwrap_or_else(|| {
        let rows = shown.lines(escape, "").map(|line| format!("• {line}"));
        shown.heads(escape).into_iter().chain(rows).collect()
    }));
    lines.extend(shown.more.clone());
    lines.extend(shown.link.as_ref().map(|link| labels::labelled(language, labels::see(language), link)));
    if !shown.hint.is_empty() {
        lines.push(labels::run(language, &escape(&shown.hint)));
    }
    lines.push(shown.footer.clone());
    lines.extend(Some(calls.to_owned()).filter(|calls| !calls.is_empty()));
    lines.join("\n")
}
