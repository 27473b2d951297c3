//! Reloads of a daemon that is the platform: other secrets, rules of the callback and callers take effect without a restart,
//! and a mistake changes nothing.

use amplinkd::sim::{AuthorizerKind, ComponentApi, PushAsk};
use rustix::process::Signal;
use serde_json::Value;

use super::{ACCOUNT, PATIENCE, Platform, now_ms};
use crate::harness::{Process, wait_for};

const TAKEN: Option<u16> = Some(200);
const FORBIDDEN: Option<u16> = Some(403);

impl Platform {
    /// Changes the configuration, as an editor does.
    fn edit(&self, from: &str, to: &str) {
        let config = std::fs::read_to_string(self.path("amplinkd.toml")).unwrap();
        assert!(config.contains(from), "{from:?} is not in {config}");
        std::fs::write(self.path("amplinkd.toml"), config.replacen(from, to, 1)).unwrap();
    }

    /// How a ticket is answered that is signed and encrypted with the keys of this generation.
    async fn push_with(&self, keys: usize, path: &str) -> Option<u16> {
        let to = Some(format!("http://127.0.0.1:{}{path}", self.callback));
        let ask = PushAsk { keys: Some(keys), to, ..PushAsk::default() };
        let id = self.sim.world().push(&ask, now_ms()).unwrap();
        self.sim.deliver_pushes().await;
        let world = self.sim.world();
        let mut pushes = world.component().unwrap().pushes();
        pushes.find(|push| push.id == id).and_then(|push| push.answers.last()?.status)
    }

    async fn push_at(&self, keys: usize) -> Option<u16> {
        self.push_with(keys, "/wechat/callback").await
    }

    fn component_tokens(&self) -> u64 {
        self.sim.world().component().unwrap().called(ComponentApi::ComponentToken)
    }
}

