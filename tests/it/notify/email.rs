//! Mails as a mail server receives them.

use std::time::Duration;

use amplinkd::{
    domain::{
        message::{Message, Severity},
        text::Language,
    },
    notify::{Channel, ChannelSettings, Kind},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    NOW, message, outcome, settings,
    smtp::{END_OF_MAIL, GREETING, Say, SmtpServer},
};

/// Settings of a channel to a server on this machine, without TLS.
fn plain(server: &SmtpServer) -> ChannelSettings {
    ChannelSettings {
        from: Some("amplinkd <amplinkd@example.com>".to_owned()),
        to: vec!["运维 <ops@example.com>".to_owned(), "boss@example.com".to_owned()],
        hello: Some("mon.example.com".to_owned()),
        ..settings(
            Kind::Email,
            &format!("smtp://alerts%40example.com@127.0.0.1:{}?tls=none", server.port),
            &["hunter2"],
        )
    }
}

fn channel(settings: &ChannelSettings) -> Channel {
    Channel::new(settings).unwrap()
}

async fn send(server: &SmtpServer, message: &Message) -> (&'static str, String) {
    let (what, after, why) = outcome(channel(&plain(server)).send(message, NOW).await);
    assert_eq!(after, None);
    (what, why)
}

#[tokio::test]
async fn a_mail_tells_everything_in_text_and_in_html() {
    let server = SmtpServer::friendly().await;
    assert_eq!(send(&server, &message()).await.0, "sent");

    let mail = server.only_mail();
    assert_eq!(mail.header("Subject"), "[amplinkd] 【需要处理】3 个关联请求在等公众号管理员");
    assert_eq!(mail.header("From"), "amplinkd <amplinkd@example.com>");
    assert_eq!(mail.header("To"), "运维 <ops@example.com>, boss@example.com");
    assert_eq!(mail.header("Date"), "Sun, 22 Nov 2026 19:03:08 +0000");
    assert_eq!(mail.header("Message-ID"), "<0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b@example.com>");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.header("MIME-Version"), "1.0");
    for word in [
        "请提醒管理员在微信里同意。",
        "小店",
        "2天 22小时",
        "https://amplinkd.example/alerts?rule=stuck",
        "amplinkd alert list --rule stuck",
        "0197c2d4-8e1f",
    ] {
        assert!(mail.text.contains(word) && mail.html.contains(word), "{word}: {mail:#?}");
    }
    assert!(mail.text.contains("公众号 | 小程序 | 已等待\n小店 | wx00000000000000aa | 3天 4小时\n"), "{}", mail.text);
    assert!(mail.html.contains("<td>小店</td><td>wx00000000000000aa</td>"), "{}", mail.html);
    assert!(!mail.text.contains("另有"), "nothing is missing");

    let login = BASE64_STANDARD.encode("\0alerts@example.com\0hunter2");
    let commands = server.heard().commands;
    let expected = [
        "EHLO mon.example.com",
        &format!("AUTH PLAIN {login}"),
        "MAIL FROM:<amplinkd@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<boss@example.com>",
        "DATA",
        "QUIT",
    ];
    assert_eq!(commands, expected);
}

#[tokio::test]
async fn a_retry_is_the_same_mail_and_what_follows_joins_its_thread() {
    let server = SmtpServer::friendly().await;
    send(&server, &message()).await;
    send(&server, &message()).await;
    let over =
        Message { id: "0197c2d4-over".to_owned(), mood: Severity::Resolved, title: "好了".to_owned(), ..message() };
    send(&server, &over).await;
    let other = Message { id: "x y\r\n".to_owned(), partition_key: "stuck/program_admin".to_owned(), ..message() };
    send(&server, &other).await;

    let mails = server.heard().mails;
    assert_eq!(mails[0], mails[1]);
    let header = |mail: &str, name: &str| mail.split("\r\n").find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
    let ids: Vec<_> = mails.iter().map(|mail| header(mail, "Message-ID: ").unwrap()).collect();
    let threads: Vec<_> = mails.iter().map(|mail| header(mail, "References: ").unwrap()).collect();
    assert_eq!(ids[2], "<0197c2d4-over@example.com>");
    assert!(ids[3].ends_with("@example.com>") && ids[3].len() == 46, "{ids:?}");
    assert_eq!(threads[0], threads[2]);
    assert_ne!(threads[0], threads[3]);
    assert_eq!(header(&mails[2], "In-Reply-To: "), Some(threads[0].clone()));
}

