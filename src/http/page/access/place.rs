//! [`Place`]: which part of the lists of requests and grants a page shows.

use uuid::Uuid;

use crate::events::Ref;
use crate::http::Problem;
use crate::http::page::address::Address;

/// The parameters of the address.
pub(super) const NAMES: [&str; 5] = ["of", "requests_after", "requests_last", "grants_after", "grants_last"];

/// Where the lists begin, and the party that they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Only this party.
    pub of: Option<Ref>,
    pub requests: After,
    pub grants: After,
}

/// The end of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct After {
    /// The last party of which everything was shown.
    pub party: Option<Ref>,
    /// The last entry of the next party that was shown.
    pub last: Option<Uuid>,
}

impl Place {
    /// The place that an address names.
    ///
    /// # Errors
    /// 400 if a parameter is unknown or malformed: a misspelt one would show everything.
    pub fn of(address: &Address) -> Result<Self, Problem> {
        if let Some((name, _)) = address.iter().find(|(name, _)| !NAMES.contains(name)) {
            return Err(Problem::malformed(format!("there is no parameter `{}`", name.escape_debug())));
        }
        Ok(Self {
            of: parsed(address, "of")?,
            requests: After { party: parsed(address, "requests_after")?, last: parsed(address, "requests_last")? },
            grants: After { party: parsed(address, "grants_after")?, last: parsed(address, "grants_last")? },
        })
    }

    /// The address of the place.
    pub fn address(&self) -> Address {
        let of =
            |after: &After| [after.party.as_ref().map(Ref::to_string), after.last.map(|last| last.to_string())];
        let [[requests_after, requests_last], [grants_after, grants_last]] = [&self.requests, &self.grants].map(of);
        let values =
            [self.of.as_ref().map(Ref::to_string), requests_after, requests_last, grants_after, grants_last];
        let given = NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)));
        given.fold(Address::default(), |address, (name, value)| address.with(name, value))
    }
}

/// A value of an address or a form.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    address: &Address,
    name: &str,
) -> Result<Option<T>, Problem> {
    let parse = |text: &str| {
        text.trim().parse().map_err(|error| Problem::malformed(format!("`{name}` is not valid: {error}")))
    };
    address.get(name).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_in_the_address_and_an_unknown_parameter_is_an_error() {
        let query = "of=user%3A%D0%B0&requests_after=user%3Abob&grants_last=01890c5e-0000-7000-8000-000000000000";
        let place = Place::of(&Address::parse(Some(query))).unwrap();
        assert_eq!(place.of.as_ref().unwrap().as_str(), "user:\u{430}");
        assert!(place.grants.last.is_some() && place.requests.last.is_none());
        assert_eq!(place.address().query(), query);
        for wrong in ["off=user%3Abob", "of=bob", "requests_last=1", "actor=user%3Abob"] {
            assert_eq!(Place::of(&Address::parse(Some(wrong))).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
