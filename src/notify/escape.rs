//! Keeps outside text from being taken for markup. Characters of ids stay unchanged: an id copied from a message must
//! still be found.

/// The text for a dialect in which a backslash may not escape, as those of `WeCom` and `DingTalk`: what would be markup
/// is written with its full-width twin, which every client shows and none obeys. `<` goes with it, and so do mentions
/// such as `<@all>` and `<font …>`.
pub(super) fn full_width(text: &str) -> String {
    replaced(text, |c| match c {
        '<' => "＜",
        '>' => "＞",
        '[' => "［",
        ']' => "］",
        '\\' => "＼",
        '*' => "＊",
        '`' => "｀",
        '~' => "～",
        _ => "",
    })
}

/// The text for Slack's mrkdwn: its three entities
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>), and full-width twins for what it knows no
/// escape of.
pub(super) fn slack(text: &str) -> String {
    replaced(text, |c| match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '*' => "＊",
        '`' => "｀",
        '~' => "～",
        _ => "",
    })
}

/// The text where nothing is markup but a mention may still be found: in plain messages of robots.
pub(super) fn plain(text: &str) -> String {
    text.replace('<', "＜").replace('>', "＞").replace('@', "＠")
}

/// The text for services that take Slack's messages and show them as Markdown, as Mattermost does, where `@all` is a
/// mention (<https://developers.mattermost.com/integrate/webhooks/incoming/>).
pub(super) fn markdown(text: &str) -> String {
    slack(text).replace('@', "＠").replace('[', "［").replace(']', "］").replace('\\', "＼")
}

/// A command between backticks, where nothing but a backtick ends it; a mention might still be found in it.
pub(super) fn code(command: &str) -> String {
    format!("`{}`", command.replace('`', "｀").replace('<', "＜").replace('>', "＞"))
}

/// Each character as `twin` says, or as it is where that says nothing. An underscore between letters and digits, as in
/// `gh_0123`, is part of a name and stays; elsewhere it would begin emphasis. A mark at the beginning would make a
/// heading, a list or a line.
fn replaced(text: &str, twin: impl Fn(char) -> &'static str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let inside = |c: Option<&char>| c.is_some_and(char::is_ascii_alphanumeric);
        match (c, twin(c)) {
            ('_', _) if !(inside(before.as_ref()) && inside(rest.peek())) => safe.push('＿'),
            ('#', _) if before.is_none() => safe.push('＃'),
            ('-', _) if before.is_none() => safe.push('－'),
            ('+', _) if before.is_none() => safe.push('＋'),
            ('=', _) if before.is_none() => safe.push('＝'),
            (_, "") => safe.push(c),
            (_, twin) => safe.push_str(twin),
        }
        before = Some(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_stay_as_they_are() {
        for text in ["wx0123456789abcdef", "gh_0123456789ab", "小店（北京）1.5 & co", "3天 4小时 - 2026-11-22 @li"]
        {
            assert_eq!(full_width(text), text);
            assert_eq!(slack(text), text.replace('&', "&amp;"));
        }
    }

    #[test]
    fn markup_and_mentions_come_to_nothing() {
        assert_eq!(full_width("<@all> **x** [a](b) `c` \\* ~~d~~"), "＜@all＞ ＊＊x＊＊ ［a］(b) ｀c｀ ＼＊ ～～d～～");
        assert_eq!(full_width("# x"), "＃ x");
        assert_eq!(full_width("__x__ _ a_b"), "＿＿x＿＿ ＿ a_b");
        assert_eq!(slack("<!channel> *x* <a|b>"), "&lt;!channel&gt; ＊x＊ &lt;a|b&gt;");
        assert_eq!(code("a `b` <@all>"), "`a ｀b｀ ＜@all＞`");
        assert_eq!(plain("<@all> @all <at user_id=\"all\">"), "＜＠all＞ ＠all ＜at user_id=\"all\"＞");
        assert_eq!(markdown("@channel ![a](b) <!here> \\"), "＠channel !［a］(b) &lt;!here&gt; ＼");
    }
}
