//! The doors that other systems come in by, over HTTP: `WeChat`'s pushes at the [`callback`], and the platform's own systems
//! at the [`token_service`], programs at the [`api`], people at the pages of [`web`]; Prometheus reads [`metrics`].
//! [`server`] bounds what any of them may take: connections, time and bytes.

pub mod api;
pub mod callback;
pub mod connection;
pub mod doors;
mod log_limit;
pub mod metrics;
pub mod peer;
pub mod server;
pub mod token_service;
pub mod web;
