//! What documents show of configuration: it is legal, its defaults are the defaults, and both READMEs show the same. It must
//! never look at anything else of them.

use amplinkd::{config::Config, domain::policy::Policy};

use crate::database_docs::blocks;

const READMES: [&str; 2] = [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")];

const DOCUMENTS: [&str; 5] = [
    include_str!("../../docs/alerts.md"),
    include_str!("../../docs/approvals.md"),
    include_str!("../../docs/events.md"),
    include_str!("../../docs/metrics.md"),
    include_str!("../../docs/network.md"),
];

#[test]
fn both_readmes_show_the_same_commands_configuration_and_queries() {
    for language in ["sh", "toml", "sql"] {
        let [english, chinese] = READMES.map(|text| blocks(text, language));
        assert!(!english.is_empty() && english == chinese, "{language}:\n{english:#?}\n{chinese:#?}");
    }
}

#[test]
fn the_first_configuration_is_legal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amplinkd.toml");
    std::fs::write(&file, blocks(READMES[0], "toml")[0]).unwrap();
    std::fs::write(folder.path().join("token-service.key"), "Bearer 1").unwrap();
    let config = Config::load(Some(&file), []).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.policy(), Policy::default(), "what is said to be the default");
}

/// A configuration and its secrets as a document shows them, each secret in its file.
#[test]
fn every_piece_of_configuration_is_legal() {
    for piece in DOCUMENTS.into_iter().chain([READMES[0]]).flat_map(|text| blocks(text, "toml")) {
        let folder = tempfile::tempdir().unwrap();
        let files = piece.lines().filter_map(|line| line.split('"').nth(1).filter(|_| line.contains("_file = ")));
        for file in files.chain(["token-service.key"]) {
            let text = match file {
                "ca.pem" => rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap().cert.pem(),
                "proxy" => "http://user:password@proxy.example:3128".to_owned(),
                _ => "https://hooks.example/1".to_owned(),
            };
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let tokens = "\n[tokens.headers_file]\nAuthorization = \"token-service.key\"\n";
        let tokens = if piece.contains("[tokens.headers_file]") { "" } else { tokens };
        let file = folder.path().join("amplinkd.toml");
        std::fs::write(&file, format!("{piece}{tokens}")).unwrap();
        Config::load(Some(&file), []).unwrap_or_else(|error| panic!("{error}\n{piece}"));
    }
}
