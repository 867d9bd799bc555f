//! [`Address`]: what an address asks for, and the addresses that ask for a little more or less.

use form_urlencoded::{Serializer, parse};

/// The filters of the feed, by the words that the whole door has for them, and what people call them.
pub(super) const FILTERS: [(&str, &str); 13] = [
    ("text", "text"),
    ("actor", "actor"),
    ("target", "target"),
    ("topic", "topic"),
    ("action", "action"),
    ("event", "event type"),
    ("aggregate", "happened to"),
    ("correlation", "belongs to"),
    ("occurred_from", "from"),
    ("occurred_until", "until"),
    ("from", "recorded from"),
    ("until", "recorded until"),
    ("by_occurrence", "as it happened"),
];

/// The times among them.
const TIMES: [&str; 4] = ["occurred_from", "occurred_until", "from", "until"];

/// The names and values of an address, in their order; what is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address(Vec<(String, String)>);

impl Address {
    /// Reads the query of an address. A time without a zone, as a browser without script sends it, is in UTC.
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

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The filters alone: without where a page begins, how long it is, and what else there may be.
    pub fn filters(&self) -> Self {
        let kept = self.0.iter().filter(|(name, _)| FILTERS.iter().any(|(filter, _)| filter == name));
        Self(kept.cloned().collect())
    }

    /// The same without one name.
    pub fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(known, _)| known != name).cloned().collect())
    }

    /// The same without one of the values of a name.
    pub fn without_one(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(known, given)| known != name || given != value);
        Self(others.cloned().collect())
    }

    /// The same with this as the only value of a name.
    pub fn with(&self, name: &str, value: impl ToString) -> Self {
        let mut asked = self.without(name);
        asked.0.push((name.to_owned(), value.to_string()));
        asked
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As the query of an address, without its question mark.
    pub fn query(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// As the end of an address: nothing, or a question mark and the query.
    pub fn suffix(&self) -> String {
        if self.is_empty() { String::new() } else { format!("?{}", self.query()) }
    }

    /// As an address to which a script adds one more parameter.
    pub fn open_suffix(&self) -> String {
        if self.is_empty() { "?".to_owned() } else { format!("?{}&", self.query()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_what_is_empty_is_left_out() {
        let asked = Address::parse(Some("actor=user%3Aann&text=&target=a%26b%3D&actor=user:bob&cursor=1"));
        let pairs: Vec<_> = asked.iter().collect();
        assert_eq!(pairs, [("actor", "user:ann"), ("target", "a&b="), ("actor", "user:bob"), ("cursor", "1")]);
        assert_eq!(Address::parse(Some(&asked.query())), asked);
        assert_eq!(asked.filters().without_one("actor", "user:ann").query(), "target=a%26b%3D&actor=user%3Abob");
        assert_eq!(asked.with("actor", "x").get("actor"), Some("x"));
        assert_eq!(Address::parse(None).suffix(), "");
        assert_eq!(Address::parse(Some("é=%ff")).query(), "%C3%A9=%EF%BF%BD");
    }

    #[test]
    fn a_time_without_a_zone_is_in_utc_and_what_is_no_time_is_left_as_it_is() {
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
            let asked = Address(vec![("from".into(), given.into())]);
            assert_eq!(Address::parse(Some(&asked.query())).get("from"), Some(read));
        }
        assert_eq!(Address::parse(Some("text=Tyger")).get("text"), Some("Tyger"));
        assert_eq!(Address::parse(Some("text=2026-01-31T10:00")).get("text"), Some("2026-01-31T10:00"));
    }
}
