//! [`Question`]: what a page of the feed shows: everything, refusals, or what has to do with one thing.

use axum::http::{HeaderMap, header};

use super::address::Address;
use super::asking::Asking;
use super::site::{Section, Site};
use crate::app::Annals;
use crate::events::Ref;
use crate::http::{Asker, Params, Problem};
use crate::projections::audit::{Asked, AuditQuery};
use crate::projections::presenter::Presenter;

/// What the events of a page have to do with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Everything,
    Refusals,
    /// What was done to it, or what it did.
    Thing {
        of: Ref,
        did: bool,
    },
}

/// What a page of the feed is asked.
pub(super) struct Question {
    pub about: About,
    /// The address as it was given.
    pub given: Address,
    /// All filters: those of the address, and those that the page is about.
    pub filters: Address,
    /// Asked of the log as who asks may read it: the newest first.
    pub query: AuditQuery,
}

impl About {
    /// The path of the page.
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

    /// The parameters that say what the page is about.
    pub fn own(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Everything | Self::Refusals => Vec::new(),
            Self::Thing { of, did } => vec![("of", of.to_string()), ("did", did.to_string())],
        }
    }

    /// The filter that it is, and that the form does not offer.
    pub fn fixed(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Everything => None,
            Self::Refusals => Some(("action", "refuse".to_owned())),
            Self::Thing { of, did: false } => Some(("target", of.to_string())),
            Self::Thing { of, did: true } => Some(("actor", of.to_string())),
        }
    }
}

impl Question {
    /// The question of an address.
    ///
    /// # Errors
    /// What is wrong with it, and 401 when it has to be known who asks.
    fn new(about: About, given: &Address, asker: &Asker) -> Result<Self, Problem> {
        let mut filters = given.filters();
        if let Some((name, value)) = about.fixed() {
            filters = filters.with(name, value);
        }
        let Params(asked, ..) = Params::<Asked>::read(&filters.query())?;
        let query = asked.of_all(asker.audit()?).newest_first();
        Ok(Self { about, given: given.clone(), filters, query })
    }

    /// The address of the same page with other filters.
    pub fn link(&self, site: &Site, filters: &Address) -> String {
        let own = self.about.own();
        let address = own.iter().fold(filters.filters(), |address, (name, value)| address.with(name, value));
        site.link(self.about.path(), &address)
    }

    /// Whether what comes belongs to the top of the page.
    pub fn is_live(&self) -> bool {
        ["cursor", "until", "by_occurrence"].iter().all(|name| self.given.get(name).is_none())
    }
}

impl Asking {
    /// What is asked of a page that is about this.
    pub fn question(&self, about: About) -> Result<Question, Problem> {
        Question::new(about, &self.address, &self.asker)
    }

    /// Tells as who asks wants to be told.
    pub fn presenter(&self) -> Presenter {
        presenter(self.shared.annals(), &self.headers)
    }
}

/// Tells in the first of the reader's languages that the application speaks; else as declared.
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
    let spoken = languages.into_iter().find_map(|(language, _)| annals.presenter().locale(language).ok());
    spoken.unwrap_or_else(|| annals.presenter())
}
