//! The commands by what they are for, as the help lists them. The names and what they do are those of the command tree.

use std::fmt::Write as _;

use clap::{CommandFactory as _, builder::StyledStr};

use super::Cli;

/// Each group with the names of its commands, in the order in which people meet them.
const GROUPS: [(&str, &[&str]); 8] = [
    ("See it work", &["demo", "simulate", "selftest"]),
    ("Links", &["request", "account", "program", "conflict", "report"]),
    ("What people are told", &["alert", "channel", "heartbeat"]),
    ("The daemon", &["run", "config", "status", "health", "plan", "gate", "node", "audit"]),
    ("The platform", &["authorizer", "component", "token-key"]),
    ("The database", &["db", "secrets"]),
    ("Who may do what", &["user", "api-token", "action"]),
    ("The shell", &["completions"]),
];

/// The command line with its commands in groups.
pub(super) fn command() -> clap::Command {
    let command = Cli::command();
    let listed = listed(&command);
    command.help_template(listed)
}

/// What the help says, with a place for what is made as ever.
fn listed(command: &clap::Command) -> StyledStr {
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let shown = || command.get_subcommands().filter(|one| !one.is_hide_set());
    let width = shown().map(|one| one.get_name().len()).max().unwrap_or_default();
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (group, names) in GROUPS {
        let _ = write!(text, "\n{header}{group}:{header:#}\n");
        for one in names.iter().filter_map(|name| shown().find(|one| one.get_name() == *name)) {
            let aliases: Vec<&str> = one.get_visible_aliases().collect();
            let aliases = if aliases.is_empty() { String::new() } else { format!(" [alias: {}]", aliases.join(", ")) };
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {literal}{:width$}{literal:#}  {about}{aliases}", one.get_name());
        }
    }
    let _ = write!(text, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    text.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_every_name_is_a_command() {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (group, names) in GROUPS {
            for name in names {
                groups.entry(name).or_default().push(group);
            }
        }
        let command = Cli::command();
        let shown: Vec<&str> =
            command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name).collect();
        for name in &shown {
            assert_eq!(groups.get(name).map(Vec::len), Some(1), "{name} is in {:?}", groups.get(name));
        }
        assert_eq!(groups.len(), shown.len(), "{groups:?}");
    }

    #[test]
    fn the_help_has_every_command_once_with_what_it_does_and_all_options() {
        let help = command().render_help().to_string();
        for one in Cli::command().get_subcommands().filter(|one| !one.is_hide_set()) {
            let line = |line: &&str| line.trim_start().split(' ').next() == Some(one.get_name());
            let lines: Vec<&str> = help.lines().filter(line).collect();
            let about = one.get_about().unwrap().to_string();
            assert!(lines.len() == 1 && lines[0].contains(&about), "{}: {lines:?}", one.get_name());
        }
        let options = ["--config", "--server", "--profile", "--output", "--excel", "--help", "--version"];
        for option in options {
            let lines = help.lines().filter(|line| line.trim_start().starts_with('-') && line.contains(option));
            assert_eq!(lines.count(), 1, "{option}: {help}");
        }
        assert!(help.contains("\nExit codes: "), "{help}");
        assert!(GROUPS.iter().all(|(group, _)| help.contains(&format!("\n{group}:\n"))), "{help}");
    }
}
