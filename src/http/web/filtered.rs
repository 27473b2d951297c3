//! A list with filters, as its page draws it around the rows.

use super::{
    lists::{self, Chip, Preset},
    view::View,
};

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
        let fields = lists::fields(view);
        Self {
            presets: lists::presets(view, presets),
            chips: lists::chips(view, &fields),
            next: lists::next(view, &fields, next),
            is_first: lists::is_first(view),
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
