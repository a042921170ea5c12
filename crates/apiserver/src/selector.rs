//! Label and field selectors.

use crate::object::Revision;
use crate::resources::Resource;
use crate::status::ApiError;

/// What a list or a watch asks of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    /// Only this namespace; empty for all.
    pub namespace: String,
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Reads both selectors, as they stand in the query.
    pub fn parse(resource: &Resource, namespace: &str, labels: &str, fields: &str) -> Result<Self, ApiError> {
        let labels = split(labels).map(requirement).collect::<Result<_, _>>()?;
        let fields = fields
            .split(',')
            .filter(|term| !term.trim().is_empty())
            .map(|term| field_term(resource, term))
            .collect::<Result<_, _>>()?;
        Ok(Self { namespace: namespace.to_owned(), labels, fields })
    }

    /// Whether every object of the namespace is asked for.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether this object is asked for.
    pub fn matches(&self, object: &Revision) -> bool {
        (self.namespace.is_empty() || *self.namespace == *object.namespace)
            && self.labels.iter().all(|requirement| requirement.holds(object))
            && self.fields.iter().all(|(field, equal, value)| (field_value(object, field) == value) == *equal)
    }
}

impl Requirement {
    fn holds(&self, object: &Revision) -> bool {
        let among = |label: &str, values: &[String]| {
            object.label(label).is_some_and(|value| values.iter().any(|other| other == value))
        };
        match self {
            Self::Exists(label) => object.label(label).is_some(),
            Self::Absent(label) => object.label(label).is_none(),
            Self::In(label, values) => among(label, values),
            Self::NotIn(label, values) => !among(label, values),
        }
    }
}

fn field_value<'a>(object: &'a Revision, field: &str) -> &'a str {
    match field {
        "metadata.name" => &object.name,
        "metadata.namespace" => &object.namespace,
        _ => object.fields.iter().find(|(name, _)| *name == field).map_or("", |(_, value)| value),
    }
}

/// Terms between commas, but not those within parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
}

fn requirement(term: &str) -> Result<Requirement, ApiError> {
    let bad = || ApiError::bad_request(format!("unable to parse requirement: {term:?}"));
    if let Some(label) = term.strip_prefix('!') {
        return Ok(Requirement::Absent(label.trim().to_owned()));
    }
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((label, value)) = term.split_once(operator) {
            let (label, values) = (label.trim().to_owned(), vec![value.trim().to_owned()]);
            return Ok(if equal {
                Requirement::In(label, values)
            } else {
                Requirement::NotIn(label, values)
            });
        }
    }
    let Some((head, values)) = term.split_once('(') else {
        let one_word = !term.contains(char::is_whitespace);
        return one_word.then(|| Requirement::Exists(term.to_owned())).ok_or_else(bad);
    };
    let values = values.strip_suffix(')').ok_or_else(bad)?;
    let values = values.split(',').map(|value| value.trim().to_owned()).collect();
    match head.trim().split_once(char::is_whitespace) {
        Some((label, operator)) if operator.trim() == "in" => Ok(Requirement::In(label.to_owned(), values)),
        Some((label, operator)) if operator.trim() == "notin" => {
            Ok(Requirement::NotIn(label.to_owned(), values))
        }
        _ => Err(bad()),
    }
}

fn field_term(resource: &Resource, term: &str) -> Result<(String, bool, String), ApiError> {
    let found = [("!=", false), ("==", true), ("=", true)]
        .iter()
        .find_map(|(operator, equal)| term.split_once(operator).map(|(field, value)| (field, *equal, value)));
    let Some((field, equal, value)) = found else {
        let message = format!("invalid field selector: {term:?}; can't understand {term:?}");
        return Err(ApiError::bad_request(message));
    };
    let field = field.trim();
    let known = match field {
        "metadata.name" => true,
        "metadata.namespace" => resource.namespaced,
        _ => resource.fields.contains(&field),
    };
    if known {
        return Ok((field.to_owned(), equal, value.trim().to_owned()));
    }
    Err(ApiError::bad_request(if resource.fields.is_empty() {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn web() -> Revision {
        let object = json!({"metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web", "tier": "a"}},
            "spec": {"clusterIP": "10.0.0.1"}});
        Revision::new(Resource::named("services").unwrap(), 1, &object)
    }

    #[test]
    fn labels() {
        for (text, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("app=web", true),
            ("app==db,tier=a", false),
            ("app!=db", true),
            ("other!=db", true),
            ("app in (web, db),tier", true),
            ("app notin (web,db)", false),
            ("other notin (web)", true),
        ] {
            let selector = Selector::parse(web().resource, "", text, "").unwrap();
            assert_eq!(selector.matches(&web()), expected, "{text}");
        }
        assert!(Selector::parse(web().resource, "", "app at (web)", "").is_err());
    }

    #[test]
    fn fields() {
        for (text, expected) in [
            ("metadata.name=web", true),
            ("metadata.name!=web", false),
            ("metadata.namespace=shop,spec.clusterIP!=None", true),
            ("spec.clusterIP=None", false),
        ] {
            let selector = Selector::parse(web().resource, "", "", text).unwrap();
            assert_eq!(selector.matches(&web()), expected, "{text}");
        }
        let error = Selector::parse(web().resource, "", "", "spec.other=1").unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (400, "field label not supported: spec.other"));
    }
}
