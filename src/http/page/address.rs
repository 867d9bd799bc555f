//! [`Address`]: the query string of a page, and variants of it for links.

use form_urlencoded::{Serializer, parse};

use crate::http::Problem;
use crate::text::name_list;

/// The filters of the feed: the parameter, and its label.
const FILTERS: [(&str, &str); 14] = [
    ("text", "text"),
    ("actor", "actor"),
    ("target", "target"),
    ("topic", "topic"),
    ("action", "action"),
    ("event", "event type"),
    ("aggregate", "aggregate"),
    ("correlation", "correlation"),
    ("occurred_from", "occurred from"),
    ("occurred_until", "occurred until"),
    ("from", "recorded from"),
    ("until", "recorded until"),
    ("by_occurrence", "by time of occurrence"),
    ("detail", "detail"),
];

/// The label of a filter.
pub(super) fn label_of(filter: &str) -> &str {
    FILTERS.iter().find(|(name, _)| *name == filter).map_or(filter, |(_, label)| *label)
}

/// The filters that are times.
const TIMES: [&str; 4] = ["occurred_from", "occurred_until", "from", "until"];

/// The names and values of a query string, in their order, without empty values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address(Vec<(String, String)>);

impl Address {
    /// Parses a query string. A time without a time zone, as a browser without scripts sends it, is in UTC.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = parse(query.unwrap_or_default().as_bytes()).into_owned();
        let pairs = pairs.filter(|(_, value)| !value.is_empty()).map(|(name, value)| {
            let zoneless = TIMES.contains(&&*name)
                && value.parse::<jiff::civil::DateTime>().is_ok()
                && value
                    .get(10..)
                    .is_some_and(|time| time.starts_with('T') && !time.contains(['Z', 'z', '+', '-']));
            let value = if zoneless { value + "Z" } else { value };
            (name, value)
        });
        Self(pairs.collect())
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Checks that each name is a filter or one of `others`: a misspelt filter would show everything.
    pub fn check(&self, others: &[&str]) -> Result<(), Problem> {
        let known = |name: &str| others.contains(&name) || FILTERS.iter().any(|(filter, _)| *filter == name);
        match self.0.iter().find(|(name, _)| !known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let name = name.escape_debug();
                let filters = name_list(FILTERS.iter().map(|(filter, _)| filter));
                Err(Problem::malformed(format!("there is no filter `{name}`; the filters are {filters}")))
            }
        }
    }

    /// Only the filters: no cursor, limit or other parameter.
    pub fn filters(&self) -> Self {
        let kept = self.0.iter().filter(|(name, _)| FILTERS.iter().any(|(filter, _)| filter == name));
        Self(kept.cloned().collect())
    }

    /// Without a name.
    pub fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(known, _)| known != name).cloned().collect())
    }

    /// Without one of the values of a name.
    pub fn without_one(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(known, given)| known != name || given != value);
        Self(others.cloned().collect())
    }

    /// With this as the only value of a name.
    pub fn with(&self, name: &str, value: impl ToString) -> Self {
        let mut address = self.without(name);
        address.0.push((name.to_owned(), value.to_string()));
        address
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As a query string, without its question mark.
    pub fn query(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// As the suffix of a URL: empty, or a question mark and the query string.
    pub fn suffix(&self) -> String {
        if self.is_empty() { String::new() } else { format!("?{}", self.query()) }
    }

    /// As a suffix that a script appends one more parameter to.
    pub fn open_suffix(&self) -> String {
        if self.is_empty() { "?".to_owned() } else { format!("?{}&", self.query()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_round_trips_without_empty_values() {
        let address = Address::parse(Some("actor=user%3Aann&text=&target=a%26b%3D&actor=user:bob&cursor=1"));
        let pairs: Vec<_> = address.iter().collect();
        assert_eq!(pairs, [("actor", "user:ann"), ("target", "a&b="), ("actor", "user:bob"), ("cursor", "1")]);
        assert_eq!(Address::parse(Some(&address.query())), address);
        assert_eq!(address.filters().without_one("actor", "user:ann").query(), "target=a%26b%3D&actor=user%3Abob");
        assert_eq!(address.with("actor", "x").get("actor"), Some("x"));
        assert_eq!(Address::parse(None).suffix(), "");
        assert_eq!(Address::parse(Some("é=%ff")).query(), "%C3%A9=%EF%BF%BD");
    }

    #[test]
    fn a_time_without_a_zone_is_in_utc_and_other_values_are_unchanged() {
        for (given, read) in [
            ("2026-01-31T10:00", "2026-01-31T10:00Z"),
            ("2026-01-31T10:00:05", "2026-01-31T10:00:05Z"),
            ("2026-01-31T10:00:05+02:00", "2026-01-31T10:00:05+02:00"),
            ("2026-01-31", "2026-01-31"),
            ("12", "12"),
            ("éééééé", "éééééé"),
            ("T", "T"),
            ("Té", "Té"),
        ] {
            let address = Address(vec![("from".into(), given.into())]);
            assert_eq!(Address::parse(Some(&address.query())).get("from"), Some(read));
        }
        assert_eq!(Address::parse(Some("text=Tyger")).get("text"), Some("Tyger"));
        assert_eq!(Address::parse(Some("text=2026-01-31T10:00")).get("text"), Some("2026-01-31T10:00"));
    }
}
