//! A list with filters, as its page draws it around the rows: presets, the filters in force, and the way to the next page. All
//! of it stands in the address.

use super::view::View;
use crate::http::api::query;

/// Filters that a page repeats: more are in force, and nobody reads them.
const FIELDS_MAX: usize = 40;

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

/// What stands around the rows of a list.
pub(super) struct Filtered {
    pub(super) presets: Vec<Preset>,
    pub(super) chips: Vec<Chip>,
    /// The filters, for forms.
    pub(super) fields: Vec<(String, String)>,
    pub(super) next: Option<String>,
    pub(super) is_first: bool,
}

impl Filtered {
    /// Around this page of a list. A preset is what it is called and its query; `next` is the cursor of the next page.
    pub(super) fn of(view: &View, presets: &[(&'static str, &'static str)], next: Option<String>) -> Self {
        let fields = fields(view);
        Self {
            presets: drawn(view, presets),
            chips: chips(view, &fields),
            next: following(view, &fields, next),
            is_first: is_first(view),
            fields,
        }
    }

    /// The value of a filter that is given once; empty without it.
    pub(super) fn value(&self, name: &str) -> &str {
        self.fields.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }

    /// Whether a filter has this value among others, repeated or with commas.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        let values = self.fields.iter().filter(|(given, _)| given == name);
        values.flat_map(|(_, values)| values.split(',')).any(|given| given == value)
    }
}

/// The filters of this page, as forms and links carry them on.
fn fields(view: &View) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in query::pairs(&view.look.query) {
        let is_of_page = ["after", "limit"].contains(&field.0.as_str());
        if !is_of_page && fields.len() < FIELDS_MAX && !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// Presets, of which one may be the page itself.
fn drawn(view: &View, presets: &[(&'static str, &'static str)]) -> Vec<Preset> {
    let here = &view.look.query;
    presets.iter().map(|(what, query)| Preset { what, query, is_here: here == query }).collect()
}

/// The filters in force.
fn chips(view: &View, fields: &[(String, String)]) -> Vec<Chip> {
    let chip = |(at, (name, value)): (usize, &(String, String))| {
        let others = fields.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, field)| field);
        Chip { name: name.clone(), value: value.clone(), without: address(view, others) }
    };
    fields.iter().enumerate().map(chip).collect()
}

/// The next page.
fn following(view: &View, fields: &[(String, String)], after: Option<String>) -> Option<String> {
    let after = ("after".to_owned(), after?);
    let limit = query::pairs(&view.look.query).into_iter().find(|(name, _)| name == "limit");
    Some(address(view, fields.iter().chain(&limit).chain([&after])))
}

/// Whether this is the first page of its list.
fn is_first(view: &View) -> bool {
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
