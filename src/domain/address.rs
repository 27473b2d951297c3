//! IP addresses in the text of a refusal.

use std::net::IpAddr;

/// Most addresses that are listed in an alert.
pub const ADDRESSES_MAX: usize = 20;

/// All addresses in a text, without duplicates, in their order. An IPv4-mapped IPv6 address counts as its IPv4 address, as
/// `WeChat` writes both (40164: `invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist`).
#[must_use]
pub fn addresses(text: &str) -> Vec<IpAddr> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':'));
    let address = |word: &str| word.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let found = words.filter_map(|word| address(word).or_else(|| address(word.trim_matches(['.', ':']))));
    let mut all = Vec::new();
    remember(&mut all, found);
    all
}

/// Adds addresses that are not in the list yet, up to [`ADDRESSES_MAX`].
pub fn remember(known: &mut Vec<IpAddr>, more: impl IntoIterator<Item = IpAddr>) {
    for address in more {
        if known.len() < ADDRESSES_MAX && !address.is_unspecified() && !known.contains(&address) {
            known.push(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_as_wechat_writes_them() {
        let found = |text: &str| addresses(text).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for (text, expected) in [
            ("invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist rid: 6a1b-2c3d-00", "203.0.113.9"),
            ("access clientip is not registered requestIP: 198.51.100.7, 203.0.113.9.", "198.51.100.7 203.0.113.9"),
            ("invalid ip 2001:db8::1, hint: [a1b2:c3] rid: 12:34", "2001:db8::1"),
            ("ip: 1.2.3.4; at 12:30:00, version 1.2.3", "1.2.3.4"),
            ("nothing here :: 300.1.1.1", ""),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("10.0.0.{n}")).collect();
        assert_eq!(addresses(&many.join(" ")).len(), ADDRESSES_MAX);
    }
}
