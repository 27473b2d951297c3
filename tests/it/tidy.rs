//! Rules of this code base that no compiler checks. They read the source tree as text, without a toolchain, git or a
//! network, and their messages say where to look and what to do.

mod arrows;
mod ciphers;
mod circles;
mod machines;

use std::{fs, path::Path};

use self::arrows::ARROWS;

/// Words that betray what a room must never hold.
const FORBIDDEN: [(&str, &[&str], &str); 12] = [
    ("domain", &["async", "sqlx", "tokio", "tracing", "reqwest"], "the domain is pure: pass in what it needs"),
    ("engine", &["sqlx", "reqwest", "axum"], "the engine speaks to the database and to WeChat through their rooms"),
    ("alerting", &["sqlx", "reqwest", "axum"], "alerting speaks to the database and to channels through their rooms"),
    ("metrics", &["sqlx", "reqwest", "axum"], "metrics read what others count, and answer texts"),
    ("schedule", &["sqlx", "reqwest"], "a door wakes the engine and does nothing itself"),
    ("net", &["sqlx", "axum"], "a client remembers nothing"),
    (
        "credential",
        &["async", "sqlx", "tokio", "tracing", "reqwest", "axum"],
        "credentials are made and compared here, and nothing else",
    ),
    (
        "vault",
        &["async", "sqlx", "tokio", "tracing", "reqwest", "axum"],
        "the vault seals and opens, and does nothing else",
    ),
    ("wechat", &["sqlx", "axum"], "the client of WeChat remembers nothing"),
    ("store", &["reqwest", "axum"], "the store calls nobody"),
    ("notify", &["sqlx", "axum"], "a channel remembers nothing"),
    ("cli", &["sqlx", "reqwest"], "a door goes through the engine, or reads through the store"),
];

/// SQL stands beside the function that runs it, in the store alone.
const SQL: [&str; 9] = [
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "DELETE FROM ",
    "UPDATE ",
    "CREATE TABLE ",
    "CREATE VIEW ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

/// Ways to ask the database for the time, in any text.
const DATABASE_CLOCK: [&str; 7] =
    ["CURRENT_TIMESTAMP", "CURRENT_TIME", "CURRENT_DATE", "'now'", "unixepoch()", "julianday()", "_timestamp()"];

/// The same, where Rust's own calls cannot be meant.
const DATABASE_CLOCK_SQL: [&str; 4] = ["datetime()", "date()", "time()", "now()"];

/// Leases last by the database's clock alone: it is the one that all daemons have.
const OF_LEASES: [&str; 4] = [
    "src/store/server/beat.rs",
    "src/store/server/node.rs",
    "src/store/server/nodes.rs",
    "migrations/postgres/0001_schema.sql",
];

/// A longer file holds two nouns. Tests at its end are not counted.
const FILE_LINES_MAX: usize = 400;

/// A file of the tree.
struct Source {
    /// Relative to the crate, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The room it stands in; `None` outside `src` and for the crate's own head.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let room = inside.split('/').next()?;
        let room = room.strip_suffix(".rs").unwrap_or(room);
        (room != "lib").then_some(room)
    }

    /// The lines before the tests at the end, without comments; empty lines keep the count.
    fn code(&self) -> Vec<&str> {
        let mark = if self.is("sql") { "--" } else { "//" };
        self.before_tests().map(|line| without_comment(line, mark)).collect()
    }

    fn before_tests(&self) -> impl Iterator<Item = &str> {
        let end = self.text.rfind("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        self.text[..end].lines()
    }

    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// Every line that holds one of the words, as `path:line`.
    fn lines_with<'w>(&self, words: &'w [&'w str]) -> Vec<(String, &'w str)> {
        let numbered = (1..).zip(self.code());
        let found = numbered.flat_map(|(number, line)| {
            let here = format!("{}:{number}", self.path);
            words.iter().filter(move |word| line.contains(**word)).map(move |word| (here.clone(), *word))
        });
        found.collect()
    }
}

/// Cuts a comment off. An address such as `https://` is none.
fn without_comment<'l>(line: &'l str, mark: &str) -> &'l str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices(mark).map(|(at, _)| at).find(begins).map_or(line, |at| &line[..at])
}

/// Every text file of the crate, but for what is built or generated.
fn tree() -> Vec<Source> {
    let mut sources = Vec::new();
    gather(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the tree was not found");
    sources
}

fn gather(root: &Path, folder: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder of the crate").flatten() {
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        // What the fuzzer tries is not written to be tidy.
        let generated = ["target", "Cargo.lock", "artifacts", "corpus", "crashes", "finds"].contains(&name.as_str());
        let skipped = generated && ["", "fuzz"].contains(&folder) || name.starts_with('.') && name != ".ci";
        if skipped {
            continue;
        }
        if entry.path().is_dir() {
            gather(root, &path, sources);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            sources.push(Source { path, text });
        }
    }
}

fn tidy(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}\n{}", faults.join("\n"));
}

