//! Which daemon is meant: by an option, a profile or a variable; and what is refused before anything is sent.

use super::*;
use crate::notify::egress::{
    authority::Authority,
    proxy::{CorporateProxy, Manner, PASSWORD, USER},
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_intranet_is_trusted_by_its_file() {
    let far = Far::open("").await;
    let token = far.house.path("token").display().to_string();
    let behind = far.house.base.trim_start_matches("http://").parse().unwrap();
    let (ours, theirs) = (Authority::new("intranet"), Authority::new("somebody else"));
    let at = ours.issue(&["127.0.0.1"]).wrap(behind).await;
    let profile =
        |name: &str, more: &str| format!("[{name}]\nserver = \"https://{at}\"\ntoken_file = \"{token}\"\n{more}\n");
    let home = Home::with(
        &[
            profile("good", "ca_file = \"ours.pem\""),
            profile("other", "ca_file = \"theirs.pem\""),
            profile("none", ""),
            profile("missing", "ca_file = \"nowhere.pem\""),
            profile("wrong", "ca_file = \"good.token\""),
        ]
        .concat(),
    );
    std::fs::write(home.0.path().join(".config/amplinkd/ours.pem"), &ours.pem).unwrap();
    std::fs::write(home.0.path().join(".config/amplinkd/theirs.pem"), &theirs.pem).unwrap();
    far.house.request(&far.token, crate::http::PROGRAM).await;
    let there = home.says(&[], "--profile good request list --state requested -o json");
    assert_eq!((there.code, there.json()[0]["program"].as_str()), (0, Some(crate::http::PROGRAM)), "{there:?}");
    for (name, code, words) in [
        ("other", 1, "nobody trusted issued the server's certificate"),
        ("none", 1, "nobody trusted issued the server's certificate"),
        ("missing", 2, "ca_file"),
        ("wrong", 2, "no certificate"),
    ] {
        let said = home.says(&[], &format!("--profile {name} request list"));
        assert!(said.code == code && said.out.is_empty() && said.err.contains(words), "{name}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_behind_a_proxy_is_reached_through_it() {
    let far = Far::open("hosts = [\"intranet.example\"]").await;
    let token = far.house.path("token").display().to_string();
    let behind = far.house.base.trim_start_matches("http://").parse().unwrap();
    let authority = Authority::new("intranet");
    let tls = authority.issue(&["intranet.example"]).wrap(behind).await;
    let proxy = CorporateProxy::start(Manner::Friendly, tls).await;
    let closed = CorporateProxy::start(Manner::Answers("403 Forbidden"), tls).await;
    let profile = |name: &str, proxy: &str| {
        format!(
            "[{name}]\nserver = \"https://intranet.example\"\ntoken_file = \"{token}\"\nca_file = \"ca.pem\"\n{proxy}\n"
        )
    };
    let password = PASSWORD.replace('/', "%2F").replace('@', "%40").replace(':', "%3A");
    let home = Home::with(
        &[
            profile("good", "proxy_file = \"proxy\""),
            profile("stranger", &format!("proxy = \"http://{USER}:hush@{}\"", proxy.address)),
            profile("closed", &format!("proxy = \"http://{}\"", closed.address)),
            profile("both", "proxy_file = \"proxy\"\nproxy = \"http://127.0.0.1:9\""),
        ]
        .concat(),
    );
    let folder = home.0.path().join(".config/amplinkd");
    std::fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    std::fs::write(folder.join("proxy"), format!("http://{USER}:{password}@{}\n", proxy.address)).unwrap();
    let want = far.near("user list -o json");
    assert_eq!(home.says(&[], "--profile good user list -o json"), want);
    assert!(proxy.log().iter().all(|line| line.starts_with("CONNECT intranet.example:443 ")), "{:?}", proxy.log());
    for (name, code, words) in [
        ("stranger", 1, "the proxy wants a user and a password"),
        ("closed", 1, "the proxy opens no tunnel"),
        ("both", 2, "not both"),
    ] {
        let said = home.says(&[], &format!("--profile {name} user list"));
        assert!(said.code == code && said.out.is_empty() && said.err.contains(words), "{name}: {said:?}");
        assert!(!said.err.contains("hush") && !said.err.contains(PASSWORD), "{said:?}");
    }
}