/// Reloads, and answers what the log says of it.
async fn reload(daemon: &Process) -> Value {
    let ends = |line: &Value| line["event"] == "config.reloaded" || line["event"] == "config.rejected";
    let before = daemon.log.such(ends).len();
    daemon.signal(Signal::HUP);
    assert!(wait_for(PATIENCE, async || daemon.log.such(ends).len() > before).await, "{}", daemon.log.tail());
    daemon.log.such(ends).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_pushes_are_changed_by_reloads_and_the_previous_ones_end_with_the_last() {
    let platform = Platform::new().await;
    let daemon = platform.daemon().await;
    assert_eq!(platform.push_at(0).await, TAKEN);
    for name in ["token", "aes"] {
        std::fs::copy(platform.path(name), platform.path(&format!("old.{name}"))).unwrap();
    }
    let keys = platform.sim.world().rotate_key().unwrap();
    std::fs::write(platform.path("token"), &keys.token).unwrap();
    std::fs::write(platform.path("aes"), &keys.encoding_aes_key).unwrap();
    assert_eq!(platform.push_at(1).await, FORBIDDEN, "it was not told yet");

    let previous = "[component]\nprevious_message_token_file = \"old.token\"\nprevious_aes_key_file = \"old.aes\"\n";
    platform.edit("[component]\n", previous);
    let said = reload(&daemon).await;

    let changed = "component.message_token_file component.aes_key_file component.previous_message_token_file \
                   component.previous_aes_key_file";
    assert_eq!(said["changed"], changed, "{said}");
    assert_eq!((platform.push_at(0).await, platform.push_at(1).await), (TAKEN, TAKEN));
    platform.edit(previous, "[component]\n");
    reload(&daemon).await;
    assert_eq!((platform.push_at(0).await, platform.push_at(1).await), (FORBIDDEN, TAKEN));
    assert_eq!(daemon.log.count("config.needs_restart"), 0);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_changes_nothing_and_is_told() {
    let platform = Platform::new().await;
    let daemon = platform.daemon().await;
    let keys = platform.sim.world().rotate_key().unwrap();
    // With it come changes that would be fine alone.
    std::fs::write(platform.path("token"), &keys.token).unwrap();
    platform.edit("name = \"crm\"", "name = \"erp\"");
    let short = &keys.encoding_aes_key[..40];
    for (name, wrong) in [("aes", Some(short)), ("aes", Some("")), ("aes", None), ("secret", None)] {
        let kept = std::fs::read(platform.path(name)).unwrap();
        match wrong {
            Some(wrong) => std::fs::write(platform.path(name), wrong).unwrap(),
            None => std::fs::remove_file(platform.path(name)).unwrap(),
        }

        let said = reload(&daemon).await;

        assert_eq!(said["event"], "config.rejected", "{name} {wrong:?}");
        let why = said["error"].as_str().unwrap();
        assert!(why.contains(name) && !why.contains(short) && !why.contains(&keys.token), "{why}");
        let checked = platform.command("config check").output().unwrap();
        assert!(!checked.status.success(), "the check before a reload says the same: {name} {wrong:?}");
        assert_eq!((platform.push_at(0).await, platform.push_at(1).await), (TAKEN, FORBIDDEN), "{name} {wrong:?}");
        std::fs::write(platform.path(name), kept).unwrap();
    }
    platform.token(&platform.key, ACCOUNT).await;
    let asked = |line: &Value| line["event"] == "token_service.asked" && line["caller"] == "crm";
    assert!(wait_for(PATIENCE, async || !daemon.log.such(asked).is_empty()).await, "{}", daemon.log.tail());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_costs_one_call_at_the_start_and_one_after_each_reload() {
    let platform = Platform::new().await;
    let secret = std::fs::read_to_string(platform.path("secret")).unwrap();
    std::fs::write(platform.path("secret"), "f".repeat(32)).unwrap();
    let daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&[33]), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    let asked = async |calls: u64| {
        let is_so = wait_for(PATIENCE, async || platform.component_tokens() == calls).await;
        assert!(is_so, "{} calls, not {calls}\n{}", platform.component_tokens(), daemon.log.tail());
        for _ in 0..5 {
            assert_eq!(platform.token(&platform.key, ACCOUNT).await.0, 503);
        }
        // Its open push is looked at every second.
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        assert_eq!(platform.component_tokens(), calls, "and no more");
        assert_eq!(platform.json("component status")["errcode"], 40_125);
    };
    asked(1).await;
    for calls in 2..4 {
        reload(&daemon).await;
        asked(calls).await;
    }
    std::fs::write(platform.path("secret"), secret).unwrap();
    assert_eq!(reload(&daemon).await["changed"], "component.secret_file");
    assert!(wait_for(PATIENCE, async || platform.token(&platform.key, ACCOUNT).await.0 == 200).await);
    assert_eq!(platform.component_tokens(), 4);
    assert_eq!(platform.json("component status")["errcode"], Value::Null);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_and_the_event_url_are_changed_by_a_reload() {
    let platform = Platform::new().await;
    let daemon = platform.daemon().await;
    assert_eq!(platform.token(&platform.key, ACCOUNT).await.0, 404);
    let made: Value = serde_json::from_str(&platform.run("token-key new -o json")).unwrap();
    let (key, digest) = (made["key"].as_str().unwrap(), made["key_sha256"].as_str().unwrap());
    let config = std::fs::read_to_string(platform.path("amplinkd.toml")).unwrap();
    let (_, old) = config.split_once("key_sha256 = \"").unwrap();
    let (old, _) = old.split_once('"').unwrap();
    let one = format!("key_sha256 = \"{old}\"");
    platform.edit(&one, &format!("key_sha256 = [\"{old}\", \"{digest}\"]"));
    let path = "/events/of~the-platform";
    platform.edit("[callback]\n", &format!("[callback]\npath = \"{path}\"\n"));

    let said = reload(&daemon).await;

    assert_eq!(said["changed"], "callback.path token_service.caller");
    for key in [&platform.key, key] {
        assert_eq!(platform.token(key, ACCOUNT).await.0, 404, "both keys open");
    }
    let old_path = platform.push_at(0).await;
    assert_eq!((old_path, platform.push_with(0, path).await), (Some(404), TAKEN));
    platform.edit(&format!("[\"{old}\", \"{digest}\"]"), &format!("\"{digest}\"\nper_minute = 2"));
    platform.edit(&format!("accounts = [\"{ACCOUNT}\"]"), "accounts = [\"wx00000000000000cc\"]");
    reload(&daemon).await;
    assert_eq!(platform.token(&platform.key, ACCOUNT).await.0, 401, "the former key is gone");
    // Two of this minute came before the reload, and count.
    assert_eq!(platform.token(key, ACCOUNT).await.0, 429);
    platform.edit("per_minute = 2", "per_minute = 100");
    reload(&daemon).await;
    assert_eq!(platform.token(key, ACCOUNT).await.0, 403, "not this caller's any more");
    assert_eq!(platform.token(key, "wx00000000000000cc").await.0, 404);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_listens_and_whose_it_is_wait_for_a_restart() {
    let platform = Platform::new().await;
    let daemon = platform.daemon().await;
    platform.edit(&format!("listen = \"127.0.0.1:{}\"", platform.callback), "listen = \"127.0.0.1:1\"");
    let appid = platform.sim.world().component().unwrap().appid().to_owned();
    platform.edit(&appid, "wxdddddddddddddddd");
    platform.edit("key_file = \"database.key\"", "key_file = \"other.key\"");
    platform.run("-c none.toml secrets new-key other.key");

    reload(&daemon).await;

    let waits = daemon.log.such(|line| line["event"] == "config.needs_restart");
    let keys: Vec<&str> = waits.iter().filter_map(|line| line["key"].as_str()).collect();
    assert_eq!(keys, ["component.appid", "callback.listen", "secrets.key_file"]);
    assert_eq!(platform.push_at(0).await, TAKEN, "for the same component, at the same place, sealed with the same key");
    daemon.stop();
}