/// Rooms named in a text: after `crate::`, `super::` or the crate's name, alone or in braces. Each with its line.
fn named_rooms(code: &[&str]) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (index, line) in code.iter().enumerate() {
        for prefix in ["crate::", "super::", "amplinkd::"] {
            for (at, _) in line.match_indices(prefix) {
                let rest = &line[at + prefix.len()..];
                let found = if rest.starts_with('{') {
                    braced(&format!("{rest}\n{}", code[index + 1..].join("\n")))
                } else {
                    vec![identifier(rest)]
                };
                named.extend(found.into_iter().map(|name| (index + 1, name)));
            }
        }
    }
    named
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The first names inside `{a::b, c::{d, e}}`: `a` and `c`.
fn braced(text: &str) -> Vec<String> {
    let (mut depth, mut due, mut names) = (0_u32, false, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                depth += 1;
                due = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => due = depth == 1,
            c if due && !c.is_whitespace() => {
                names.push(identifier(&text[at..]));
                due = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn rooms_name_only_the_rooms_they_may() {
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| source.is("rs")) {
        let Some(room) = source.room() else { continue };
        let Some((_, may)) = ARROWS.iter().find(|(known, _)| *known == room) else {
            faults.push(format!("{}: the room `{room}` is new: give it a line in ARROWS", source.path));
            continue;
        };
        for (line, named) in named_rooms(&source.code()) {
            let is_room = ARROWS.iter().any(|(known, _)| *known == named);
            if is_room && named != room && !may.contains(&named.as_str()) {
                faults.push(format!(
                    "{}:{line}: `{room}` must not name `{named}`: move the code, or pass in what it needs",
                    source.path
                ));
            }
        }
    }
    tidy("arrows between rooms", &faults);
}

#[test]
fn rooms_hold_nothing_foreign() {
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| source.is("rs")) {
        let Some((_, words, reason)) = FORBIDDEN.iter().find(|(room, ..)| Some(*room) == source.room()) else {
            continue;
        };
        for (number, line) in (1..).zip(source.code()) {
            let mut found = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            if let Some(word) = found.find(|word| words.contains(word)) {
                faults.push(format!("{}:{number}: `{word}`: {reason}", source.path));
            }
        }
    }
    tidy("words that do not belong into a room", &faults);
}

#[test]
fn sql_stands_in_the_store_alone() {
    let outside = |source: &&Source| source.is("rs") && source.room().is_some_and(|room| room != "store");
    let found = tree().iter().filter(outside).flat_map(|source| source.lines_with(&SQL)).collect::<Vec<_>>();
    let faults: Vec<String> = found
        .into_iter()
        .map(|(place, word)| format!("{place}: `{word}`: move the statement into src/store"))
        .collect();
    tidy("SQL outside the store", &faults);
}

#[test]
fn sql_names_its_columns_and_takes_our_time() {
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| source.room() == Some("store") || source.is("sql")) {
        let stars = source.lines_with(&["SELECT *", "RETURNING *"]).into_iter();
        faults.extend(stars.map(|(place, word)| format!("{place}: `{word}`: name the columns")));
        let mut clocks = source.lines_with(&DATABASE_CLOCK);
        if source.is("sql") {
            clocks.extend(source.lines_with(&DATABASE_CLOCK_SQL));
        }
        // Which daemon lives is judged by the one clock that all of them see.
        let clocks = clocks.into_iter().filter(|_| !OF_LEASES.contains(&source.path.as_str()));
        faults.extend(clocks.map(|(place, word)| format!("{place}: `{word}`: pass in the time of our clock")));
    }
    tidy("careless SQL", &faults);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| source.is("rs")) {
        let head = source.text.lines().next().unwrap_or("").strip_prefix("//! ").unwrap_or("");
        if head.is_empty() {
            faults.push(format!("{}:1: begin with `//!`: what the file is for", source.path));
        }
        let lines = source.before_tests().count();
        if lines > FILE_LINES_MAX {
            faults
                .push(format!("{}: {lines} lines: split it by its nouns, {FILE_LINES_MAX} are the most", source.path));
        }
    }
    tidy("files", &faults);
}

#[test]
fn every_dependency_says_why() {
    let mut faults = Vec::new();
    for manifest in tree().iter().filter(|source| source.path.ends_with("Cargo.toml")) {
        let (mut in_section, mut above) = (false, "");
        for (number, line) in (1..).zip(manifest.text.lines()) {
            if line.starts_with('[') {
                in_section = line.trim_end().ends_with("dependencies]");
            } else if in_section && line.contains('=') && !line.starts_with('#') && !above.starts_with('#') {
                let path = &manifest.path;
                faults.push(format!("{path}:{number}: say in a comment above what this dependency is for"));
            }
            above = line;
        }
    }
    tidy("dependencies", &faults);
}

#[test]
fn every_key_is_in_the_example() {
    let example: toml::Table = include_str!("../../config/amplinkd.example.toml").parse().expect("legal TOML");
    let missing = amplinkd::config::keys().into_iter().filter(|dotted| {
        let (section, key) = dotted.split_once('.').expect("a section and a key");
        example.get(section).and_then(|section| section.get(key)).is_none()
    });
    let faults: Vec<String> =
        missing.map(|key| format!("config/amplinkd.example.toml: `{key}` is missing: show its default")).collect();
    tidy("the example configuration", &faults);
}

#[test]
fn every_document_can_be_found() {
    let tree = tree();
    let text_of = |path: &str| tree.iter().find(|source| source.path == path).map(|source| source.text.as_str());
    // Without a README there is no place to link from yet.
    let Some(readme) = text_of("README.md") else { return };
    let maps = [readme, text_of("ARCHITECTURE.md").unwrap_or("")];
    let lost = tree.iter().filter(|source| source.path.starts_with("docs/"));
    let lost = lost.filter(|source| !maps.iter().any(|map| map.contains(&source.path)));
    let faults: Vec<String> =
        lost.map(|source| format!("{}: link it from README.md or ARCHITECTURE.md", source.path)).collect();
    tidy("documents", &faults);
}

#[test]
fn the_arrows_are_found_however_they_are_written() {
    let code = ["use crate::{", "    clock::Clock,", "    domain::{id::X, store::Y},", "};", "super::super::sim::z()"];
    let named: Vec<String> = named_rooms(&code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(named, ["clock", "domain", "super", "sim"]);
    assert_eq!(without_comment("let a = \"https://b\"; // c", "//"), "let a = \"https://b\"; ");
}
