//! Values that a statement is given.

use std::borrow::Cow;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use sqlx::{Arguments, postgres::PgArguments, sqlite::SqliteArguments};

/// A value; a NULL keeps its type, which PostgreSQL asks for.
#[derive(Debug, Clone)]
pub(in crate::store) enum Arg<'q> {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
}

impl Arg<'_> {
    /// The same as a value of its own.
    pub(super) fn into_owned(self) -> Arg<'static> {
        match self {
            Self::Int(number) => Arg::Int(number),
            Self::Real(number) => Arg::Real(number),
            Self::Text(text) => Arg::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            Self::Bytes(bytes) => Arg::Bytes(bytes.map(|bytes| Cow::Owned(bytes.into_owned()))),
        }
    }
}

/// Values for sqlx. Nothing of them can fail to be encoded.
macro_rules! arguments {
    ($name:ident, $Arguments:ty) => {
        pub(in crate::store) fn $name(args: Vec<Arg<'_>>) -> Result<$Arguments, sqlx::Error> {
            let mut given = <$Arguments>::default();
            for arg in args {
                match arg {
                    Arg::Int(number) => given.add(number),
                    Arg::Real(number) => given.add(number),
                    Arg::Text(text) => given.add(text.map(Cow::into_owned)),
                    Arg::Bytes(bytes) => given.add(bytes.map(Cow::into_owned)),
                }
                .map_err(sqlx::Error::Encode)?;
            }
            Ok(given)
        }
    };
}

arguments!(for_sqlite, SqliteArguments);
arguments!(for_postgres, PgArguments);

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(Some(number)) => ValueRef::Integer(*number),
            Self::Real(Some(number)) => ValueRef::Real(*number),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
            Self::Int(None) | Self::Real(None) | Self::Text(None) | Self::Bytes(None) => ValueRef::Null,
        }))
    }
}

/// Numbers by value, by reference and where there may be none.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Arg<'_> {
            fn from(number: $number) -> Self {
                Self::Int(Some(i64::from(number)))
            }
        }

        impl From<&$number> for Arg<'_> {
            fn from(number: &$number) -> Self {
                Self::from(*number)
            }
        }

        impl From<Option<$number>> for Arg<'_> {
            fn from(number: Option<$number>) -> Self {
                Self::Int(number.map(i64::from))
            }
        }

        impl From<&Option<$number>> for Arg<'_> {
            fn from(number: &Option<$number>) -> Self {
                Self::from(*number)
            }
        }
    )*};
}

numbers!(i64, i32, u32, bool);

impl From<f64> for Arg<'_> {
    fn from(number: f64) -> Self {
        Self::Real(Some(number))
    }
}

/// What is borrowed as a text or as bytes, by value, by reference and where there may be none.
macro_rules! borrowed {
    ($Arm:ident: $($Type:ty => $borrow:expr),* $(,)?) => {$(
        impl<'q> From<$Type> for Arg<'q> {
            fn from(value: $Type) -> Self {
                Self::$Arm(Some($borrow(value)))
            }
        }

        impl<'q> From<Option<$Type>> for Arg<'q> {
            fn from(value: Option<$Type>) -> Self {
                Self::$Arm(value.map($borrow))
            }
        }
    )*};
}

borrowed!(Text:
    &'q str => Cow::Borrowed,
    &'q String => |text: &'q String| Cow::Borrowed(text.as_str()),
    String => Cow::Owned,
    Cow<'q, str> => |text| text,
);

borrowed!(Bytes:
    &'q [u8] => Cow::Borrowed,
    &'q Vec<u8> => |bytes: &'q Vec<u8>| Cow::Borrowed(bytes.as_slice()),
    Vec<u8> => Cow::Owned,
);

impl<'q, const N: usize> From<&'q [u8; N]> for Arg<'q> {
    fn from(bytes: &'q [u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'q> From<&'q Option<String>> for Arg<'q> {
    fn from(text: &'q Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}

impl<'q> From<&&'q str> for Arg<'q> {
    fn from(text: &&'q str) -> Self {
        Self::from(*text)
    }
}

#[expect(clippy::ref_option_ref, reason = "what `args!` borrows may be an option")]
impl<'q> From<&Option<&'q str>> for Arg<'q> {
    fn from(text: &Option<&'q str>) -> Self {
        Self::from(*text)
    }
}

impl<'q> From<&'q Option<Cow<'q, str>>> for Arg<'q> {
    fn from(text: &'q Option<Cow<'q, str>>) -> Self {
        Self::from(text.as_deref())
    }
}

impl<'q> From<&'q Option<Vec<u8>>> for Arg<'q> {
    fn from(bytes: &'q Option<Vec<u8>>) -> Self {
        Self::from(bytes.as_deref())
    }
}

/// All values of a statement: a tuple, an array, or what [`args!`] makes.
pub(in crate::store) trait Args<'q> {
    /// The values in their order.
    type Values: AsRef<[Arg<'q>]>;

    /// Makes them.
    fn values(self) -> Self::Values;
}

impl<'q, T: Into<Arg<'q>>, const N: usize> Args<'q> for [T; N] {
    type Values = [Arg<'q>; N];

    fn values(self) -> Self::Values {
        self.map(Into::into)
    }
}

impl<'q> Args<'q> for &[Arg<'q>] {
    type Values = Self;

    fn values(self) -> Self {
        self
    }
}

impl<'q> Args<'q> for () {
    type Values = [Arg<'q>; 0];

    fn values(self) -> Self::Values {
        []
    }
}

macro_rules! tuples {
    ($($count:literal: $($T:ident)+;)*) => {$(
        impl<'q, $($T: Into<Arg<'q>>),+> Args<'q> for ($($T,)+) {
            type Values = [Arg<'q>; $count];

            fn values(self) -> Self::Values {
                #[expect(non_snake_case, reason = "a value is called as its type")]
                let ($($T,)+) = self;
                [$($T.into()),+]
            }
        }
    )*};
}

tuples! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
    7: A B C D E F G;
    8: A B C D E F G H;
    9: A B C D E F G H I;
    10: A B C D E F G H I J;
    11: A B C D E F G H I J K;
    12: A B C D E F G H I J K L;
}

/// Values of different types, however many; they are borrowed.
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::store::sql::Arg::from(&$value)),*] };
}
pub(in crate::store) use args;
