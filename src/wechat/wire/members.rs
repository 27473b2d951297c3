//! Walks into a JSON body along the names of a JSON pointer (RFC 6901), with every value as it was written. A name that
//! stands twice leads nowhere: nobody can tell which one counts.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Unreadable, fault, lenient::Lenient};

/// The names of one object and what they stand for, in their order.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

impl<'a> Members<'a> {
    /// The object that a value is; nothing when it is none.
    pub(super) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// When it stands there twice.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a RawValue>, Unreadable> {
        let mut found = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(fault("a name that is needed stands there twice")),
        }
    }

    /// The first of these names that stands for something else than null, as a scalar.
    pub(super) fn first(&self, names: &[&str]) -> Option<Lenient<'a>> {
        let values = names.iter().filter_map(|name| self.get(name).ok()?);
        values.map(scalar).find(|value| !matches!(value, Lenient::Absent | Lenient::Null))
    }

    /// Its names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// A value as a scalar.
pub(super) fn scalar(value: &RawValue) -> Lenient<'_> {
    serde_json::from_str(value.get()).unwrap_or(Lenient::Strange)
}

/// What stands at the end of these names, from the root down; and the objects on the way, the outermost first. A number
/// leads into an array.
///
/// # Errors
/// When a name on the way stands there twice.
pub(super) fn walk<'a>(
    root: &'a RawValue,
    names: &[String],
) -> Result<(Option<&'a RawValue>, Vec<Members<'a>>), Unreadable> {
    let (mut value, mut passed) = (Some(root), Vec::new());
    for name in names {
        let Some(here) = value else { break };
        value = if let Some(members) = Members::of(here) {
            let next = members.get(name)?;
            passed.push(members);
            next
        } else {
            element(here, name)
        };
    }
    Ok((value, passed))
}

/// The element of an array, by its number from 0 as RFC 6901 writes it.
fn element<'a>(array: &'a RawValue, index: &str) -> Option<&'a RawValue> {
    let elements: Vec<&RawValue> = serde_json::from_str(array.get()).ok()?;
    let is_number = index == "0" || !index.starts_with('0') && index.bytes().all(|byte| byte.is_ascii_digit());
    elements.get(index.parse::<usize>().ok().filter(|_| is_number)?).copied()
}