#[tokio::test]
async fn the_subject_says_that_it_is_over() {
    let server = SmtpServer::friendly().await;
    send(&server, &Message { mood: Severity::Resolved, language: Language::En, ..message() }).await;
    assert!(server.only_mail().header("Subject").starts_with("[amplinkd] Resolved: 3 "));
}

#[tokio::test]
async fn a_servers_answer_says_what_to_do() {
    for (command, answer, what) in [
        (GREETING, "421 4.3.2 shutting down", "later"),
        (GREETING, "554 no service", "refused"),
        (GREETING, "hello", "later"),
        ("AUTH", "535 5.7.8 wrong password", "refused"),
        ("AUTH", "454 4.7.0 not now", "later"),
        ("MAIL", "451 4.3.0 later", "later"),
        ("MAIL", "550 5.7.1 not you", "refused"),
        ("MAIL", "552 5.3.4 too big", "gone"),
        ("RCPT", "550 5.1.1 no such mailbox", "refused"),
        ("RCPT", "450 4.2.0 greylisted", "later"),
        ("RCPT", "552 5.2.2 mailbox full", "refused"),
        ("DATA", "451 4.3.0 later", "later"),
        ("DATA", "554 5.7.1 no", "refused"),
        (END_OF_MAIL, "452 4.3.1 disk full", "later"),
        (END_OF_MAIL, "550 5.7.1 looks like spam", "refused"),
        (END_OF_MAIL, "552 message too large", "gone"),
        (END_OF_MAIL, "554 5.3.4 message too large", "gone"),
    ] {
        let server = SmtpServer::start(move |said| said.starts_with(command).then_some(Say::Lines(answer))).await;
        let (done, why) = send(&server, &message()).await;
        assert_eq!(done, what, "{command} {answer}: {why}");
        let code = answer.split(' ').next().unwrap();
        assert!(answer == "hello" || why.contains(code), "{why}");
    }
}

#[tokio::test]
async fn one_wrong_address_does_not_cost_the_others_their_mail() {
    let server = SmtpServer::start(|said| said.contains("boss@").then_some(Say::Lines("550 5.1.1 who?"))).await;
    assert_eq!(send(&server, &message()).await.0, "sent");
    assert_eq!(server.heard().mails.len(), 1);

    let first_passes = |said: &str| match said {
        "RCPT TO:<ops@example.com>" => Some(Say::Lines("550 5.1.1 who?")),
        "RCPT TO:<boss@example.com>" => Some(Say::Lines("451 4.7.1 greylisted")),
        _ => None,
    };
    let server = SmtpServer::start(first_passes).await;
    let (what, why) = send(&server, &message()).await;
    assert_eq!(what, "later", "one may be taken later: {why}");
    assert!(server.heard().mails.is_empty());
}

#[tokio::test]
async fn a_server_that_hangs_or_leaves_does_not_hold_us() {
    for step in [GREETING, "EHLO", "AUTH", "MAIL", "RCPT", "DATA", END_OF_MAIL] {
        for say in [Say::Silence, Say::Bye] {
            let server = SmtpServer::start(move |said| said.starts_with(step).then_some(say)).await;
            let short = ChannelSettings { timeout: Duration::from_millis(300), ..plain(&server) };
            let (what, _, why) = outcome(channel(&short).send(&message(), NOW).await);
            assert_eq!(what, "later", "{step}: {why}");
        }
    }
}

#[tokio::test]
async fn a_mail_that_was_taken_is_never_sent_again_for_want_of_a_good_bye() {
    for say in [Say::Silence, Say::Bye, Say::Lines("451 4.3.0 what?")] {
        let server = SmtpServer::start(move |said| (said == "QUIT").then_some(say)).await;
        assert_eq!(send(&server, &message()).await.0, "sent");
        assert_eq!(server.heard().mails.len(), 1);
    }
}

