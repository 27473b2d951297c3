//! Which daemon is meant: by an option, a profile or a variable; and what is refused before anything is sent.

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn with(profiles: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".config/amplinkd")).unwrap();
        std::fs::write(home.path().join(".config/amplinkd/profiles.toml"), profiles).unwrap();
        write_token(&home.path().join(".config/amplinkd/good.token"), "amplinkd_x_y");
        Self(home)
    }

    fn says(&self, variables: &[(&str, &str)], arguments: &str) -> Printed {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(self.0.path()).env("HOME", self.0.path()).env_remove("XDG_CONFIG_HOME");
        command.env_remove("AMPLINKD_SERVER").env_remove("AMPLINKD_TOKEN_FILE").env_remove("AMPLINKD_CONFIG");
        command.envs(variables.iter().copied()).args(arguments.split_whitespace());
        Printed::of(command)
    }
}

const PROFILES: &str = "[prod]\nserver = \"http://127.0.0.1:9\"\ntoken_file = \"good.token\"\n\
                        [plain]\nserver = \"http://amplinkd.example\"\ntoken_file = \"good.token\"\n\
                        [gone]\nserver = \"https://amplinkd.example\"\ntoken_file = \"none.token\"\n";

#[test]
fn what_is_wrong_with_a_place_is_said_before_anything_is_sent() {
    let home = Home::with(PROFILES);
    let token = home.0.path().join(".config/amplinkd/good.token").display().to_string();
    let says = |variables: &[(&str, &str)], arguments: &str, code, words: &str| {
        let said = home.says(variables, arguments);
        assert!(said.code == code && said.out.is_empty() && said.err.contains(words), "{arguments}: {said:?}");
        assert!(!said.err.contains("amplinkd_x_y"), "{said:?}");
    };
    let list = "request list";
    says(&[], &format!("--server https://a.example --profile prod {list}"), 2, "give one of them");
    says(&[], &format!("--profile prod -c a.toml {list}"), 2, "--config is about the daemon of this machine");
    says(&[], &format!("--profile tpyo {list}"), 2, "it has gone, plain, prod");
    says(&[], &format!("--profile gone {list}"), 2, "cannot read the token in");
    says(&[], &format!("--profile plain {list}"), 2, "insecure = true");
    says(&[], &format!("--profile prod {list}"), 1, "http://127.0.0.1:9 cannot be reached");
    says(&[], &format!("--server https://a.example {list}"), 2, "AMPLINKD_TOKEN_FILE");
    says(&[("AMPLINKD_TOKEN_FILE", &token)], &format!("--server a.example {list}"), 2, "--server: expected an address");
    let variables = [("AMPLINKD_SERVER", "http://127.0.0.1:9"), ("AMPLINKD_TOKEN_FILE", token.as_str())];
    says(&variables, list, 1, "http://127.0.0.1:9 cannot be reached");
    says(&variables, "db verify", 2, "unset AMPLINKD_SERVER");
    says(&variables, "-c none.toml request list", 1, "--config goes before AMPLINKD_SERVER");
    // What speaks to no daemon is nothing to such a variable.
    assert_eq!(home.says(&variables, "completions bash").code, 0);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    says(&variables, list, 2, "every user of this machine may read the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_and_a_variable_lead_to_a_daemon() {
    let far = Far::open("").await;
    let token = far.house.path("token").display().to_string();
    let home = Home::with(&format!("[prod]\nserver = \"{}\"\ntoken_file = \"{token}\"\n", far.house.base));
    let want = far.near("user list -o json");
    assert_eq!(home.says(&[], "--profile prod user list -o json"), want);
    assert_eq!(home.says(&[], "user list -o json --profile prod"), want);
    let variables = [("AMPLINKD_SERVER", far.house.base.as_str()), ("AMPLINKD_TOKEN_FILE", &token)];
    assert_eq!(home.says(&variables, "user list -o json"), want);
    let help = home.says(&[], "request list --help").out;
    assert!(help.contains("--server <URL>") && help.contains("--profile <NAME>"), "{help}");
}
