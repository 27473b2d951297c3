//! What lists share: presets, the filters in force, and the way to the next page. All of it stands in the address.

use super::view::View;
use crate::http::api::query;

/// A list that people ask for again and again.
pub(super) struct Preset {
    pub(super) what: &'static str,
    pub(super) query: &'static str,
    pub(super) is_here: bool,
}

/// A filter in force, and the page without it.
pub(super) struct Chip {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) without: String,
}

/// The filters of this page, as forms and links carry them on.
pub(super) fn fields(view: &View) -> Vec<(String, String)> {
    let is_of_page = |name: &str| ["after", "limit"].contains(&name);
    query::pairs(&view.look.query).into_iter().filter(|(name, _)| !is_of_page(name)).collect()
}

/// Presets, of which one may be the page itself.
pub(super) fn presets(view: &View, presets: &[(&'static str, &'static str)]) -> Vec<Preset> {
    let here = &view.look.query;
    presets.iter().map(|(what, query)| Preset { what, query, is_here: here == query }).collect()
}

/// The filters in force.
pub(super) fn chips(view: &View, fields: &[(String, String)]) -> Vec<Chip> {
    let chip = |(at, (name, value)): (usize, &(String, String))| {
        let others = fields.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, field)| field);
        Chip { name: name.clone(), value: value.clone(), without: address(view, others) }
    };
    fields.iter().enumerate().map(chip).collect()
}

/// The next page.
pub(super) fn next(view: &View, fields: &[(String, String)], after: Option<String>) -> Option<String> {
    let after = ("after".to_owned(), after?);
    Some(address(view, fields.iter().chain([&after])))
}

/// Whether this is the first page of its list.
pub(super) fn is_first(view: &View) -> bool {
    query::pairs(&view.look.query).iter().all(|(name, _)| name != "after")
}

impl View {
    /// Where the list of this page begins.
    pub(super) fn first(&self) -> String {
        address(self, fields(self).iter())
    }
}

fn address<'f>(view: &View, fields: impl Iterator<Item = &'f (String, String)>) -> String {
    let pairs: Vec<String> = fields.map(|(name, value)| format!("{name}={}", query::encoded(value))).collect();
    let joint = if pairs.is_empty() { "" } else { "?" };
    view.url(&format!("{}{joint}{}", view.look.path, pairs.join("&")))
}
