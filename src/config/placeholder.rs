//! Placeholders in values: what a shell or a template engine would expand, and what examples show. Nothing expands them here.

/// The kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A URL.
    Address,
    /// A path, or an argument of a command.
    Path,
    /// A secret, which may contain any character: it must be a placeholder as a whole.
    Secret,
}

/// The form of the placeholder in a value, if there is one; never its text.
pub(super) fn of(text: &str, field: Field) -> Option<&'static str> {
    let text = text.trim();
    let is_whole = |form: &(&'static str, fn(&str) -> Option<&str>)| match (field, (form.1)(text)) {
        (_, None) => false,
        (Field::Secret, Some(found)) => found == text,
        (Field::Address | Field::Path, Some(_)) => true,
    };
    FORMS
        .iter()
        .chain(if field == Field::Path { &PATHS[..] } else { &[] })
        .find(|form| is_whole(form))
        .map(|form| form.0)
}

/// Whether a host is reserved for examples (RFC 2606, RFC 6761).
pub(super) fn is_example(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let is_below = |name: &&str| host == *name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    ["example.com", "example.net", "example.org", "example", "invalid"].iter().any(is_below)
}

type Form = (&'static str, fn(&str) -> Option<&str>);

const FORMS: [Form; 7] = [
    ("\"${…}\"", |text| between(text, "${", "}")),
    ("\"{{…}}\"", |text| between(text, "{{", "}}")),
    ("\"{…}\"", |text| between(text, "{", "}").filter(|found| is_name(&found[1..found.len() - 1]))),
    ("\"<…>\"", |text| between(text, "<", ">")),
    ("\"$NAME\"", variable),
    ("\"%s\"", |text| text.find("%s").map(|at| &text[at..at + 2])),
    ("a value from the examples", example),
];

const PATHS: [Form; 1] = [("\"~\"", |text| text.split('/').find(|part| *part == "~"))];

/// From the first `begin` to the next `end`, both included, with something in between.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    let from = text.find(begin)?;
    let length = text[from + begin.len()..].find(end).filter(|length| *length > 0)?;
    Some(&text[from..from + begin.len() + length + end.len()])
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
}

/// `$NAME`, as a shell expands it: two capitals or more.
fn variable(text: &str) -> Option<&str> {
    text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let length = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        let length = length.unwrap_or(rest.len());
        (length > 1 && rest.starts_with(|c: char| c.is_ascii_uppercase())).then(|| &text[at..=at + length])
    })
}

/// What examples write in place of a key.
fn example(text: &str) -> Option<&str> {
    let is_one = |word: &&str| {
        let plain = word.to_ascii_lowercase().replace(['-', '_'], "");
        let is_crossed_out = word.len() >= 4 && word.bytes().all(|c| c.eq_ignore_ascii_case(&b'x'));
        let says_so = ["yourkey", "yourtoken", "yoursecret", "yourpassword", "changeme", "replaceme", "todo", "..."];
        is_crossed_out || says_so.contains(&plain.as_str()) || *word == "…"
    };
    text.split(['/', '?', '&', '=', ' ']).find(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_and_values_are_not() {
        for text in [
            "https://h.example.cn/hook?key=${WECOM_KEY}",
            "https://h.example.cn/{{ key }}",
            "https://h.example.cn/{token}",
            "https://h.example.cn/<token>/x",
            "https://h.example.cn/$TOKEN",
            "https://h.example.cn/%s",
            "https://h.example.cn/send?key=YOUR-KEY",
            "https://h.example.cn/send?access_token=xxxxxxxx",
            "https://h.example.cn/send?key=...",
        ] {
            assert!(of(text, Field::Address).is_some(), "{text}");
        }
        for text in [
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa",
            "https://h.cn/a%20b?c=%E5%85%AC&price=$5&x={}&y=${}",
            "https://h.cn/~user/hook",
        ] {
            assert_eq!(of(text, Field::Address), None, "{text}");
        }
        assert_eq!(of("~/amplinkd.db", Field::Path), Some("\"~\""));
        assert_eq!(of("/var/lib/amplinkd/a.db", Field::Path), None);
    }

    #[test]
    fn a_secret_may_contain_any_character_and_is_never_repeated() {
        for secret in ["pa${word}5", "a<b>c", "pa$WORD", "%s1", "{x}y", "SECabc...def"] {
            assert_eq!(of(secret, Field::Secret), None, "{secret}");
        }
        for secret in ["${PASSWORD}", "<password>", "$PASSWORD", "changeme", "xxxxxx", " {{ secret }} "] {
            let said = of(secret, Field::Secret).unwrap();
            assert!(!said.to_lowercase().contains("password"), "{said}");
        }
    }

    #[test]
    fn hosts_of_examples() {
        for host in ["example.com", "mail.example.org", "tokens.example", "a.invalid", "example.com."] {
            assert!(is_example(host), "{host}");
        }
        for host in ["", "notexample.com", "example.com.cn", "127.0.0.1", "localhost", "h.cn"] {
            assert!(!is_example(host), "{host}");
        }
    }
}
