//! A message, for the tests of channels.

use crate::domain::{
    message::{Message, Severity},
    text::Language,
    time::{BEIJING, Time},
};

/// Three requests that wait, told in Chinese.
pub(super) fn message() -> Message {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    Message {
        id: "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b".to_owned(),
        kind: "amplinkd.alert.fired".to_owned(),
        subject: "wx0123456789abcdef".to_owned(),
        partition_key: "stuck/account_admin".to_owned(),
        sequence: 42,
        at: Time::from_ms(1_795_374_187_042),
        data: r#"{"alerts": [1, 2.50, "公众号"]}"#.to_owned(),
        mood: Severity::Fired,
        language: Language::Zh,
        zone: BEIJING,
        title: "3 个关联请求在等公众号管理员".to_owned(),
        lead: "请提醒管理员打开微信中的“公众平台安全助手”并同意。".to_owned(),
        columns: ["公众号", "小程序", "已等待"].map(str::to_owned).to_vec(),
        rows: vec![
            row(["小店", "wx00000000000000aa", "3天 4小时"]),
            row(["书屋", "wx00000000000000bb", "3天 1小时"]),
            row(["茶馆", "wx00000000000000cc", "2天 22小时"]),
        ],
        total: 3,
        link: Some("https://amplinkd.example/alerts?rule=stuck".to_owned()),
        hint: "amplinkd alert list --rule stuck".to_owned(),
        alerts: Vec::new(),
    }
}
