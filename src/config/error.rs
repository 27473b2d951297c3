//! Why a configuration is refused, with what to fix. A line that may hold a secret is not shown.

use std::{fmt, ops::Range, path::PathBuf};

/// The file of the configuration that is taken when none is named.
pub(super) const DEFAULT_FILE: &str = "amplinkd.toml";

/// The variable that names it when no `-c` does.
pub(super) const FILE_VARIABLE: &str = "AMPLINKD_CONFIG";

/// The longest line that is repeated in an error; a longer one would bury the sentence.
const EXCERPT_MAX: usize = 160;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file was named, there is none here, and no variable sets a key.
    #[error(
        "no configuration: give a file with -c FILE or {FILE_VARIABLE}, put {DEFAULT_FILE} into this folder \
         (config/amplinkd.example.toml shows every key), or set variables such as AMPLINKD__DATABASE__URL; \
         `amplinkd demo` needs none"
    )]
    NoFile,
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file has a mistake.
    #[error("{0}")]
    InFile(InFile),
    /// A variable has a mistake.
    #[error("{variable}: {wrong}")]
    InEnvironment {
        /// The variable's name.
        variable: String,
        /// What is wrong and what is allowed.
        wrong: String,
    },
}

/// A mistake in the file, and where.
#[derive(Debug)]
pub struct InFile {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1; `None` when something is missing altogether.
    pub place: Option<(usize, usize)>,
    /// The dotted key, such as `polling.steps`; empty when the text is no TOML.
    pub key: String,
    /// What is wrong and what is allowed.
    pub wrong: String,
    /// The line and a caret under the mistake; `None` when the line may hold a secret.
    excerpt: Option<String>,
}

impl InFile {
    /// A mistake at `span` of `text`.
    pub(super) fn at(path: PathBuf, text: &str, span: Option<Range<usize>>, key: &str, wrong: &str) -> Self {
        let place = span.as_ref().map(|span| place(text, span.start));
        let excerpt = span.and_then(|span| excerpt(text, span, key));
        Self { path, place, key: key.to_owned(), wrong: wrong.to_owned(), excerpt }
    }
}

impl fmt::Display for InFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        match self.key.split_once('.') {
            Some((section, key)) => match numbered(key) {
                Some((name, "")) => write!(f, " [[{section}.{name}]]: ")?,
                Some((name, key)) => write!(f, " [[{section}.{name}]] {key}: ")?,
                None => write!(f, " [{section}] {key}: ")?,
            },
            None if self.key.is_empty() => write!(f, " ")?,
            None => write!(f, " [{}]: ", self.key)?,
        }
        f.write_str(&self.wrong)?;
        self.excerpt.as_ref().map_or(Ok(()), |excerpt| write!(f, "\n{excerpt}"))
    }
}

/// Name and key of a numbered section, as in `channel.2.url`; the number is for us, people see the line.
fn numbered(key: &str) -> Option<(&str, &str)> {
    let (name, rest) = key.split_once('.')?;
    let (number, key) = rest.split_once('.').unwrap_or((rest, ""));
    (["override", "channel"].contains(&name) && number.parse::<usize>().is_ok()).then_some((name, key))
}

/// [`place`] of a byte in a text that need not be UTF-8; all before it is.
pub(super) fn place_of_byte(text: &[u8], at: usize) -> (usize, usize) {
    place(&String::from_utf8_lossy(text.get(..at).unwrap_or(text)), at)
}

/// Line and column of an offset, from 1, as editors count.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn excerpt(text: &str, span: Range<usize>, key: &str) -> Option<String> {
    let (number, column) = place(text, span.start);
    let line = text.lines().nth(number - 1)?;
    if line.chars().count() > EXCERPT_MAX || may_hold_secret(text, number, key) {
        return None;
    }
    // Tabs would push the caret aside, and control characters do not belong on a terminal.
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let marked = text.get(span).map_or(1, |marked| marked.lines().next().unwrap_or("").chars().count()).max(1);
    let gutter = " ".repeat(number.to_string().len());
    let (indent, carets) = (" ".repeat(column - 1), "^".repeat(marked));
    Some(format!("  {number} | {shown}\n  {gutter} | {indent}{carets}"))
}

