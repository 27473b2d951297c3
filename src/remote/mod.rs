//! The client of a daemon's API, for commands that speak to a daemon elsewhere: addresses, one call and its answer, pages,
//! the stream of events, and every failure in a sentence. It knows no rule and no row: whoever asks says what an answer is.
//!
//! A redirect is never followed, the token stands in no error, and nothing is asked twice that would be done twice.

pub mod address;
pub mod client;
pub mod failure;
pub mod pages;
pub mod query;
pub mod seen;
pub mod stream;

pub use self::{
    address::Address,
    client::{Repeat, Server, Target},
    failure::Failure,
    pages::Pages,
    query::Query,
    seen::Seen,
    stream::{Event, Stream},
};
