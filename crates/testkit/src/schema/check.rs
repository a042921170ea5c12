//! As much of JSON Schema (2020-12) as our schemas use. A keyword that this does not know is a complaint, so that nothing
//! is passed over.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Keywords that say nothing about a value.
const NOTES: &[&str] = &["$schema", "$defs", "title", "description", "format", "default", "examples"];
/// Where the types that are used more than once are kept.
const DEFS: &str = "#/$defs/";

/// What is wrong with a value, each with its place.
pub(super) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut check = Check { root: schema, complaints: Vec::new() };
    check.all(schema, value, "$");
    check.complaints
}

struct Check<'a> {
    root: &'a Value,
    complaints: Vec<String>,
}

impl<'a> Check<'a> {
    /// The schema, and that it names every property.
    fn all(&mut self, schema: &'a Value, value: &Value, at: &str) {
        self.keywords(schema, value, at);
        let (Some(object), Some(named)) = (value.as_object(), self.named(schema)) else { return };
        let strange = object.keys().filter(|key| !named.contains(key.as_str()));
        let strange: Vec<String> =
            strange.map(|key| format!("{at}.{key}: no property of that name")).collect();
        self.complaints.extend(strange);
    }

    fn keywords(&mut self, schema: &'a Value, value: &Value, at: &str) {
        let Some(keywords) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                self.complain(at, "nothing may be here");
            }
            return;
        };
        for (keyword, wanted) in keywords {
            self.keyword(keyword, wanted, value, at);
        }
    }

    fn keyword(&mut self, keyword: &str, wanted: &'a Value, value: &Value, at: &str) {
        match keyword {
            "$ref" => match self.target(wanted) {
                Some(target) => self.keywords(target, value, at),
                None => self.complain(at, &format!("{wanted} is not in the schema")),
            },
            "type" => self.require(is_of(wanted, value), at, || format!("{value} is not of type {wanted}")),
            "const" => self.require(wanted == value, at, || format!("{value} is not {wanted}")),
            "enum" => {
                self.require(list(wanted).contains(value), at, || format!("{value} is none of {wanted}"))
            }
            "minimum" => self.bound(value, wanted, at, |found, bound| found >= bound),
            "maximum" => self.bound(value, wanted, at, |found, bound| found <= bound),
            "required" => self.required(wanted, value, at),
            "properties" => self.properties(wanted, value, at),
            "additionalProperties" => {}
            "items" => {
                for (i, item) in list(value).iter().enumerate() {
                    self.all(wanted, item, &format!("{at}[{i}]"));
                }
            }
            "allOf" => list(wanted).iter().for_each(|one| self.keywords(one, value, at)),
            "oneOf" => self.count(wanted, value, at, |fitting| fitting == 1),
            "anyOf" => self.count(wanted, value, at, |fitting| fitting > 0),
            note if NOTES.contains(&note) => {}
            other => self.complain(at, &format!("the check does not know the keyword {other}")),
        }
    }

    fn required(&mut self, wanted: &Value, value: &Value, at: &str) {
        let Some(object) = value.as_object() else { return };
        for name in list(wanted).iter().filter_map(Value::as_str) {
            self.require(object.contains_key(name), at, || format!("{name} is missing"));
        }
    }

    fn properties(&mut self, wanted: &'a Value, value: &Value, at: &str) {
        let (Some(wanted), Some(object)) = (wanted.as_object(), value.as_object()) else { return };
        for (name, value) in object {
            if let Some(schema) = wanted.get(name) {
                self.all(schema, value, &format!("{at}.{name}"));
            }
        }
    }

    fn count(&mut self, branches: &'a Value, value: &Value, at: &str, good: fn(usize) -> bool) {
        let tried: Vec<Vec<String>> = list(branches).iter().map(|one| self.alone(one, value, at)).collect();
        let fitting = tried.iter().filter(|complaints| complaints.is_empty()).count();
        if !good(fitting) {
            self.complain(at, &format!("{fitting} of {} alternatives fit: {tried:?}", tried.len()));
        }
    }

    fn alone(&self, schema: &'a Value, value: &Value, at: &str) -> Vec<String> {
        let mut check = Check { root: self.root, complaints: Vec::new() };
        check.keywords(schema, value, at);
        check.complaints
    }

    /// The properties that a schema names, those of its alternatives among them; `None`: any may be there.
    fn named(&self, schema: &'a Value) -> Option<BTreeSet<&'a str>> {
        let object = schema.as_object()?;
        let parts = self.parts(object);
        let open = object.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false));
        let own = object.get("properties").and_then(Value::as_object);
        if open || (own.is_none() && parts.is_empty()) {
            return None;
        }
        let own = own.into_iter().flat_map(Map::keys).map(String::as_str);
        let others = parts.into_iter().filter(|part| part["type"] != "null").map(|part| self.named(part));
        let others: Option<Vec<BTreeSet<&str>>> = others.collect();
        Some(own.chain(others?.into_iter().flatten()).collect())
    }

    fn parts(&self, object: &'a Map<String, Value>) -> Vec<&'a Value> {
        let lists = ["allOf", "oneOf", "anyOf"].iter().filter_map(|name| object.get(*name)).flat_map(list);
        lists.chain(object.get("$ref").and_then(|target| self.target(target))).collect()
    }

    fn target(&self, reference: &Value) -> Option<&'a Value> {
        self.root["$defs"].get(reference.as_str()?.strip_prefix(DEFS)?)
    }

    fn bound(&mut self, value: &Value, wanted: &Value, at: &str, good: fn(f64, f64) -> bool) {
        let (Some(found), Some(bound)) = (value.as_f64(), wanted.as_f64()) else { return };
        self.require(good(found, bound), at, || format!("{found} is beyond {bound}"));
    }

    fn require(&mut self, holds: bool, at: &str, complaint: impl FnOnce() -> String) {
        if !holds {
            self.complain(at, &complaint());
        }
    }

    fn complain(&mut self, at: &str, complaint: &str) {
        self.complaints.push(format!("{at}: {complaint}"));
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_of(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::String(name) => is(name, value),
        several => list(several).iter().filter_map(Value::as_str).any(|name| is(name, value)),
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(dead_code, reason = "the types are for their schemas")]

    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Outer {
        name: String,
        a_count: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        inner: Option<Inner>,
        null_or: Option<i64>,
        list: Vec<Inner>,
        map: BTreeMap<String, bool>,
        #[serde(flatten)]
        kind: Kind,
    }

    #[derive(Serialize, JsonSchema)]
    struct Inner {
        ratio: f64,
    }

    #[derive(Serialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Kind {
        Plain,
        Rich { value: u32 },
    }

    fn schema() -> Value {
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        generator.into_root_schema_for::<Outer>().to_value()
    }

    fn good() -> Value {
        json!({
            "name": "n", "aCount": 3, "inner": { "ratio": 0.5 }, "nullOr": null, "list": [{ "ratio": 1.0 }],
            "map": { "x": true }, "kind": "rich", "value": 7,
        })
    }

    #[test]
    fn what_conforms() {
        let schema = schema();
        assert_eq!(complaints(&schema, &good()), Vec::<String>::new());
        let mut plain = good();
        plain["kind"] = json!("plain");
        plain.as_object_mut().unwrap().retain(|key, _| key != "inner" && key != "value");
        assert_eq!(complaints(&schema, &plain), Vec::<String>::new());
    }

    #[test]
    fn what_does_not() {
        let schema = schema();
        for (pointer, value, complaint) in [
            ("/name", json!(1), "$.name: 1 is not of type \"string\""),
            ("/aCount", json!(300), "$.aCount: 300 is beyond 255"),
            ("/aCount", json!(0.5), "$.aCount: 0.5 is not of type \"integer\""),
            ("/nullOr", json!("x"), "$.nullOr: \"x\" is not of type [\"integer\",\"null\"]"),
            ("/list/0/ratio", json!(null), "$.list[0].ratio: null is not of type \"number\""),
            ("/list/0", json!({ "ratio": 1, "more": 2 }), "$.list[0].more: no property of that name"),
            ("/inner", json!({}), "ratio is missing"),
            ("/inner", json!({ "ratio": 1, "more": 2 }), "$.inner.more: no property of that name"),
            ("/kind", json!("other"), "0 of 2 alternatives fit"),
        ] {
            let mut bad = good();
            *bad.pointer_mut(pointer).unwrap() = value;
            let found = complaints(&schema, &bad);
            assert!(found.iter().any(|line| line.contains(complaint)), "{complaint}: {found:?}");
        }
        let mut bad = good();
        bad["strange"] = json!(1);
        assert_eq!(complaints(&schema, &bad), ["$.strange: no property of that name"]);
        assert!(!complaints(&json!({ "pattern": "x" }), &bad).is_empty(), "a keyword that it does not know");
    }
}
