//! cli

pub mod config;
pub mod output;
