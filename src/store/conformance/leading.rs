//! Leases: several processes share the projections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::bench::{Bench, PATIENCE};
use crate::events::LogPosition;
use crate::store::{GenerationId, NoteKind, Views};

/// A term longer than a case takes, and at most the longest allowed.
const LONG: Duration = Duration::from_secs(45);
/// A short term.
const SHORT: Duration = Duration::from_millis(800);
/// The rounds of calls after which the shares must be even.
const ROUNDS: usize = 6;

type Wanted = Vec<(String, u64)>;

fn projections(count: usize) -> Wanted {
    (0..count).map(|n| (format!("p{n}"), 1)).collect()
}

/// The processes, and the projections that each led at its last call.
struct Owners {
    views: Vec<Arc<dyn Views>>,
    leads: BTreeMap<Uuid, Wanted>,
}

impl Owners {
    /// Opens two handles.
    async fn new(bench: &Bench) -> Self {
        let views = vec![bench.open().await.views(), bench.open().await.views()];
        Self { views, leads: BTreeMap::new() }
    }

    /// Calls, and asserts that no two owners lead one projection.
    async fn call(&mut self, owner: u128, wanted: &[(String, u64)], term: Duration) -> usize {
        let id = Uuid::from_u128(owner);
        let views = &self.views[owner as usize % 2];
        let leads = views.acquire_leases(id, wanted, term).await.expect("an answer");
        assert!(leads.iter().all(|one| wanted.contains(one)), "{owner} leads what it does not want: {leads:?}");
        for (other, others) in self.leads.iter().filter(|(other, _)| **other != id) {
            let both: Vec<_> = leads.iter().filter(|one| others.contains(one)).collect();
            assert!(both.is_empty(), "{owner} and {other} both lead {both:?}");
        }
        let count = leads.len();
        assert_eq!(leads.iter().collect::<BTreeSet<_>>().len(), count, "one twice: {leads:?}");
        self.leads.insert(id, leads);
        count
    }

    /// All owners call in several rounds. Returns the number of projections that each leads.
    async fn settle(&mut self, owners: &[u128], wanted: &[(String, u64)]) -> Vec<usize> {
        let mut counts = Vec::new();
        for _ in 0..ROUNDS {
            counts.clear();
            for owner in owners {
                counts.push(self.call(*owner, wanted, LONG).await);
            }
        }
        counts
    }

    /// Removes a dead owner from the record.
    fn bury(&mut self, owner: u128) {
        self.leads.remove(&Uuid::from_u128(owner));
    }
}

/// Guarantee 19: leadership is a lease.
pub(super) async fn owners_get_even_shares_and_each_projection_has_one_leader(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let wanted = projections(9);
    assert_eq!(owners.call(1, &wanted, LONG).await, 9, "a single owner leads all");
    assert_eq!(owners.call(2, &wanted, LONG).await, 0, "a leased projection is not free");
    assert_eq!(owners.settle(&[1, 2, 3], &wanted).await, [3, 3, 3]);
    let before = owners.leads.clone();
    assert_eq!(owners.settle(&[3, 1, 2], &wanted).await, [3, 3, 3]);
    assert_eq!(owners.leads, before, "even shares do not change");
    let mut five = owners.settle(&[1, 2, 3], &projections(5)).await;
    five.sort_unstable();
    assert_eq!(five, [1, 2, 2], "projections that are no longer wanted are released");
}

/// Guarantee 19.
pub(super) async fn leases_of_a_dead_owner_become_free_after_their_term_and_not_before(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let wanted = projections(9);
    owners.settle(&[1, 2, 3], &wanted).await;
    assert_eq!(owners.settle(&[1, 2], &wanted).await, [3, 3], "a live owner keeps its share");
    assert_eq!(owners.call(3, &wanted, SHORT).await, 3, "this was its last call");
    owners.bury(3);
    let since = Instant::now();
    while owners.call(1, &wanted, LONG).await + owners.call(2, &wanted, LONG).await < 9 {
        assert!(
            since.elapsed() < PATIENCE,
            "the other owners must lead the dead owner's projections: {:?}",
            owners.leads
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(owners.call(3, &wanted, LONG).await, 0, "the owner has no lease when it comes back");
    assert_eq!(owners.settle(&[1, 2, 3], &wanted).await, [3, 3, 3], "and gets its share");
}

pub(super) async fn an_owner_that_leaves_releases_its_leases_at_once(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let wanted = projections(4);
    assert_eq!(owners.settle(&[1, 2], &wanted).await, [2, 2]);
    owners.views[0].release_leases(Uuid::from_u128(1)).await.unwrap();
    owners.bury(1);
    assert_eq!(owners.call(2, &wanted, LONG).await, 4);
    owners.views[0].release_leases(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(owners.call(2, &wanted, LONG).await, 4, "leaving twice does not affect another owner");
}

/// A deployment: the new program wants versions that the old one does not have.
pub(super) async fn every_wanted_projection_gets_a_leader_that_wants_it(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let old = projections(6);
    let mut new = projections(4);
    new.extend([("p4".to_owned(), 2), ("p5".to_owned(), 2)]);
    owners.settle(&[1, 2], &old).await;
    for _ in 0..ROUNDS {
        owners.call(1, &old, LONG).await;
        owners.call(2, &old, LONG).await;
        owners.call(3, &new, LONG).await;
    }
    let led: BTreeSet<_> = owners.leads.values().flatten().cloned().collect();
    let all: BTreeSet<_> = old.iter().chain(&new).cloned().collect();
    assert_eq!(led, all, "each projection has its leader");
    let of_the_new = &owners.leads[&Uuid::from_u128(3)];
    assert!(new[4..].iter().all(|one| of_the_new.contains(one)), "{of_the_new:?}");

    // One owner is the only one for some projections: the others must still get leaders.
    for owner in 1..=3 {
        owners.views[0].release_leases(Uuid::from_u128(owner)).await.unwrap();
        owners.bury(owner);
    }
    let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 7)).collect::<Wanted>();
    let wants =
        [(11, named(&["p", "q"])), (12, named(&["p", "r", "s"])), (13, named(&["q"])), (14, named(&["r", "s"]))];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        for _ in 0..ROUNDS {
            for one in order {
                let (owner, wanted) = &wants[one];
                owners.call(*owner, wanted, LONG).await;
            }
        }
        let led: BTreeSet<_> = owners.leads.values().flatten().map(|(name, _)| name.as_str()).collect();
        assert_eq!(led, BTreeSet::from(["p", "q", "r", "s"]));
    }
}

