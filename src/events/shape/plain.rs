//! Plausible values: small numbers, short texts, nothing for optional parts.

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::trace::Stop;

/// Sample texts: a type that accepts only some is tried with each.
pub(super) const TEXTS: [&str; 8] = [
    "a",
    "",
    "1",
    "a:b",
    "00000000-0000-7000-8000-000000000000",
    "2026-01-01T00:00:00Z",
    "2026-01-01",
    "https://example.org/",
];

/// The limit of nesting: recursive types have no end.
const DEEPEST: usize = 24;

/// A deserializer of a plausible value of any type.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    text: &'static str,
    depth: usize,
}

impl Plain {
    /// Creates a value with the sample text of this number.
    pub fn new(text: usize) -> Self {
        Self { text: TEXTS[text % TEXTS.len()], depth: 0 }
    }

    fn within(self) -> Result<Self, Stop> {
        match self.depth < DEEPEST {
            true => Ok(Self { depth: self.depth + 1, ..self }),
            false => Err(Stop::Error("no value of the type is small".to_owned())),
        }
    }
}

/// A number of values.
pub(super) struct PlainItems(Plain, usize);

macro_rules! values {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            visitor.$visit($value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Plain {
    type Error = Stop;

    values! {
        deserialize_bool visit_bool false;
        deserialize_char visit_char 'a';
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_bytes visit_bytes &[];
        deserialize_byte_buf visit_bytes &[];
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str(self.text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str(self.text)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self.within()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_seq(PlainItems(self, 0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_seq(PlainItems(self.within()?, length))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_map(de::value::MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_enum(First(self.within()?, variants.first().copied().unwrap_or_default()))
    }
}

/// The first variant of an enum.
struct First(Plain, &'static str);

impl<'de> de::EnumAccess<'de> for First {
    type Error = Stop;
    type Variant = Plain;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Plain), Stop> {
        let name: de::value::StrDeserializer<'_, Stop> = self.1.into_deserializer();
        Ok((seed.deserialize(name)?, self.0))
    }
}

impl<'de> de::VariantAccess<'de> for Plain {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Stop> {
        de::Deserializer::deserialize_tuple(self, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}

impl<'de> de::SeqAccess<'de> for PlainItems {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some(left) = self.1.checked_sub(1) else { return Ok(None) };
        self.1 = left;
        seed.deserialize(self.0).map(Some)
    }
}
