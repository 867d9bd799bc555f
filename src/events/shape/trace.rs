//! A deserializer that follows a path into a type, and stops at its end with the type's request.

use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::plain::Plain;

/// A step into a type. The numbers are indexes of [`TEXTS`](super::plain::TEXTS): the texts of values before.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Into an `Option`.
    Some,
    /// Into a newtype.
    Newtype,
    /// To the item after those with these texts.
    Item(Vec<usize>),
    /// To the keys of a map.
    Key,
    /// To the values of a map.
    Value(usize),
    /// To a field.
    Field(&'static str),
    /// To a variant by its name.
    Variant(&'static str),
    /// To a variant by its number.
    Number(u32),
    /// No step: builds the struct from these fields only.
    Given(Vec<(&'static str, usize)>),
}

/// What a type requests.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Leaf(&'static str),
    Option,
    Newtype,
    List,
    Tuple(usize),
    Map,
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
}

/// Why a run ended.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// At the end of the path.
    Seen(Seen),
    /// A value was built.
    Made,
    /// A field was missing.
    Missing(&'static str),
    /// The type returned an error.
    Error(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(message) => f.write_str(message),
            other => write!(f, "{other:?}"),
        }
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Error(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

fn wrong_way(step: &Step) -> Stop {
    Stop::Error(format!("the type asks for something else than before: there is no {step:?}"))
}

/// The rest of the path.
pub(super) struct Tracer<'p>(pub &'p [Step]);

impl<'p> Tracer<'p> {
    fn at<V>(self, seen: Seen, go: impl FnOnce(&'p Step, Self) -> Result<V, Stop>) -> Result<V, Stop> {
        match self.0.split_first() {
            None => Err(Stop::Seen(seen)),
            Some((step, rest)) => go(step, Tracer(rest)),
        }
    }

    fn items<'de, V: Visitor<'de>>(self, seen: Seen, visitor: V) -> Result<V::Value, Stop> {
        self.at(seen, |step, rest| match step {
            Step::Item(texts) => visitor.visit_seq(Items { texts, at: 0, rest: rest.0 }),
            step => Err(wrong_way(step)),
        })
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.at(Seen::Struct(name, fields), |step, rest| match step {
            Step::Given(given) => {
                let made = visitor.visit_map(Given { given, text: 0 });
                Err(made.err().unwrap_or(Stop::Made))
            }
            step => visitor.visit_map(Entry { step, rest: rest.0, done: false }),
        })
    }
}

macro_rules! leaves {
    ($($method:ident $name:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            self.at(Seen::Leaf($name), |step, _| Err(wrong_way(step)))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Tracer<'_> {
    type Error = Stop;

    leaves! {
        deserialize_any "any" deserialize_ignored_any "any" deserialize_bool "bool" deserialize_char "char"
        deserialize_i8 "i8" deserialize_i16 "i16" deserialize_i32 "i32" deserialize_i64 "i64" deserialize_i128 "i128"
        deserialize_u8 "u8" deserialize_u16 "u16" deserialize_u32 "u32" deserialize_u64 "u64" deserialize_u128 "u128"
        deserialize_f32 "f32" deserialize_f64 "f64" deserialize_str "string" deserialize_string "string"
        deserialize_bytes "bytes" deserialize_byte_buf "bytes" deserialize_unit "null"
        deserialize_identifier "identifier"
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.at(Seen::Option, |_, rest| visitor.visit_some(rest))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Stop> {
        self.at(Seen::Leaf("null"), |step, _| Err(wrong_way(step)))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.at(Seen::Newtype, |_, rest| visitor.visit_newtype_struct(rest))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.items(Seen::List, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Stop> {
        self.items(Seen::Tuple(length), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.items(Seen::Tuple(length), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.at(Seen::Map, |step, rest| visitor.visit_map(Entry { step, rest: rest.0, done: false }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.at(Seen::Enum(name, variants), |step, rest| visitor.visit_enum(Chosen { step, rest: rest.0 }))
    }
}

struct Items<'p> {
    texts: &'p [usize],
    at: usize,
    rest: &'p [Step],
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let text = self.texts.get(self.at).copied();
        self.at += 1;
        match text {
            Some(text) => seed.deserialize(Plain::new(text)).map(Some),
            None => seed.deserialize(Tracer(self.rest)).map(Some),
        }
    }
}

/// One entry of a map or struct.
struct Entry<'p> {
    step: &'p Step,
    rest: &'p [Step],
    done: bool,
}

impl<'de> de::MapAccess<'de> for Entry<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        if self.done {
            return Ok(None);
        }
        match self.step {
            Step::Field(name) => seed.deserialize(named(name)).map(Some),
            Step::Key => seed.deserialize(Tracer(self.rest)).map(Some),
            Step::Value(text) => seed.deserialize(Plain::new(*text)).map(Some),
            step => Err(wrong_way(step)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Stop> {
        self.done = true;
        seed.deserialize(Tracer(self.rest))
    }
}

/// The fields of a struct to be built.
struct Given<'p> {
    given: &'p [(&'static str, usize)],
    text: usize,
}

impl<'de> de::MapAccess<'de> for Given<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        let Some(((name, text), rest)) = self.given.split_first() else { return Ok(None) };
        (self.given, self.text) = (rest, *text);
        seed.deserialize(named(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Stop> {
        seed.deserialize(Plain::new(self.text))
    }
}

fn named(name: &'static str) -> de::value::StrDeserializer<'static, Stop> {
    name.into_deserializer()
}

/// A variant.
struct Chosen<'p> {
    step: &'p Step,
    rest: &'p [Step],
}

impl<'de, 'p> de::EnumAccess<'de> for Chosen<'p> {
    type Error = Stop;
    type Variant = Tracer<'p>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Tracer<'p>), Stop> {
        let variant = match self.step {
            Step::Variant(name) => seed.deserialize(named(name))?,
            Step::Number(number) => {
                let number: de::value::U32Deserializer<Stop> = number.into_deserializer();
                seed.deserialize(number)?
            }
            step => return Err(wrong_way(step)),
        };
        Ok((variant, Tracer(self.rest)))
    }
}

impl<'de> de::VariantAccess<'de> for Tracer<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.at(Seen::Leaf("unit"), |step, _| Err(wrong_way(step)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        self.at(Seen::Newtype, |_, rest| seed.deserialize(rest))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Stop> {
        self.items(Seen::Tuple(length), visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields("", fields, visitor)
    }
}
