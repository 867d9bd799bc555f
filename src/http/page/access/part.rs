//! [`Part`]: the requests and grants of a page, read as the caller.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::place::{After, Place};
use crate::access::{AccessView, GrantUse, HeldGrant, OpenRequest};
use crate::app::{Ask, Reader};
use crate::commands::Context;
use crate::events::Ref;
use crate::http::{AppState, Problem};
use crate::projections::audit::Detail;
use crate::projections::presenter::Thing;
use crate::projections::{DocumentView, Listing};

/// The requests and the grants of a page.
pub(super) const ROWS: usize = 50;

/// What a page shows.
pub(super) struct Part {
    /// Whether the caller may read the requests and grants of all parties.
    pub all: bool,
    pub requests: Rows<OpenRequest>,
    pub grants: Rows<HeldGrant>,
    /// The use of each grant: none if it was never used.
    pub uses: BTreeMap<Uuid, GrantUse>,
    /// The parties, with their display names if the caller may read those.
    pub things: BTreeMap<Ref, Thing>,
    pub now: Timestamp,
}

/// Entries with their parties.
pub(super) struct Rows<T> {
    pub rows: Vec<(Ref, T)>,
    /// The end of this page, if there are more.
    pub next: Option<After>,
}

/// An entry of the view.
pub(super) trait Entry: Sized {
    /// The field of the view that counts the entries of a party.
    const FIELD: &'static str;

    fn id(&self) -> Uuid;
    fn all_of(view: AccessView) -> Vec<Self>;
    /// The parties that it names.
    fn parties(&self) -> Vec<Ref>;
}

impl Entry for OpenRequest {
    const FIELD: &'static str = "requests";

    fn id(&self) -> Uuid {
        self.request
    }

    fn all_of(view: AccessView) -> Vec<Self> {
        view.requests
    }

    fn parties(&self) -> Vec<Ref> {
        self.by.clone()
    }
}

impl Entry for HeldGrant {
    const FIELD: &'static str = "grants";

    fn id(&self) -> Uuid {
        self.grant
    }

    fn all_of(view: AccessView) -> Vec<Self> {
        view.grants
    }

    fn parties(&self) -> Vec<Ref> {
        let holder = self.under.iter().map(|under| under.holder.clone());
        let issuers = self.tokens.iter().map(|token| token.by.clone());
        std::iter::once(self.by.clone()).chain(holder).chain(issuers).collect()
    }
}

impl Part {
    /// Reads the place as the context's actor: of one party, or of all parties if the actor may read all, else its own.
    pub async fn read(state: &AppState, context: &Context, place: &Place) -> Result<Self, Problem> {
        let annals = state.annals();
        let reader = annals.read_as(context);
        let all = reader.may(&Ask::View { view: AccessView::NAME, key: None }).await;
        let (requests, grants) = match (&place.of, all) {
            (None, true) => (list(&reader, &place.requests).await?, list(&reader, &place.grants).await?),
            (of, _) => {
                let party = of.as_ref().unwrap_or(context.actor());
                let view = reader.view::<AccessView>(party).await?.unwrap_or_default();
                let one = |after: &After| After { party: None, last: after.last };
                (
                    rows(vec![(party.clone(), OpenRequest::all_of(view.clone()))], false, &one(&place.requests)),
                    rows(vec![(party.clone(), HeldGrant::all_of(view))], false, &one(&place.grants)),
                )
            }
        };
        let parties: BTreeSet<Ref> = parties(&requests).chain(parties(&grants)).collect();
        // Names come from events: a caller that may not read these gets references.
        let everything = Ask::Audit { actors: &[], targets: &[], topics: &[], detail: Detail::Full };
        let presenter = match reader.may(&everything).await {
            true => annals.presenter(),
            false => annals.presenter().without_names(),
        };
        let head = annals.store().head().await?;
        let things = presenter.things(parties, head).await?;
        let ids: Vec<Uuid> = grants.rows.iter().map(|(_, held)| held.grant).collect();
        let uses = annals.grant_uses(&ids, head).await?;
        Ok(Self { all, requests, grants, uses, things, now: Timestamp::now() })
    }

