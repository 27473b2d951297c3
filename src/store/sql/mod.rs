//! Statements and their values in words that both databases understand: the one room that knows that there are two.
//!
//! A statement is written once, as `SQLite` takes it; what PostgreSQL takes is derived from it ([`dialect`]). A value that it
//! is given is an [`Arg`], what comes back is a [`Row`]. Between them stand [`query`](fn@query) and its kin, which are to both
//! databases what sqlx's are to one.

mod arg;
mod batch;
mod builder;
mod cell;
mod connection;
mod dialect;
mod query;

pub(super) use self::{
    arg::{Arg, Args, args, for_postgres},
    batch::{Batch, ColumnKind, OddCell},
    builder::QueryBuilder,
    cell::{Cell, CellError, Flag, JsonText, RowRef, Value},
    connection::{On, Pool, Row, Tx},
    dialect::postgres,
    query::{Query, QueryAs, QueryScalar, Shape, query, query_as, query_scalar},
};