pub(super) async fn concurrent_owners_never_share_a_projection(bench: Bench) {
    let views = [bench.open().await.views(), bench.open().await.views()];
    let wanted = projections(12);
    let calls = (1..=6_u128).map(|owner| {
        let (views, wanted) = (views[owner as usize % 2].clone(), wanted.clone());
        tokio::spawn(async move {
            let mut leads = Vec::new();
            for _ in 0..10 {
                leads = views.acquire_leases(Uuid::from_u128(owner), &wanted, LONG).await.expect("an answer");
            }
            leads
        })
    });
    let mut led = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        led.extend(call.await.expect("no panic"));
    }
    let distinct: BTreeSet<_> = led.iter().collect();
    assert_eq!(distinct.len(), led.len(), "two lead one: {led:?}");
}

/// Every process lists the projections of all programs.
pub(super) async fn all_generations_are_listed_with_their_leaders(bench: Bench) {
    let (views, others) = (bench.open().await.views(), bench.open().await.views());
    let (roster, _) = views.live("roster", 2).await.unwrap();
    let (shadow, _) = views.shadow("roster", 2).await.unwrap();
    let (audit, _) = views.live("audit", 1).await.unwrap();
    let at = LogPosition { position: 5, event_id: Uuid::from_u128(5) };
    let moved = views.begin(&roster, LogPosition::default(), at).await.unwrap().expect("the checkpoint is there");
    moved.commit().await.unwrap();
    let owner = Uuid::from_u128(1);
    views.acquire_leases(owner, &[("roster".to_owned(), 2)], LONG).await.unwrap();
    let listed: Vec<_> = others.generations().await.unwrap().into_iter().collect();
    let found: Vec<_> = listed.iter().map(|one| (&one.id, one.head, one.live, one.leader)).collect();
    assert_eq!(
        found,
        [
            (&audit, LogPosition::default(), true, None),
            (&roster, at, true, Some(owner)),
            (&shadow, LogPosition::default(), false, Some(owner)),
        ]
    );
    others.release_leases(owner).await.unwrap();
    assert!(views.generations().await.unwrap().iter().all(|one| one.leader.is_none()));
}

/// An old version without a lease is dropped with its tables; other versions are kept.
pub(super) async fn a_version_is_pruned_only_without_a_lease(bench: Bench) {
    let (views, others) = (bench.open().await.views(), bench.open().await.views());
    let owner = Uuid::from_u128(1);
    for version in [1, 2] {
        let (live, _) = views.live("roster", version).await.unwrap();
        for generation_id in [live, views.shadow("roster", version).await.unwrap().0] {
            make(&views, &generation_id).await.expect("a table");
        }
        views.set_note("roster", version, NoteKind::Stop, Some("it stopped".to_owned())).await.unwrap();
        views
            .acquire_leases(Uuid::from_u128(version.into()), &[("roster".to_owned(), version)], LONG)
            .await
            .unwrap();
    }
    assert!(!others.prune("roster", 1).await.unwrap(), "it has a lease");
    assert_eq!(views.generations().await.unwrap().len(), 4);
    views.release_leases(owner).await.unwrap();
    assert!(others.prune("roster", 1).await.unwrap());
    let left: Vec<_> = views.generations().await.unwrap().into_iter().map(|one| one.id.version).collect();
    assert_eq!(left, [2, 2]);
    assert_eq!(views.note("roster", 1, NoteKind::Stop).await.unwrap(), None);
    assert_eq!(views.note("roster", 2, NoteKind::Stop).await.unwrap().as_deref(), Some("it stopped"));
    assert!(others.prune("roster", 1).await.unwrap(), "pruning again drops nothing");
    assert!(others.prune("unknown", 1).await.unwrap());
    // The version can be created again: its old tables are gone or do not collide.
    let (live, at) = views.live("roster", 1).await.unwrap();
    assert_eq!(at, LogPosition::default());
    make(&views, &live).await.expect("a table");
    // The lease of a dead owner expires.
    views.acquire_leases(owner, &[("roster".to_owned(), 1)], SHORT).await.unwrap();
    let since = Instant::now();
    while !others.prune("roster", 1).await.unwrap() {
        assert!(since.elapsed() < PATIENCE, "the lease must expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn make(views: &Arc<dyn Views>, generation_id: &GenerationId) -> Result<(), crate::store::StoreError> {
    let begun = views.begin(generation_id, LogPosition::default(), LogPosition::default()).await?;
    let mut transaction = begun.expect("the checkpoint is there");
    let sql = format!("CREATE TABLE {} (key TEXT)", transaction.table("documents"));
    transaction.execute(&sql, vec![]).await?;
    transaction.commit().await
}
