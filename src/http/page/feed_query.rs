//! [`FeedQuery`]: the query of a page of the feed: all events, refusals, or the history of one object.

use axum::http::{HeaderMap, header};

use super::address::Address;
use super::request::PageRequest;
use super::site::{Section, Site};
use crate::app::Annals;
use crate::events::Ref;
use crate::http::{Caller, Problem, QueryParams};
use crate::projections::audit::{AuditQuery, AuditQueryParams};
use crate::projections::presenter::Presenter;

/// Which events a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FeedScope {
    Everything,
    Refusals,
    /// The events that affected an object, or, with `did`, that it caused as an actor.
    Thing {
        of: Ref,
        did: bool,
    },
}

/// The parameters of the feed's pages beside filters.
const OTHERS: [&str; 6] = ["cursor", "of", "did", "after", "id", "seen"];

/// The query of a page of the feed.
pub(super) struct FeedQuery {
    pub scope: FeedScope,
    /// The requested address.
    pub given: Address,
    /// All filters: those of the address and the page's own.
    pub filters: Address,
    /// The query as this caller, newest first.
    pub query: AuditQuery,
}

impl FeedScope {
    /// The page's path.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Everything => "",
            Self::Refusals => "refusals",
            Self::Thing { .. } => "history",
        }
    }

    pub fn section(&self) -> Section {
        match self {
            Self::Everything => Section::Feed,
            Self::Refusals => Section::Refusals,
            Self::Thing { .. } => Section::Other,
        }
    }

    /// The page's own parameters.
    pub fn own(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Everything | Self::Refusals => Vec::new(),
            Self::Thing { of, did } => vec![("of", of.to_string()), ("did", did.to_string())],
        }
    }

    /// The address of this page with these filters.
    pub fn link(&self, site: &Site, filters: &Address) -> String {
        let address = self.own().iter().fold(filters.filters(), |address, (name, value)| address.with(name, value));
        site.link(self.path(), &address)
    }

    /// The filter that the page implies. The form does not offer it.
    pub fn fixed(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Everything => None,
            Self::Refusals => Some(("action", "refuse".to_owned())),
            Self::Thing { of, did: false } => Some(("target", of.to_string())),
            Self::Thing { of, did: true } => Some(("actor", of.to_string())),
        }
    }
}

impl FeedQuery {
    /// Builds the query of an address.
    ///
    /// # Errors
    /// 400 if the address is malformed; 401 if an actor is required.
    fn new(scope: FeedScope, given: &Address, caller: &Caller) -> Result<Self, Problem> {
        given.check(&OTHERS)?;
        let mut filters = given.filters();
        if let Some((name, value)) = scope.fixed() {
            filters = filters.with(name, value);
        }
        let QueryParams(asked, ..) = QueryParams::<AuditQueryParams>::read(&filters.query())?;
        let query = asked.apply_filters(caller.audit()?).newest_first().shortened();
        Ok(Self { scope, given: given.clone(), filters, query })
    }

    /// The address of the same page with other filters.
    pub fn link(&self, site: &Site, filters: &Address) -> String {
        self.scope.link(site, filters)
    }

    /// Whether new events belong at the top of the page.
    pub fn is_live(&self) -> bool {
        ["cursor", "until", "by_occurrence"].iter().all(|name| self.given.get(name).is_none())
    }
}

impl PageRequest {
    /// The query of this page for the events in `scope`.
    pub fn feed(&self, scope: FeedScope) -> Result<FeedQuery, Problem> {
        FeedQuery::new(scope, &self.address, &self.caller)
    }

    /// The presenter in the caller's language.
    pub fn presenter(&self) -> Presenter {
        presenter(self.state.annals(), &self.headers).shortened()
    }
}

/// The presenter in the first accepted language that the application supports; otherwise as declared.
fn presenter(annals: &Annals, headers: &HeaderMap) -> Presenter {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut languages: Vec<(&str, f32)> = accepted
        .split(',')
        .take(20)
        .map(|item| {
            let (language, weight) = item.split_once(";q=").unwrap_or((item, "1"));
            (language.trim(), weight.trim().parse().unwrap_or(0.0))
        })
        .collect();
    languages.sort_by(|one, other| other.1.total_cmp(&one.1));
    let supported = languages.into_iter().find_map(|(language, _)| annals.presenter().locale(language).ok());
    supported.unwrap_or_else(|| annals.presenter())
}
