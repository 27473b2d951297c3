//! Everything that is read outside of a poll: the `v_` views, a page at a time; the audit and the figures; what
//! alerting reads. Nothing here writes.

pub mod account_page;
pub mod actions;
pub mod affected_accounts;
pub mod alert_groups;
mod alert_page;
pub mod alert_rules;
pub mod alert_views;
pub mod audit;
pub mod authorizers;
pub mod bulk;
pub mod bulk_under_way;
mod deeds;
pub mod deferred;
pub mod digest;
pub mod due_deliveries;
pub mod events;
pub mod has_daemon;
pub mod id_suffix;
pub(super) mod illegal_rows;
pub mod news;
pub mod nudge_effects;
pub mod pages;
mod platform_audit;
pub mod proof;
pub mod recheck;
pub mod request_page;
pub(super) mod schema_checks;
pub mod snapshot;
pub mod stage_times;
pub mod status;
pub mod verify;
pub mod views;
pub mod window;