/// Whether a line may hold a secret. It errs on the safe side: where secrets belong, a line is shown only when it is
/// known to be one of the harmless keys there, and a line that speaks of secrets is never shown.
fn may_hold_secret(text: &str, number: usize, key: &str) -> bool {
    let mut lines: Vec<&str> = text.lines().take(number).map(str::trim_start).collect();
    let Some(line) = lines.pop() else { return true };
    if line.starts_with('[') && !line.contains(['"', '\'', '=']) {
        return false;
    }
    if is_harmless(line, key) {
        return false;
    }
    let among_secrets = ["tokens", "alerts", "heartbeat"]
        .iter()
        .any(|section| key.strip_prefix(section).is_some_and(|below| below.is_empty() || below.starts_with('.')));
    let header = lines.iter().rev().find(|line| line.starts_with('[')).map(|header| header.to_ascii_lowercase());
    // Words and parts of words: a header may be misspelt.
    let headers = ["tok", "alert", "chan", "heart", "beat"];
    let below_secrets = header.is_some_and(|header| headers.iter().any(|word| header.contains(word)));
    let speaks_of_secrets = [
        "tok",
        "secret",
        "header",
        "authorization",
        "password",
        "bearer",
        "key",
        "alert",
        "channel",
        "heartbeat",
        "proxy",
    ];
    let line = line.to_ascii_lowercase();
    // An address may name a password; in a text that is no TOML nobody knows whose it is.
    let is_address = line.contains("://") && (key.is_empty() || line.contains('@') || key.starts_with("database"));
    among_secrets || below_secrets || is_address || speaks_of_secrets.iter().any(|word| line.contains(word))
}

/// Whether a line where secrets belong begins with one of the keys there that are none, and holds nothing else.
fn is_harmless(line: &str, key: &str) -> bool {
    const TOKENS: [&str; 3] = ["source", "timeout", "ca_file"];
    const ALERTS: [&str; 10] = [
        "stuck_after",
        "repeat_every",
        "group_within",
        "quiet_hours",
        "quiet_except",
        "timezone",
        "language",
        "keep_outcomes",
        "give_up_after",
        "link",
    ];
    const OVERRIDE: [&str; 3] = ["label", "account", "stuck_after"];
    const CHANNEL: [&str; 13] = [
        "name", "kind", "events", "rules", "after", "language", "timeout", "from", "to", "hello", "style", "mention",
        "ca_file",
    ];
    const HEARTBEAT: [&str; 4] = ["every", "timeout", "kind", "ca_file"];
    let names = match key.split('.').collect::<Vec<_>>()[..] {
        ["tokens", name] => TOKENS.contains(&name).then_some(name),
        ["alerts", "override", _, name, ..] => OVERRIDE.contains(&name).then_some(name),
        ["alerts", "channel", _, name] => CHANNEL.contains(&name).then_some(name),
        ["alerts", name, ..] => ALERTS.contains(&name).then_some(name),
        ["heartbeat", name] => HEARTBEAT.contains(&name).then_some(name),
        _ => None,
    };
    // A second key on the line may be another one of the same table.
    let is_alone = |name: &str| ["stuck_after", "label"].contains(&name) || line.matches('=').count() == 1;
    names.is_some_and(|name| line.starts_with(name) && is_alone(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_as_editors_count() {
        assert_eq!(place("a\nbc", 0), (1, 1));
        assert_eq!(place("a\nbc", 3), (2, 2));
        assert_eq!(place("\u{4e2d}\u{6587}x", 6), (1, 3));
        assert_eq!(place("a", 99), (1, 2));
    }
}
