//! PROV-JSON (W3C Member Submission of 2013).

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::document::{ANNALS_NAMESPACE, AttributeValue, Document, Statement, StatementKind};

impl Document {
    /// The document as PROV-JSON. Relations have blank ids, in the order of the statements.
    ///
    /// # Errors
    /// Never for a document that this crate made: its ids are texts.
    pub fn to_prov_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// The statements of a kind, each with its id.
    fn of_kind(&self, kind: StatementKind) -> Vec<(String, &Statement)> {
        let named = self.statements.iter().scan(0_u64, |relations, statement| {
            let id = statement.id.clone().unwrap_or_else(|| {
                *relations += 1;
                format!("_:r{relations}")
            });
            Some((id, statement))
        });
        named.filter(|(_, statement)| statement.kind == kind).collect()
    }
}

impl Serialize for Document {
    /// PROV-JSON.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let namespace = self.namespace();
        map.serialize_entry("prefix", &Map(vec![("log", namespace.as_str()), ("annals", ANNALS_NAMESPACE)]))?;
        for kind in StatementKind::ALL {
            let statements = self.of_kind(kind);
            if !statements.is_empty() {
                let records = statements.into_iter().map(|(id, statement)| (id, Record(statement))).collect();
                map.serialize_entry(kind.as_str(), &Map(records))?;
            }
        }
        map.end()
    }
}

/// A JSON object whose members keep their order.
struct Map<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A statement without its id.
struct Record<'a>(&'a Statement);

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, argument) in self.0.named_arguments() {
            map.serialize_entry(name, argument)?;
        }
        let attributes = &self.0.attributes;
        for (index, (name, value)) in attributes.iter().enumerate() {
            let is_name = |(other, _): &&(&str, AttributeValue)| other == name;
            if attributes[..index].iter().any(|earlier| is_name(&earlier)) {
                continue;
            }
            // Several values of one attribute are an array.
            let others: Vec<Value<'_>> = attributes.iter().filter(is_name).map(|(_, value)| Value(value)).collect();
            match others.len() {
                1 => map.serialize_entry(name, &Value(value))?,
                _ => map.serialize_entry(name, &others)?,
            }
        }
        map.end()
    }
}

struct Value<'a>(&'a AttributeValue);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let typed = |value: String, kind: &'static str| Map(vec![("$", value), ("type", kind.to_owned())]);
        match self.0 {
            AttributeValue::Text(text) => serializer.serialize_str(text),
            AttributeValue::Name(name) => typed((*name).to_owned(), "xsd:QName").serialize(serializer),
            // A JSON number would be read as an xsd:int.
            AttributeValue::Number(number) => typed(number.to_string(), "xsd:long").serialize(serializer),
        }
    }
}