    /// A party with its name.
    pub fn thing(&self, party: &Ref) -> Thing {
        self.things.get(party).cloned().unwrap_or_else(|| Thing::nameless(party.clone()))
    }
}

fn parties<T: Entry>(rows: &Rows<T>) -> impl Iterator<Item = Ref> {
    rows.rows.iter().flat_map(|(party, entry)| std::iter::once(party.clone()).chain(entry.parties()))
}

async fn list<T: Entry>(reader: &Reader, after: &After) -> Result<Rows<T>, Problem> {
    let views = reader.views::<AccessView>().listing(Listing::default().from(T::FIELD, 1));
    let page = views.page(ROWS + 1, after.party.as_ref()).await?;
    let documents = page.documents.into_iter().map(|(party, view)| (party, T::all_of(view)));
    Ok(rows(documents.collect(), page.more, after))
}

/// The entries of a page, of parties after [`After::party`]. An entry that is gone does not hide those behind it.
fn rows<T: Entry>(parties: Vec<(Ref, Vec<T>)>, more: bool, after: &After) -> Rows<T> {
    let (mut rows, mut done) = (Vec::new(), after.party.clone());
    for (n, (party, mut entries)) in parties.into_iter().enumerate() {
        let shown =
            after.last.filter(|_| n == 0).and_then(|last| entries.iter().position(|entry| entry.id() == last));
        if let Some(shown) = shown {
            entries.drain(..=shown);
        }
        for entry in entries {
            if rows.len() == ROWS {
                let last =
                    rows.last().filter(|(before, _)| *before == party).map(|(_, entry): &(Ref, T)| entry.id());
                // A page that began within this party, and was filled by it, continues there.
                return Rows { rows, next: Some(After { party: done, last }) };
            }
            rows.push((party.clone(), entry));
        }
        done = Some(party);
    }
    let next = more.then_some(After { party: done, last: None });
    Rows { rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: u128) -> OpenRequest {
        let (rights, by, why) = (Vec::new(), Vec::new(), String::new());
        OpenRequest { request: Uuid::from_u128(id), rights, until: None, by, why, at: Timestamp::UNIX_EPOCH }
    }

    /// All entries, in pages, as a reader of the whole list gets them.
    fn paged(all: &[(Ref, Vec<u128>)]) -> Vec<Vec<u128>> {
        let (mut pages, mut after) = (Vec::new(), After::default());
        loop {
            let begin = all.iter().position(|(party, _)| Some(party) > after.party.as_ref()).unwrap_or(all.len());
            let some: Vec<_> = all[begin..].iter().take(ROWS + 1).cloned().collect();
            let more = begin + some.len() < all.len();
            let documents = some.into_iter().map(|(party, ids)| (party, ids.into_iter().map(request).collect()));
            let page = rows(documents.collect(), more, &after);
            assert!(page.rows.len() <= ROWS);
            pages.push(page.rows.iter().map(|(_, entry)| entry.request.as_u128()).collect());
            match page.next {
                Some(next) => after = next,
                None => return pages,
            }
        }
    }

    #[test]
    fn every_entry_is_on_one_page_however_many_a_party_has() {
        for sizes in [vec![1; 130], vec![120], vec![50, 50, 3], vec![49, 2, 60, 1], vec![0], vec![1, 99, 1]] {
            let mut id = 0;
            let parties = sizes.iter().enumerate().map(|(n, size)| {
                let ids = (id..id + size).collect();
                id += size;
                (Ref::new("user", &format!("{n:03}")).unwrap(), ids)
            });
            let all: Vec<_> = parties.collect();
            let pages = paged(&all);
            assert_eq!(pages.concat(), (0..id).collect::<Vec<u128>>(), "{sizes:?}");
            assert!(pages.len() as u128 <= id / ROWS as u128 + 1, "{sizes:?}: {} pages", pages.len());
        }
    }

    #[test]
    fn an_entry_that_was_decided_meanwhile_hides_no_other() {
        let of = vec![(Ref::new("user", "a").unwrap(), vec![request(2), request(3)])];
        let gone = After { party: None, last: Some(Uuid::from_u128(1)) };
        assert_eq!(rows(of, false, &gone).rows.len(), 2);
    }
}
