//! Names and values as they stand in a query or a form. What they mean is nothing to it.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The pairs of a query or a form, in their order.
#[must_use]
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    pairs.collect()
}

/// The pairs of a query as they stand in it, but those that are forbidden by their names, however these are written, and
/// values.
#[must_use]
pub fn without(query: &str, is_forbidden: impl Fn(&str, &str) -> bool) -> String {
    let kept = query.split('&').filter(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !name.is_empty() && !is_forbidden(&decoded(name), value)
    });
    kept.collect::<Vec<_>>().join("&")
}

/// A value as it stands in a query.
#[must_use]
pub fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_forbidden_however_it_is_written() {
        let kept = |query: &str| without(query, |name, value| name == "lang" || value.is_empty());
        for (query, left) in
            [("lang=zh&a=%2C&b=1", "a=%2C&b=1"), ("a=1&%6Cang=zh&b=", "a=1"), ("langs=zh&=x&&c", "langs=zh"), ("", "")]
        {
            assert_eq!(kept(query), left, "{query}");
        }
    }
}
