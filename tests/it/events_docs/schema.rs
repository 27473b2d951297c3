//! As much of JSON Schema (draft 2020-12) as docs/events.md uses.

use serde_json::{Map, Value};

/// A schema with the definitions that it refers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema<'s> {
    root: &'s Value,
}

impl<'s> Schema<'s> {
    pub(super) const fn new(root: &'s Value) -> Self {
        Self { root }
    }

    /// What is wrong with a value, each with its place; nothing when it is as the schema says.
    pub(super) fn faults(self, value: &Value) -> Vec<String> {
        self.check(self.root, value, "")
    }

    fn is_met(self, schema: &Value, value: &Value, place: &str) -> bool {
        self.check(schema, value, place).is_empty()
    }

    fn check(self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        let rules = schema.as_object().expect("a schema is an object");
        let mut faults = Vec::new();
        for (word, rule) in rules {
            let is_kept = match word.as_str() {
                "$schema" | "$defs" | "title" => true,
                // Both are looked at with what they stand beside.
                "then" | "else" => rules.contains_key("if"),
                "const" => value == rule,
                "enum" => list(rule).contains(value),
                "type" => has_type(rule, value),
                "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().expect("a number")),
                "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= size(rule)),
                "minItems" => value.as_array().is_none_or(|items| items.len() >= size(rule)),
                "pattern" => value.as_str().is_none_or(|text| has_pattern(rule, text)),
                "format" => value.as_str().is_none_or(|text| has_format(rule, text)),
                "oneOf" => list(rule).iter().filter(|one| self.is_met(one, value, place)).count() == 1,
                "required" => value.as_object().is_none_or(|object| {
                    list(rule).iter().all(|name| object.contains_key(name.as_str().expect("a name")))
                }),
                "$ref" => {
                    faults.extend(self.check(self.definition(rule), value, place));
                    true
                }
                "if" => {
                    let branch = if self.is_met(rule, value, place) { "then" } else { "else" };
                    faults.extend(rules.get(branch).map(|branch| self.check(branch, value, place)).unwrap_or_default());
                    true
                }
                "items" => {
                    let items = value.as_array().into_iter().flatten().enumerate();
                    faults.extend(items.flat_map(|(at, item)| self.check(rule, item, &format!("{place}/{at}"))));
                    true
                }
                "properties" => {
                    let known = fields(rule).iter().filter_map(|(name, rule)| Some((name, rule, value.get(name)?)));
                    faults.extend(
                        known.flat_map(|(name, rule, field)| self.check(rule, field, &format!("{place}/{name}"))),
                    );
                    true
                }
                "additionalProperties" => {
                    faults.extend(self.others(rules, rule, value, place));
                    true
                }
                unknown => panic!("the validator of this test does not know `{unknown}`: teach it"),
            };
            if !is_kept {
                faults.push(format!("{place}: `{word}` is {rule}, not {value}"));
            }
        }
        faults
    }

    /// Fields that `properties` does not name.
    fn others(self, rules: &Map<String, Value>, rule: &Value, value: &Value, place: &str) -> Vec<String> {
        let known = rules.get("properties").map(fields);
        let others = value.as_object().into_iter().flatten();
        let others = others.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
        let check = |(name, field): (&String, &Value)| match rule {
            Value::Bool(false) => vec![format!("{place}/{name} is not in the schema")],
            rule => self.check(rule, field, &format!("{place}/{name}")),
        };
        others.flat_map(check).collect()
    }

    fn definition(self, name: &Value) -> &'s Value {
        let pointer = name.as_str().and_then(|name| name.strip_prefix('#')).expect("a place in this schema");
        self.root.pointer(pointer).unwrap_or_else(|| panic!("{name} is not there"))
    }
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().expect("a list")
}

fn fields(rule: &Value) -> &Map<String, Value> {
    rule.as_object().expect("an object")
}

fn size(rule: &Value) -> usize {
    usize::try_from(rule.as_u64().expect("a number")).expect("a small one")
}

fn has_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        unknown => panic!("the type `{unknown}`: teach it"),
    };
    rule.as_array().map_or_else(|| is(rule), |types| types.iter().any(is))
}

fn has_pattern(rule: &Value, text: &str) -> bool {
    assert_eq!(rule, "^[0-9]{19}$", "the only pattern that this validator knows");
    text.len() == 19 && text.bytes().all(|digit| digit.is_ascii_digit())
}

fn has_format(rule: &Value, text: &str) -> bool {
    assert_eq!(rule, "date-time", "the only format that this validator knows");
    text.parse::<jiff::Timestamp>().is_ok()
}
