//! [`QueryParams`] and [`PathParams`]: extractors that name the wrong parameter in their errors.

use std::collections::BTreeSet;
use std::fmt::Display;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::value::{Error as NoFields, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::Problem;
use crate::text::name_list;

/// The decoded parameters of a path.
#[derive(Clone, Debug)]
pub(super) struct PathParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Self(params)),
            Err(error) => Err(Problem::malformed(format!("malformed path: {}", error.body_text()))),
        }
    }
}

/// The parameters of a query string, as up to three structs. A parameter that is no field of them is refused.
#[derive(Clone, Debug)]
pub(super) struct QueryParams<A, B = NoParams, C = NoParams>(pub A, pub B, pub C);

/// No parameters.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct NoParams {}

impl<S, A, B, C> FromRequestParts<S> for QueryParams<A, B, C>
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

impl<A: DeserializeOwned, B: DeserializeOwned, C: DeserializeOwned> QueryParams<A, B, C> {
    /// Parses a query string, without its `?`.
    ///
    /// # Errors
    /// 400, with the wrong parameter.
    pub fn read(query: &str) -> Result<Self, Problem> {
        if query.is_empty() {
            return Ok(Self(defaults()?, defaults()?, defaults()?));
        }
        let names = [fields::<A>(), fields::<B>(), fields::<C>()];
        let pairs = pairs(query)?;
        let known: BTreeSet<&str> = names.iter().copied().flatten().copied().collect();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(name.as_str())) {
            let known = name_list(known);
            return Err(invalid(
                name,
                format!("unknown parameter `{}`: the parameters are {known}", name.escape_debug()),
            ));
        }
        Ok(Self(parse(&pairs, names[0])?, parse(&pairs, names[1])?, parse(&pairs, names[2])?))
    }
}

fn invalid(name: &str, detail: impl Display) -> Problem {
    Problem::malformed(detail.to_string()).with("parameter", name)
}

/// The decoded names and values.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
        return Err(Problem::malformed("the query string is not UTF-8"));
    }
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => Err(invalid(&name.replace('\0', ""), "a parameter contains a NUL byte")),
        None => Ok(pairs),
    }
}

/// A struct without any given parameter: the usual case.
fn defaults<T: DeserializeOwned>() -> Result<T, Problem> {
    let none = MapDeserializer::<_, NoFields>::new(std::iter::empty::<(&str, &str)>());
    // The error for a missing field is the same as with other parameters.
    T::deserialize(none).or_else(|_| parse(&[], &[]))
}

/// Parses the parameters of one struct.
fn parse<T: DeserializeOwned>(pairs: &[(String, String)], names: &[&str]) -> Result<T, Problem> {
    let own = pairs.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(own).finish();
    let deserializer = serde_html_form::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let name = error.path().to_string();
        let name = name.split(['[', '.']).next().unwrap_or_default();
        invalid(name, format!("`{name}`: {}", error.inner()))
    })
}

/// The names of a struct's fields, as serde sees them.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // This deserializer always fails, after it has captured the field list.
    let _ = T::deserialize(FieldCapture(&mut found));
    found
}

struct FieldCapture<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldCapture<'_> {
    type Error = NoFields;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoFields> {
        Err(NoFields::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, NoFields> {
        *self.0 = fields;
        Err(NoFields::custom("fields captured"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::audit::AuditQueryParams;

    #[derive(Debug, Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct More {
        locale: Option<String>,
    }

    fn read(query: &str) -> Result<(AuditQueryParams, More), Problem> {
        QueryParams::<AuditQueryParams, More>::read(query).map(|QueryParams(asked, more, _)| (asked, more))
    }

    #[test]
    fn a_query_string_is_parsed_like_command_line_flags() {
        let (asked, more) =
            read("actor=user:a&actor=user%3Ab&limit=7&newest_first=true&from=2026-01-31&locale=fr").unwrap();
        assert_eq!(asked.actors.len(), 2);
        assert_eq!((asked.limit, asked.newest_first, asked.refused), (Some(7), true, false));
        assert_eq!(asked.from, Some("2026-01-31T00:00:00Z".parse().unwrap()));
        assert_eq!(more.locale.as_deref(), Some("fr"));
        assert_eq!(read("").unwrap().0, AuditQueryParams::default());
    }

    #[test]
    fn an_error_names_the_wrong_parameter() {
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
        assert_eq!(read("text=%ff").unwrap_err().detail(), "the query string is not UTF-8");
    }

    #[test]
    fn audit_parameters_round_trip_through_a_query_string() {
        let query = "actor=user%3Aa&action=create&refused=true&text=a%26b&from=7&limit=3";
        let asked = read(query).unwrap().0;
        assert_eq!(read(&serde_html_form::to_string(&asked).unwrap()).unwrap().0, asked);
    }
}
