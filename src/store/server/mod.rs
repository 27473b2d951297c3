//! A database of a PostgreSQL server: where it is, how connections are made, what a transaction begins and ends with.

pub mod address;
pub(super) mod connect;
pub(super) mod open;
pub(super) mod presence;
pub(super) mod schema;
pub(super) mod session;
pub(super) mod transaction;
