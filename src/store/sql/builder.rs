//! A statement that is put together from pieces.

use std::fmt::{Display, Write as _};

use super::{Arg, Query, QueryAs, QueryScalar, Shape};

/// Pieces of a statement and their values, each in its place.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct QueryBuilder {
    text: String,
    args: Vec<Arg<'static>>,
}

impl QueryBuilder {
    /// Begins with these words.
    pub(in crate::store) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), args: Vec::new() }
    }

    /// Adds words: never what somebody gave us.
    pub(in crate::store) fn push(&mut self, words: impl Display) -> &mut Self {
        // A text takes whatever is written to it.
        let _ = write!(self.text, "{words}");
        self
    }

    /// Adds a value.
    pub(in crate::store) fn push_bind<'q>(&mut self, value: impl Into<Arg<'q>>) -> &mut Self {
        self.args.push(value.into().into_owned());
        let place = self.args.len();
        self.push('$').push(place)
    }

    /// The statement; it must not be added to after that.
    pub(in crate::store) fn build(&mut self) -> Query<'static> {
        Query::with(std::mem::take(&mut self.text).into(), std::mem::take(&mut self.args))
    }

    /// The same, with rows that are values.
    pub(in crate::store) fn build_query_as<T: Shape>(&mut self) -> QueryAs<'static, T> {
        self.build().typed()
    }

    /// The same, with rows of one column.
    pub(in crate::store) fn build_query_scalar<T>(&mut self) -> QueryScalar<'static, T>
    where
        (T,): Shape,
    {
        self.build().scalar()
    }
}
