//! The parameters that many lists have, as the description of the API shows them.

use utoipa::{
    IntoParams,
    openapi::{
        KnownFormat, RefOr, Schema, SchemaFormat,
        schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type},
    },
};

use crate::{
    domain::{account::Trouble, action::ActionKind, alert_rules::Rule, authorizer::AuthorizerState, gate::GateKind},
    store::read::{alert_views::DeliveryState, request_page::STATES},
};

/// Which page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
pub(super) struct PageParams {
    /// Rows of a page
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next` of the page before
    #[param(pattern = "^([0-7][0-9a-f])+$")]
    after: Option<String>,
}

/// One of these words.
fn word(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// Some of these words, each repeated.
fn words(words: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ArrayBuilder::new().items(word(words)).into()
}

pub(super) fn states() -> RefOr<Schema> {
    words(STATES)
}

pub(super) fn kinds() -> RefOr<Schema> {
    word(["link", "unlink"]).into()
}

pub(super) fn labels() -> RefOr<Schema> {
    let label = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[^=]+=.*$"));
    ArrayBuilder::new().items(label).into()
}

/// A span of time, of at most ten years.
const SPAN: &str = "^([1-9][0-9]{0,2}[mhd]|([1-9][0-9]?|[1-4][0-9]{2}|5[01][0-9]|52[01])w)$";

pub(super) fn span() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(SPAN)).into()
}

pub(super) fn when() -> RefOr<Schema> {
    let span = ObjectBuilder::new().schema_type(Type::String).pattern(Some(SPAN));
    let moment =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    AnyOfBuilder::new().item(span).item(moment).into()
}

pub(super) fn includes() -> RefOr<Schema> {
    words(["history", "conflicts", "alerts", "nudges"])
}

pub(super) fn account_states() -> RefOr<Schema> {
    word(["active", "suspended"]).into()
}

pub(super) fn suspended_by() -> RefOr<Schema> {
    let who = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(operator|wechat|-?[0-9]{1,9})$"));
    ArrayBuilder::new().items(who).into()
}

pub(super) fn troubles() -> RefOr<Schema> {
    words(Trouble::ALL.map(Trouble::as_str))
}

pub(super) fn alert_states() -> RefOr<Schema> {
    word(ALERT_STATES).into()
}

/// The states of alerts by which they are listed.
pub(super) const ALERT_STATES: [&str; 6] = ["firing", "acknowledged", "snoozed", "resolved", "open", "all"];

pub(super) fn rules() -> RefOr<Schema> {
    word(Rule::ALL.map(Rule::as_str)).into()
}

pub(super) fn gate_kinds() -> RefOr<Schema> {
    words(GateKind::ALL.map(GateKind::as_str))
}

pub(super) fn authorizer_states() -> RefOr<Schema> {
    word(AuthorizerState::ALL.map(AuthorizerState::as_str)).into()
}

pub(super) fn delivery_states() -> RefOr<Schema> {
    word(DeliveryState::WORDS).into()
}

pub(super) fn actions() -> RefOr<Schema> {
    word(ActionKind::ALL.map(ActionKind::as_str)).into()
}