#[tokio::test]
async fn nothing_is_said_without_the_tls_that_was_asked_for() {
    let strip = SmtpServer::friendly().await;
    let to = |url: String| ChannelSettings { url: Some(url.into()), timeout: Duration::from_secs(5), ..plain(&strip) };
    let starttls = to(format!("smtp://alerts@127.0.0.1:{}", strip.port));
    let (what, _, why) = outcome(channel(&starttls).send(&message(), NOW).await);
    assert_eq!((what, why.as_str()), ("refused", "the mail server offers no STARTTLS, and nothing is sent without it"));
    assert_eq!(strip.heard().commands, ["EHLO mon.example.com"]);

    let lies = |said: &str| match said {
        "STARTTLS" => Some(Say::Lines("220 this is no TLS")),
        said if said.starts_with("EHLO") => Some(Say::Lines("250-mail.example\r\n250-AUTH PLAIN\r\n250 STARTTLS")),
        _ => None,
    };
    let liar = SmtpServer::start(lies).await;
    let (what, _, why) =
        outcome(channel(&to(format!("smtp+starttls://alerts@127.0.0.1:{}", liar.port))).send(&message(), NOW).await);
    assert_eq!(what, "later", "{why}");
    let heard = liar.heard().commands;
    assert!(!heard.iter().any(|command| command.starts_with("AUTH") || command.starts_with("MAIL")), "{heard:?}");

    let wrapped = to(format!("smtps://alerts@127.0.0.1:{}", strip.port));
    let (what, _, why) = outcome(channel(&wrapped).send(&message(), NOW).await);
    assert!(what == "refused" && why.contains("smtp:// asks for STARTTLS"), "{why}");
    assert!(strip.heard().mails.is_empty());
}

#[tokio::test]
async fn a_login_that_the_server_cannot_take_is_a_persons_task() {
    let server = SmtpServer::start(|said| said.starts_with("EHLO").then_some(Say::Lines("250 mail.example"))).await;
    let (what, why) = send(&server, &message()).await;
    assert_eq!(what, "refused", "{why}");
    assert!(server.heard().mails.is_empty());
}

