//! [`Params`]: the parameters of an address, which are the words that the command line has.

use std::collections::BTreeSet;
use std::fmt::Display;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::value::{Error as NoFields, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::Problem;
use crate::text::name_list;

/// What an address names, decoded.
#[derive(Clone, Debug)]
pub struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(error) => Err(Problem::malformed(format!("the address cannot be read: {}", error.body_text()))),
        }
    }
}

/// The parameters of an address, as up to three structs of words. What none of them has is refused and named.
#[derive(Clone, Debug)]
pub struct Params<A, B = Nothing, C = Nothing>(pub A, pub B, pub C);

/// No parameters.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Nothing {}

impl<S, A, B, C> FromRequestParts<S> for Params<A, B, C>
where
    S: Send + Sync,
    A: DeserializeOwned + Send,
    B: DeserializeOwned + Send,
    C: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

impl<A: DeserializeOwned, B: DeserializeOwned, C: DeserializeOwned> Params<A, B, C> {
    /// Reads the part of an address behind its `?`.
    ///
    /// # Errors
    /// 400, with the parameter that is wrong.
    pub fn read(query: &str) -> Result<Self, Problem> {
        if query.is_empty() {
            return Ok(Self(without_words()?, without_words()?, without_words()?));
        }
        let names = [fields::<A>(), fields::<B>(), fields::<C>()];
        let pairs = pairs(query)?;
        let known: BTreeSet<&str> = names.iter().copied().flatten().copied().collect();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(name.as_str())) {
            let known = name_list(known);
            return Err(wrong(
                name,
                format!("there is no parameter `{}`; there are: {known}", name.escape_debug()),
            ));
        }
        Ok(Self(words(&pairs, names[0])?, words(&pairs, names[1])?, words(&pairs, names[2])?))
    }
}

fn wrong(name: &str, detail: impl Display) -> Problem {
    Problem::malformed(detail.to_string()).with("parameter", name)
}

/// The names and values, decoded.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
        return Err(Problem::malformed("the parameters are not UTF-8"));
    }
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => Err(wrong(&name.replace('\0', ""), "a parameter holds a NUL byte")),
        None => Ok(pairs),
    }
}

/// A struct that nothing is said of, as most are.
fn without_words<T: DeserializeOwned>() -> Result<T, Problem> {
    let none = MapDeserializer::<_, NoFields>::new(std::iter::empty::<(&str, &str)>());
    // What is missing is named in the same words as elsewhere.
    T::deserialize(none).or_else(|_| words(&[], &[]))
}

/// The words of one struct.
fn words<T: DeserializeOwned>(pairs: &[(String, String)], names: &[&str]) -> Result<T, Problem> {
    let own = pairs.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(own).finish();
    let deserializer = serde_html_form::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let name = error.path().to_string();
        let name = name.split(['[', '.']).next().unwrap_or_default();
        wrong(name, format!("`{name}`: {}", error.inner()))
    })
}

/// The names of a struct's fields, as serde knows them.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // It asks for a struct, is told off, and gives away its fields by that.
    let _ = T::deserialize(Fields(&mut found));
    found
}

struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = NoFields;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoFields> {
        Err(NoFields::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, NoFields> {
        *self.0 = fields;
        Err(NoFields::custom("only its fields were wanted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::audit::Asked;

    #[derive(Debug, Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct More {
        locale: Option<String>,
    }

    fn read(query: &str) -> Result<(Asked, More), Problem> {
        Params::<Asked, More>::read(query).map(|Params(asked, more, _)| (asked, more))
    }

    #[test]
    fn an_address_is_read_as_flags_are() {
        let (asked, more) =
            read("actor=user:a&actor=user%3Ab&limit=7&newest_first=true&from=2026-01-31&locale=fr").unwrap();
        assert_eq!(asked.actors.len(), 2);
        assert_eq!((asked.limit, asked.newest_first, asked.refused), (Some(7), true, false));
        assert_eq!(asked.from, Some("2026-01-31T00:00:00Z".parse().unwrap()));
        assert_eq!(more.locale.as_deref(), Some("fr"));
        assert_eq!(read("").unwrap().0, Asked::default());
    }

    #[test]
    fn what_is_wrong_with_an_address_is_named() {
        for (query, name) in [
            ("actr=user:a", "actr"),
            ("actor=nobody", "actor"),
            ("actor=user:a&limit=-1", "limit"),
            ("limit=1&limit=2", "limit"),
            ("refused=perhaps", "refused"),
            ("action=eat", "action"),
            ("occurred_from=7", "occurred_from"),
            ("from=2026-01-01T00:00:00", "from"),
            ("cursor=zz", "cursor"),
            ("text=a%00b", "text"),
        ] {
            let problem = serde_json::to_value(read(query).unwrap_err()).unwrap();
            assert_eq!(
                (&problem["parameter"], &problem["status"]),
                (&name.into(), &400.into()),
                "{query}: {problem}"
            );
        }
        assert_eq!(read("text=%ff").unwrap_err().detail(), "the parameters are not UTF-8");
    }

    #[test]
    fn a_question_is_written_as_it_is_read() {
        let query = "actor=user%3Aa&action=create&refused=true&text=a%26b&from=7&limit=3";
        let asked = read(query).unwrap().0;
        assert_eq!(read(&serde_html_form::to_string(&asked).unwrap()).unwrap().0, asked);
    }
}
