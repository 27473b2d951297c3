//! Clients of several makes, another daemon, slow ones, and those that guess keys.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_every_make_are_served() {
    let desk = Desk::open().await;
    let path = format!("/token?appid={ACCOUNT}");
    for head in [
        // Apache HttpClient, as WxJava's default, which would keep the connection.
        format!(
            "GET {path} HTTP/1.1\r\nAuthorization: Bearer {CRM}\r\nHost: tokens:8752\r\nConnection: Keep-Alive\r\n\
             User-Agent: Apache-HttpClient/4.5.14 (Java/17.0.9)\r\nAccept-Encoding: gzip,deflate\r\n"
        ),
        // Guzzle and Symfony's client, as under EasyWeChat.
        format!(
            "GET {path} HTTP/1.1\r\nHost: tokens:8752\r\nauthorization: Bearer {CRM}\r\nUser-Agent: GuzzleHttp/7\r\n\
             Accept: */*\r\nContent-Length: 0\r\n"
        ),
        // PHP's file_get_contents with a context, and other plain ones.
        format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {CRM}\r\nHost: tokens\r\nConnection: close\r\n"),
        format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {CRM}\r\n"),
        format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {CRM}\r\nConnection: keep-alive\r\n"),
        format!("GET http://tokens{path} HTTP/1.1\r\nHost: tokens\r\nAuthorization: Bearer {CRM}\r\n"),
    ] {
        let answer = desk.raw(desk.platform.service, format!("{head}\r\n").as_bytes()).await;
        assert_eq!(answer.status, 200, "{head}{answer:?}");
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!((length, answer.header("transfer-encoding")), (answer.body.len(), None), "{head}");
        assert_eq!(answer.header("content-encoding"), None, "{head}");
        let granted = answer.json();
        assert!(granted["access_token"].is_string() && granted["expires_in"].is_u64(), "{head}{granted}");
        assert_eq!(
            granted.as_object().unwrap().len(),
            2,
            "no errcode that a client would take for an error: {granted}"
        );
    }
    // A pool that keeps connections: each answer says that this one is not kept.
    for _ in 0..20 {
        assert_eq!(desk.platform.token(CRM, ACCOUNT).await.0, 200);
    }
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_daemon_links_with_tokens_of_this_one() {
    let desk = Desk::open().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("service.key"), format!("Bearer {CRM}\n")).unwrap();
    let config = format!(
        "[database]\nurl = \"sqlite:b.db\"\n[wechat]\nbase_url = \"{}\"\n[tokens]\nsource = \"http\"\n\
         url = \"http://127.0.0.1:{}/token?appid={{account}}\"\nheaders_file = {{ Authorization = \"service.key\" }}\n\
         [polling]\nsteps = [ {{ every = \"100ms\" }} ]\ndaily_budget = 100000\n[log]\nformat = \"json\"\n",
        desk.platform.sim.url(),
        desk.platform.service,
    );
    std::fs::write(folder.path().join("amplinkd.toml"), config).unwrap();
    let command = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(folder.path()).args(arguments.split_whitespace());
        command
    };
    let second = Process::start(command("run"), &Log::default()).await;

    let said = command(&format!("request link {ACCOUNT} {PROGRAM} -o json")).output().unwrap();

    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let invited = wait_for(PATIENCE, async || desk.platform.sim.stats().wxamplink == 1).await;
    assert!(invited, "{}\n{}", second.log.tail(), desk.daemon.log.tail());
    // An account that is not its caller's, and one that withdrew: in WeChat's words, and its requests wait.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    desk.platform.sim.world().revoke(ACCOUNT, now_ms()).unwrap();
    desk.platform.sim.deliver_pushes().await;
    let is_suspended = async || {
        let said = command(&format!("account show {ACCOUNT} -o json")).output().unwrap();
        let account: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
        account["suspended_by"] == "wechat" && account["errcode"] == 61_003
    };
    assert!(wait_for(PATIENCE, is_suspended).await, "{}", second.log.tail());
    second.stop();
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_slow_clients_keep_nobody_waiting() {
    let desk = Desk::open().await;
    let service = desk.platform.service;
    let slow: Vec<_> = (0..40)
        .map(|number| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", service)).await.unwrap();
                let lines = [
                    format!("GET /token?appid={ACCOUNT} HTTP/1.1\r\nHost: x\r\nX-Padding: {}\r\n", "x".repeat(500)),
                    format!(
                        "POST /token/refused HTTP/1.1\r\nAuthorization: Bearer {CRM}\r\nContent-Length: 900\r\n\r\n{{"
                    ),
                ];
                for byte in lines[number % 2].bytes() {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let true_one = tokio::time::timeout(Duration::from_secs(30), desk.get(CRM, ACCOUNT)).await;
    assert_eq!(true_one.expect("within half a minute").status, 200);
    for client in slow {
        client.abort();
    }
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_refused_keys_in_a_minute_are_one_alert_and_nineteen_are_none() {
    let desk = Desk::open().await;
    let alerts = || desk.platform.json("alert list");
    for _ in 0..19 {
        assert_eq!(desk.get("guess", ACCOUNT).await.status, 401);
    }
    // Whoever has a key is not counted, whatever becomes of it.
    for _ in 0..10 {
        assert_eq!(desk.get(CRM, FOREIGN).await.status, 403);
    }
    tokio::time::sleep(Duration::from_secs(16)).await;
    let told = alerts();
    assert_eq!(told.as_array().unwrap().len(), 0, "{told}");
    for _ in 0..300 {
        desk.get("guess", ACCOUNT).await;
    }
    let is_told = async || alerts().as_array().unwrap().iter().any(|alert| alert["rule"] == "token_key_refused");
    assert!(wait_for(PATIENCE, is_told).await, "{}", alerts());
    let told = alerts();
    let alert = &told[0];
    assert_eq!((told.as_array().unwrap().len(), &alert["state"]), (1, &"firing".into()), "{told}");
    assert_eq!(alert["key"], format!("token_key_refused/127.0.0.1:{}", desk.platform.service));
    assert!(desk.daemon.log.count("token_service.keys_refused") <= 2, "a flood is no flood of lines");
    desk.close();
}
