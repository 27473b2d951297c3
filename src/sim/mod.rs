//! A small WeChat of our own, for tests, the demo and other people's integration tests.
//!
//! In reading order: [`World`] is plain data, [`advance()`] the pure time step, the calls of [`World`] respond as
//! WeChat would, [`Faults`] are its seeded faults, [`Switches`] are what WeChat does not document, and [`Sim`] serves
//! all of it over HTTP.
//!
//! A third-party platform's side of it is [`Component`], set up with [`World::set_component`]: tickets, tokens, what its
//! authorizers do, and the pushes that go to its callback.
//!
//! It shares no type with the other modules: a shared struct would hide a shared mistake. Outside `server`, `courier` and
//! [`accelerated`] nothing here does IO or reads a clock.

mod admin;
mod advance;
mod api;
mod api_name;
mod authorizers;
mod call_log;
mod calls;
mod chance;
mod component;
mod component_calls;
mod component_respond;
mod connection;
mod courier;
mod crypt;
mod errcode;
mod faults;
mod limits;
mod listing;
mod now;
mod onlooker;
mod plan;
mod platform;
mod platform_api;
mod push;
mod push_body;
mod pushes;
mod quota;
mod respond;
mod running;
mod scenario;
mod secrets;
mod server;
mod shared;
mod span;
mod switches;
mod token;
mod world;

#[cfg(test)]
mod stories;

pub use admin::{By, NoSuchMove};
pub use advance::advance;
pub use api_name::{Api, ComponentApi};
pub use authorizers::{Authorizer, AuthorizerKind, AuthorizerState, Recovery};
pub use call_log::{CallLogEntry, Stats};
pub use calls::{Answer, Flags};
pub use component::{BadSetup, Component, ComponentCall, ComponentSetup};
pub use crypt::{NotAKey, PushKeys};
pub use faults::{FaultKind, Faults, NoSuchPreset};
pub use listing::{FuncInfo, Item, Listing};
pub use now::{Now, accelerated};
pub use onlooker::{Arrival, Called, Looking, Onlooker};
pub use plan::{Plan, PlanSet, Plans, approves_after, expires_after, never_answers, refuses_after};
pub use platform::{PlatformError, PushAsk};
pub use push::{Push, PushAnswer, Spoil};
pub use quota::{AccountMonth, CallsToday, Month, ProgramMonth, Quotas};
pub use running::{Sim, SimConfig};
pub use scenario::{PlanRule, Scenario, WrongRate};
pub use secrets::{Secret, SecretKind};
pub use server::serve;
pub use shared::Shared;
pub use span::{NotASpan, Span};
pub use switches::{
    AuthorizerInfoShape, AuthorizerOrder, ContentType, EmptyItems, FuncInfoKey, PushFormat, PushOrder, RefreshRotation,
    RejectedItem, RidSpelling, Switches,
};
pub use world::{Account, Change, Link, Phase, Program, Starter, World};
