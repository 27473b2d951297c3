//! A database of a PostgreSQL server: where it is, how connections are made, what a transaction begins and ends with.

pub mod address;
mod beat;
pub(super) mod connect;
pub(super) mod node;
pub mod nodes;
pub(super) mod open;
pub(super) mod schema;
pub(super) mod session;
pub mod settings;
pub(super) mod transaction;