#[tokio::test]
async fn strangers_texts_are_neither_headers_nor_markup() {
    let server = SmtpServer::friendly().await;
    let nasty = Message {
        title: "a\r\nBcc: thief@example.com\r\n\r\n<b>".to_owned(),
        lead: "<script>alert(1)</script> & \"so\"".to_owned(),
        rows: vec![vec![
            "</table><img src=x onerror='y'>".to_owned(),
            "\u{202e}gpj".to_owned(),
            "\u{0}a\nb".to_owned(),
        ]],
        link: Some("javascript:alert(1)".to_owned()),
        hint: "a\r\n.\r\nQUIT".to_owned(),
        id: "x\r\nX-Evil: 1".to_owned(),
        partition_key: "y\r\nX-Evil: 1".to_owned(),
        ..message()
    };
    assert_eq!(send(&server, &nasty).await.0, "sent");
    let mail = server.only_mail();
    assert_eq!(mail.header("Subject"), "[amplinkd] 【需要处理】a Bcc: thief@example.com <b>");
    let names: Vec<&str> = mail.headers.keys().map(String::as_str).collect();
    let known = [
        "Auto-Submitted",
        "Content-Type",
        "Date",
        "From",
        "In-Reply-To",
        "MIME-Version",
        "Message-ID",
        "References",
        "Subject",
        "To",
    ];
    assert_eq!(names, known);
    for markup in ["<script", "<img", "'y'", "<b>", "<a "] {
        assert!(!mail.html.contains(markup), "{markup}: {}", mail.html);
    }
    assert!(mail.html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;so&quot;"), "{}", mail.html);
    assert!(mail.html.contains("<td>gpj</td><td>a b</td>"), "{}", mail.html);
    assert_eq!(server.heard().commands.iter().filter(|command| command.starts_with("RCPT")).count(), 2);
}

#[tokio::test]
async fn a_line_that_is_a_dot_does_not_end_the_mail() {
    let server = SmtpServer::friendly().await;
    let dot = Message {
        language: Language::En,
        title: ".".to_owned(),
        lead: ".".to_owned(),
        rows: vec![vec!["..".to_owned()]],
        ..message()
    };
    assert_eq!(send(&server, &dot).await.0, "sent");
    let text = server.only_mail().text;
    assert!(text.contains("\n\n.\n\n") && text.contains("\n..\n") && text.contains("Run: "), "{text}");
}

#[tokio::test]
async fn a_long_subject_is_folded_between_characters() {
    let server = SmtpServer::friendly().await;
    send(&server, &Message { title: "等待公众号管理员".repeat(100), ..message() }).await;
    let subject = server.only_mail().header("Subject").to_owned();
    assert_eq!(subject.chars().count(), "[amplinkd] 【需要处理】".chars().count() + 200);
    assert!(subject.starts_with("[amplinkd] 【需要处理】等待公众号管理员等") && subject.ends_with('…'), "{subject}");
}

#[tokio::test]
async fn a_long_table_is_cut_and_says_how_much_is_missing() {
    let server = SmtpServer::friendly().await;
    let row = |n: usize| vec![format!("小店 {n}"), "x".repeat(40), "3天".to_owned()];
    let many = Message { rows: (0..1_000).map(row).collect(), total: 100_000, ..message() };
    let wide = Message {
        rows: (0..1_000).map(|n| vec![format!("{n}{}", "&".repeat(9_000))]).collect(),
        total: 0,
        ..message()
    };
    send(&server, &many).await;
    send(&server, &wide).await;

    let mails = server.heard().mails;
    assert!(mails.iter().all(|mail| mail.len() < 300_000), "{:?}", mails.iter().map(String::len).collect::<Vec<_>>());
    let server = SmtpServer::friendly().await;
    send(&server, &many).await;
    let mail = server.only_mail();
    assert!(mail.text.contains("小店 199 |") && !mail.text.contains("小店 200 |"), "{}", mail.text);
    assert!(mail.text.contains("另有 99800 条") && mail.html.contains("另有 99800 条"));
}

#[tokio::test]
async fn a_password_is_in_no_error_whatever_the_server_says() {
    let server = SmtpServer::start(|said| said.starts_with("AUTH").then_some(Say::Echo("535"))).await;
    let (what, why) = send(&server, &message()).await;
    assert_eq!(what, "refused");
    let encoded = BASE64_STANDARD.encode("\0alerts@example.com\0hunter2");
    assert!(why.contains("[secret]") && !why.contains("hunter2") && !why.contains(&encoded), "{why}");

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let settings =
        ChannelSettings { url: Some(format!("smtp://alerts@127.0.0.1:{nobody}?tls=none").into()), ..plain(&server) };
    let closed = channel(&settings);
    let (what, _, why) = outcome(closed.send(&message(), NOW).await);
    assert_eq!(what, "later", "{why}");
    assert!(!format!("{why} {closed:?} {settings:?}").contains("hunter2"));
}

/// What this machine calls itself.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_server_is_told_the_machines_name_or_the_one_it_wants() {
    let server = SmtpServer::start(|said| {
        let is_nameless = said.starts_with("EHLO [") || said.starts_with("EHLO localhost");
        is_nameless.then_some(Say::Lines("550 5.7.0 who are you?"))
    })
    .await;
    let own = ChannelSettings { hello: None, ..plain(&server) };
    let (what, _, why) = outcome(channel(&own).send(&message(), NOW).await);
    if machine().starts_with("localhost") || machine().contains('_') {
        return crate::skip::skipped("a machine without a name of its own");
    }
    assert_eq!((what, why.as_str()), ("sent", ""));
    assert_eq!(server.heard().commands[0], format!("EHLO {}", machine()));
    let named = ChannelSettings { hello: Some("mon.example.com".to_owned()), ..own };
    assert_eq!(outcome(channel(&named).send(&message(), NOW).await).0, "sent");
    assert!(server.heard().commands.contains(&"EHLO mon.example.com".to_owned()));
}

#[tokio::test]
async fn a_name_that_the_server_does_not_want_is_what_the_error_speaks_of() {
    // At once, or as many do, only when they hear a recipient.
    for (step, answer, what) in [
        ("EHLO", "550 5.7.1 invalid domain", "refused"),
        ("EHLO", "421 4.7.0 try again later, closing connection", "later"),
        ("RCPT", "504 5.5.2 <mon>: Helo command rejected: need fully-qualified hostname", "refused"),
    ] {
        let server = SmtpServer::start(move |said| said.starts_with(step).then_some(Say::Lines(answer))).await;
        let (done, why) = send(&server, &message()).await;
        assert_eq!(done, what, "{why}");
        assert!(why.contains("EHLO") && why.contains("\"mon.example.com\"") && why.contains("`hello`"), "{why}");
    }
    let server = SmtpServer::start(|said| (said == GREETING).then_some(Say::Lines("554 5.7.1 no service"))).await;
    let (_, why) = send(&server, &message()).await;
    assert!(why.contains("to the connection") && !why.contains("EHLO"), "{why}");
}
