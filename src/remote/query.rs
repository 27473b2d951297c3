//! Parameters of an address, in the order in which they were given.

use std::{borrow::Cow, collections::BTreeMap};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in an address as it is (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parameters of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(Cow<'static, str>, String)>);

impl Query {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With this one, where there is a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (Cow::Borrowed(name), value.to_string())));
        self
    }

    /// With this one for each value.
    #[must_use]
    pub fn with_all(mut self, name: &'static str, values: impl IntoIterator<Item = impl ToString>) -> Self {
        self.0.extend(values.into_iter().map(|value| (Cow::Borrowed(name), value.to_string())));
        self
    }

    /// With this one as `true`, where it is set.
    #[must_use]
    pub fn with_flag(self, name: &'static str, is_set: bool) -> Self {
        self.with(name, is_set.then_some("true"))
    }

    /// With labels as `NAME=VALUE`.
    #[must_use]
    pub fn with_labels(self, labels: &[(String, String)]) -> Self {
        self.with_all("label", labels.iter().map(|(name, value)| format!("{name}={value}")))
    }

    /// Filters as they are kept for the record: each name with its values.
    #[must_use]
    pub fn of_filters(filters: &BTreeMap<String, Vec<String>>) -> Self {
        let pairs =
            filters.iter().flat_map(|(name, values)| values.iter().map(|value| (name.clone().into(), value.clone())));
        Self(pairs.collect())
    }

    /// As it stands behind a path: with its question mark, or nothing.
    #[must_use]
    pub fn written(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
        let joined = pairs.collect::<Vec<_>>().join("&");
        if joined.is_empty() { joined } else { format!("?{joined}") }
    }
}

/// A text as a part of an address.
#[must_use]
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_nothing_that_steers_an_address() {
        let query = Query::new()
            .with("account", Some("wx0"))
            .with("program", None::<&str>)
            .with_labels(&[("shop".to_owned(), "1&2 =ä".to_owned())])
            .with_flag("open", true)
            .with_flag("finished", false);
        assert_eq!(query.written(), "?account=wx0&label=shop%3D1%262%20%3D%C3%A4&open=true");
        assert_eq!(Query::new().written(), "");
        assert_eq!(escaped("a/../b"), "a%2F..%2Fb");
    }
}
