//! Why a configuration is refused, said so that it can be mended. It must never show a line that may hold a secret.

use std::{fmt, io, ops::Range, path::PathBuf};

use super::{DEFAULT_FILE, FILE_VARIABLE};

/// The longest line that is repeated in an error; a longer one would bury the sentence.
const EXCERPT_MAX: usize = 160;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file was named and there is none here.
    #[error(
        "no configuration: give a file with -c FILE or {FILE_VARIABLE}, or put {DEFAULT_FILE} into this folder \
         (config/amplinkd.example.toml shows every key); `amplinkd demo` needs none"
    )]
    NoFile,
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
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
            Some((section, key)) => write!(f, " [{section}] {key}: ")?,
            None if self.key.is_empty() => write!(f, " ")?,
            None => write!(f, " [{}]: ", self.key)?,
        }
        f.write_str(&self.wrong)?;
        self.excerpt.as_ref().map_or(Ok(()), |excerpt| write!(f, "\n{excerpt}"))
    }
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

/// Whether a line may hold a secret. It errs on the safe side: a line is shown under `[tokens]` only when it is known
/// to be one of the harmless keys there, and a line that speaks of secrets is never shown.
fn may_hold_secret(text: &str, number: usize, key: &str) -> bool {
    let mut lines: Vec<&str> = text.lines().take(number).map(str::trim_start).collect();
    let Some(line) = lines.pop() else { return true };
    if line.starts_with('[') && !line.contains(['"', '\'', '=']) {
        return false;
    }
    let harmless = ["source", "timeout"];
    if harmless.iter().any(|name| key == format!("tokens.{name}") && line.starts_with(name)) {
        return false;
    }
    let header = lines.iter().rev().find(|line| line.starts_with('['));
    let below_tokens = header.is_some_and(|header| header.to_ascii_lowercase().contains("tok"));
    let speaks_of_secrets = ["tok", "secret", "header", "authorization", "password", "bearer", "key"];
    let line = line.to_ascii_lowercase();
    below_tokens || speaks_of_secrets.iter().any(|word| line.contains(word))
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
