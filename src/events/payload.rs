//! Encodes an enum variant's content as JSON text, without serde's outer tag, and decodes it.
//!
//! Serde writes `Added { user }` as `{"Added":{"user":…}}`. The log keeps `{"user":…}` and the event type, so that
//! Rust names can change. Both directions go through the enum's own `Serialize` and `Deserialize`, so
//! all serde attributes on fields apply; a variant is identified by its index, never by its name.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::ser::{self, Impossible, Serialize, Serializer};
use serde_json::Value;

use super::json;

/// The serializer of payloads.
pub type JsonSerializer<'a> = &'a mut serde_json::Serializer<Vec<u8>>;

/// Encodes the content of `event`, an enum in serde's default (externally tagged) form. A unit variant is `{}`.
///
/// # Errors
/// When a field cannot be written as JSON, or `event` is not such an enum.
pub fn encode<E: Serialize>(event: &E) -> Result<String, serde_json::Error> {
    let mut json = serde_json::Serializer::new(Vec::with_capacity(128));
    event.serialize(Content(&mut json))?;
    String::from_utf8(json.into_inner()).map_err(ser::Error::custom)
}

/// Returns a field as JSON, for sentences and topics. An integer beyond 64 bits, which a [`Value`] cannot hold, becomes a
/// string of its digits: such events are no longer written, but old logs may have them.
///
/// # Errors
/// When the field cannot be written as JSON.
pub fn fact<T: Serialize>(field: &T) -> Result<Value, serde_json::Error> {
    fact_or(field, |to| field.serialize(to))
}

/// Returns a field as JSON. If its own `Serialize` fails, uses `write`: the form that its serde attribute gives it.
///
/// # Errors
/// When the field cannot be written as JSON either way.
pub fn fact_or<T: Serialize>(
    field: &T,
    write: impl FnOnce(JsonSerializer<'_>) -> Result<(), serde_json::Error>,
) -> Result<Value, serde_json::Error> {
    serde_json::to_value(field).or_else(|_| {
        let mut json = serde_json::Serializer::new(Vec::new());
        write(&mut json)?;
        let text = String::from_utf8(json.into_inner()).map_err(ser::Error::custom)?;
        serde_json::from_str(&json::large_numbers_as_strings(&text))
    })
}

/// Decodes the variant number `index` of `E` from its content.
///
/// # Errors
/// When the content does not have the variant's shape.
pub fn decode<E: DeserializeOwned>(index: u32, content: &str) -> Result<E, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(content);
    let event = E::deserialize(Variant { index, json: &mut json })?;
    json.end()?;
    Ok(event)
}

/// A serializer that takes a variant of an enum and writes its content.
struct Content<'a>(JsonSerializer<'a>);

macro_rules! only_variants {
    ($($method:ident($($arg:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $arg),*) -> Result<$ok, Self::Error> {
            Err(ser::Error::custom("an event must be an enum in serde's default form"))
        }
    )*};
}

impl<'a> Serializer for Content<'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Impossible<(), Self::Error>;
    type SerializeTuple = Impossible<(), Self::Error>;
    type SerializeTupleStruct = Impossible<(), Self::Error>;
    type SerializeTupleVariant = TupleContent<'a>;
    type SerializeMap = Impossible<(), Self::Error>;
    type SerializeStruct = Impossible<(), Self::Error>;
    type SerializeStructVariant = StructContent<'a>;

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Self::Error> {
        ser::SerializeMap::end(self.0.serialize_map(Some(0))?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self.0)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        len: usize,
    ) -> Result<TupleContent<'a>, Self::Error> {
        Ok(TupleContent(self.0.serialize_seq(Some(len))?))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        len: usize,
    ) -> Result<StructContent<'a>, Self::Error> {
        Ok(StructContent(self.0.serialize_struct(name, len)?))
    }

    only_variants! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self)
    }
}

struct TupleContent<'a>(<JsonSerializer<'a> as Serializer>::SerializeSeq);

impl ser::SerializeTupleVariant for TupleContent<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        ser::SerializeSeq::serialize_element(&mut self.0, value)
    }

    fn end(self) -> Result<(), Self::Error> {
        ser::SerializeSeq::end(self.0)
    }
}

struct StructContent<'a>(<JsonSerializer<'a> as Serializer>::SerializeStruct);

impl ser::SerializeStructVariant for StructContent<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Self::Error> {
        ser::SerializeStruct::serialize_field(&mut self.0, key, value)
    }

    fn end(self) -> Result<(), Self::Error> {
        ser::SerializeStruct::end(self.0)
    }
}

type JsonDeserializer<'a, 'de> = &'a mut serde_json::Deserializer<serde_json::de::StrRead<'de>>;

/// A deserializer of the variant `index`, with the content that `json` reads.
struct Variant<'a, 'de> {
    index: u32,
    json: JsonDeserializer<'a, 'de>,
}

impl<'de> de::Deserializer<'de> for Variant<'_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = serde_json::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Self::Error> {
        let index: de::value::U32Deserializer<Self::Error> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = serde_json::Error;

    fn unit_variant(self) -> Result<(), Self::Error> {
        // Ignore the content that an earlier shape of the variant had.
        de::Deserializer::deserialize_ignored_any(self.json, de::IgnoredAny).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Self::Error> {
        seed.deserialize(self.json)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        de::Deserializer::deserialize_tuple(self.json, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        de::Deserializer::deserialize_struct(self.json, "event", fields, visitor)
    }
}

impl fmt::Debug for Variant<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variant").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Sample {
        Unit,
        NewType(Vec<u8>),
        Tuple(i64, String),
        Struct {
            #[serde(rename = "n")]
            number: u64,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            text: Option<String>,
        },
    }

    #[test]
    fn a_payload_is_the_content_of_the_variant() {
        let json = |event: &Sample| encode(event).unwrap();
        assert_eq!(json(&Sample::Unit), "{}");
        assert_eq!(json(&Sample::NewType(vec![1])), "[1]");
        assert_eq!(json(&Sample::Tuple(-1, "a".into())), r#"[-1,"a"]"#);
        assert_eq!(json(&Sample::Struct { number: 2, text: None }), r#"{"n":2}"#);
        assert!(decode::<Sample>(3, r#"{"n":"x"}"#).is_err());
        assert!(decode::<Sample>(4, "{}").is_err());
        assert!(decode::<Sample>(3, r#"{"n":1} x"#).is_err());
    }

    proptest! {
        #[test]
        fn an_encoded_event_decodes_to_an_equal_event(number: u64, tuple: (i64, String), text: Option<String>, bytes: Vec<u8>) {
            for (index, event) in [
                Sample::Unit, Sample::NewType(bytes), Sample::Tuple(tuple.0, tuple.1), Sample::Struct { number, text },
            ].into_iter().enumerate() {
                let json = encode(&event).unwrap();
                prop_assert_eq!(decode::<Sample>(index as u32, &json).unwrap(), event);
            }
        }
    }
}
