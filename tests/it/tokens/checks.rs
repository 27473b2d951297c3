//! What `config check` says of a platform's configuration, and what a reload refuses.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

impl Platform {
    /// `config check` of the configuration with this in place of that: whether it is legal, and what it says.
    fn checked(&self, from: &str, to: &str) -> (bool, String) {
        let config = std::fs::read_to_string(self.path("amplinkd.toml")).unwrap();
        assert!(config.contains(from), "{from} in {config}");
        std::fs::write(self.path("checked.toml"), config.replacen(from, to, 1)).unwrap();
        let said = self.command("config check -c checked.toml").output().unwrap();
        (said.status.success(), String::from_utf8(said.stderr).unwrap())
    }

    /// Files of secrets as docs/tokens.md has them made.
    fn keep_secrets(&self) {
        for name in ["secret", "token", "aes", "database.key"] {
            std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_stop_the_start_is_an_error_with_its_key() {
    let platform = Platform::new().await;
    platform.keep_secrets();
    assert_eq!(platform.checked("\n", "\n"), (true, String::new()), "nothing is wrong");
    std::fs::write(platform.path("short"), "abc\n").unwrap();
    let callback = format!("listen = \"127.0.0.1:{}\"", platform.callback);
    let service = format!("listen = \"127.0.0.1:{}\"", platform.service);
    let long = format!("listen = \"unix:{}\"", "s".repeat(200));
    let digest = "key_sha256";
    for (from, to, words) in [
        ("aes_key_file = \"aes\"", "aes_key_file = \"short\"", &["aes_key_file", "43"][..]),
        ("aes_key_file = \"aes\"", "aes_key_file = \"aes\"\nprevious_aes_key_file = \"short\"", &["previous_aes_key"]),
        ("key_file = \"database.key\"", "key_file = \"short\"", &["key_file", "secrets new-key"]),
        (&callback, "listen = \"unix:nowhere/s\"", &["[callback] listen", "nowhere", "no folder"]),
        (&callback, &long, &["[callback] listen", "107"]),
        (&service, &callback, &["[token_service] listen", "[callback] listen", "its own"]),
        (digest, "per_minute = 0\nkey_sha256", &["per_minute", "1 to 1000000"]),
    ] {
        let (is_legal, said) = platform.checked(from, to);
        assert!(!is_legal && words.iter().all(|word| said.contains(word)), "{to}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_legal_and_hardly_meant_is_a_warning() {
    let platform = Platform::new().await;
    platform.keep_secrets();
    let config = std::fs::read_to_string(platform.path("amplinkd.toml")).unwrap();
    let digest = config.lines().find(|line| line.starts_with("key_sha256")).unwrap();
    let second = format!("\n[[token_service.caller]]\nname = \"other\"\n{digest}\naccounts = [\"*\"]\n[callback]\n");
    let accounts = format!("accounts = [\"{ACCOUNT}\"]");
    let path = format!("[callback]\nlisten = \"127.0.0.1:{}\"", platform.callback);
    for (from, to, words) in [
        ("[callback]\n", second.as_str(), &["token_service.caller.", "\"crm\"", "\"other\""][..]),
        (&accounts, "accounts = []", &["token_service.caller.1.accounts", "no token"]),
        (&path, &format!("{path}\nplain_json = true"), &["callback.plain_json"]),
        (
            "source = \"component\"",
            "command = [\"true\"]\nsource = \"command\"",
            &["token_service.listen", "no effect"],
        ),
    ] {
        let (is_legal, said) = platform.checked(from, to);
        assert!(is_legal && words.iter().all(|word| said.contains(word)), "{to}: {said}");
    }
    for (file, key) in [("database.key", "secrets.key_file"), ("aes", "component.aes_key_file")] {
        platform.keep_secrets();
        std::fs::set_permissions(platform.path(file), std::fs::Permissions::from_mode(0o644)).unwrap();
        let (is_legal, said) = platform.checked("\n", "\n");
        assert!(is_legal && said.contains(key) && said.lines().count() == 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_place_of_a_secret_is_refused_and_not_waited_for() {
    let platform = Platform::new().await;
    let pipe = platform.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (is_legal, said) = platform.checked("key_file = \"database.key\"", "key_file = \"pipe\"");
    assert!(!is_legal && said.contains("pipe: it is a pipe"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_written_is_not_put_in_force() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    let whole = std::fs::read_to_string(platform.path("amplinkd.toml")).unwrap();
    let half = whole.split("[tokens]").next().unwrap().to_owned();
    for (number, written) in (1..).zip([String::new(), half]) {
        std::fs::write(platform.path("amplinkd.toml"), written).unwrap();
        daemon.signal(Signal::HUP);
        let is_refused = async || daemon.log.count("config.rejected") == number;
        assert!(wait_for(PATIENCE, is_refused).await, "{}", daemon.log.tail());
    }
    assert!(daemon.log.tail().contains("[tokens]") && daemon.log.count("config.reloaded") == 0);
    std::fs::write(platform.path("amplinkd.toml"), &whole).unwrap();
    daemon.signal(Signal::HUP);
    assert!(wait_for(PATIENCE, async || daemon.log.count("config.reloaded") == 1).await);
    platform.push_ticket().await;
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&[33]), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    let is_there = async || platform.token(&platform.key, ACCOUNT).await.0 == 200;
    assert!(wait_for(PATIENCE, is_there).await, "WeChat is where it was: {}", daemon.log.tail());
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_of_the_simulator_has_an_appid_and_an_address_or_none() {
    let platform = Platform::new().await;
    for (arguments, word) in
        [("--component wx12", "wx12"), ("--push-to http://", "http://"), ("--push-to nonsense", "nonsense")]
    {
        let said = platform.command(&format!("simulate --listen 127.0.0.1:0 {arguments}")).output().unwrap();
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && why.contains(word) && said.stdout.is_empty(), "{arguments}: {why}");
    }
}
