//! Configurations that the daemon refuses before it changes anything.

use super::Platform;

/// What the start says that must fail, once this part of the configuration is replaced.
fn refused(platform: &Platform, part: &str, by: &str) -> String {
    let path = platform.path("amplinkd.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    assert!(config.contains(part), "{config}");
    std::fs::write(&path, config.replacen(part, by, 1)).unwrap();
    let said = platform.command("run").output().unwrap();
    std::fs::write(&path, config).unwrap();
    assert!(!said.status.success());
    String::from_utf8(said.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_s_path_that_is_a_file_deletes_nothing() {
    let platform = Platform::new().await;
    let before = std::fs::read(platform.path("database.key")).unwrap();
    let listen = format!("listen = \"127.0.0.1:{}\"", platform.callback);
    let why = refused(&platform, &listen, "listen = \"unix:database.key\"");
    assert!(why.contains("[callback] listen") && why.contains("no socket"), "{why}");
    assert_eq!(std::fs::read(platform.path("database.key")).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_s_path_that_the_router_would_read_otherwise_is_refused_at_the_start() {
    let platform = Platform::new().await;
    for path in ["/a/{b", "/{appid}/callback", "/:appid", "/*", "/a b", "/a?b", "callback", ""] {
        let why = refused(&platform, "[callback]\n", &format!("[callback]\npath = {path:?}\n"));
        assert!(why.contains("[callback] path") && why.contains("/wechat/callback"), "{path}: {why}");
        assert!(!why.contains("panicked"), "{path}: {why}");
    }
}
