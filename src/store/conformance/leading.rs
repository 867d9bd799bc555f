//! Several processes share the projections out among themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::bench::{Bench, PATIENCE};
use crate::events::LogPosition;
use crate::store::{GenerationId, NoteKind, Views};

/// Longer than a case takes, and no longer than a term may be.
const LONG: Duration = Duration::from_secs(45);
/// Soon over.
const SHORT: Duration = Duration::from_millis(800);
/// So often all owners call before the shares must be even.
const ROUNDS: usize = 6;

type Wanted = Vec<(String, u64)>;

fn projections(count: usize) -> Wanted {
    (0..count).map(|n| (format!("p{n}"), 1)).collect()
}

/// The processes, and what each led when it last called.
struct Owners {
    views: Vec<Arc<dyn Views>>,
    leads: BTreeMap<Uuid, Wanted>,
}

impl Owners {
    /// On two handles.
    async fn new(bench: &Bench) -> Self {
        let views = vec![bench.open().await.views(), bench.open().await.views()];
        Self { views, leads: BTreeMap::new() }
    }

    /// Calls, and looks that nobody leads what another does.
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

    /// All of them call until each has had its turns; answers how many each leads.
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

    /// Forgets what a dead owner led.
    fn bury(&mut self, owner: u128) {
        self.leads.remove(&Uuid::from_u128(owner));
    }
}

/// Guarantee 19: leadership is a lease.
pub(super) async fn owners_share_the_projections_out_evenly_and_never_one_between_two(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let wanted = projections(9);
    assert_eq!(owners.call(1, &wanted, LONG).await, 9, "who is alone leads all");
    assert_eq!(owners.call(2, &wanted, LONG).await, 0, "what is led is not free");
    assert_eq!(owners.settle(&[1, 2, 3], &wanted).await, [3, 3, 3]);
    let before = owners.leads.clone();
    assert_eq!(owners.settle(&[3, 1, 2], &wanted).await, [3, 3, 3]);
    assert_eq!(owners.leads, before, "what is shared out evenly stays where it is");
    let mut five = owners.settle(&[1, 2, 3], &projections(5)).await;
    five.sort_unstable();
    assert_eq!(five, [1, 2, 2], "what is wanted no more is let go of");
}

/// Guarantee 19.
pub(super) async fn what_a_dead_owner_led_is_free_after_its_term_and_not_before(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let wanted = projections(9);
    owners.settle(&[1, 2, 3], &wanted).await;
    assert_eq!(owners.settle(&[1, 2], &wanted).await, [3, 3], "it may only be slow");
    assert_eq!(owners.call(3, &wanted, SHORT).await, 3, "this was its last call");
    owners.bury(3);
    let since = Instant::now();
    while owners.call(1, &wanted, LONG).await + owners.call(2, &wanted, LONG).await < 9 {
        assert!(since.elapsed() < PATIENCE, "the others must lead what the dead one led: {:?}", owners.leads);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(owners.call(3, &wanted, LONG).await, 0, "it comes back with nothing");
    assert_eq!(owners.settle(&[1, 2, 3], &wanted).await, [3, 3, 3], "and gets its share");
}

pub(super) async fn who_leaves_lets_go_at_once(bench: Bench) {
    let mut owners = Owners::new(&bench).await;
    let wanted = projections(4);
    assert_eq!(owners.settle(&[1, 2], &wanted).await, [2, 2]);
    owners.views[0].release_leases(Uuid::from_u128(1)).await.unwrap();
    owners.bury(1);
    assert_eq!(owners.call(2, &wanted, LONG).await, 4);
    owners.views[0].release_leases(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(owners.call(2, &wanted, LONG).await, 4, "to leave twice takes nothing from another");
}

/// A deploy: the new program wants versions that the old one does not know.
pub(super) async fn an_owner_leads_what_it_alone_wants_and_no_projection_is_left_alone(bench: Bench) {
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

    // One wants what is scarce: what only it can lead must not keep the rest from being led.
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

pub(super) async fn owners_that_call_at_once_wait_for_each_other_and_share_nothing(bench: Bench) {
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

/// What every process may see of all projections, of this program and others.
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
    let told: Vec<_> = listed.iter().map(|one| (&one.id, one.head, one.live, one.leader)).collect();
    assert_eq!(
        told,
        [
            (&audit, LogPosition::default(), true, None),
            (&roster, at, true, Some(owner)),
            (&shadow, LogPosition::default(), false, Some(owner)),
        ]
    );
    others.release_leases(owner).await.unwrap();
    assert!(views.generations().await.unwrap().iter().all(|one| one.leader.is_none()));
}

/// An old version goes when nobody leads it any more, with all that it had; others stay.
pub(super) async fn a_version_is_pruned_only_when_nobody_leads_it(bench: Bench) {
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
    assert!(!others.prune("roster", 1).await.unwrap(), "it is led");
    assert_eq!(views.generations().await.unwrap().len(), 4);
    views.release_leases(owner).await.unwrap();
    assert!(others.prune("roster", 1).await.unwrap());
    let left: Vec<_> = views.generations().await.unwrap().into_iter().map(|one| one.id.version).collect();
    assert_eq!(left, [2, 2]);
    assert_eq!(views.note("roster", 1, NoteKind::Stop).await.unwrap(), None);
    assert_eq!(views.note("roster", 2, NoteKind::Stop).await.unwrap().as_deref(), Some("it stopped"));
    assert!(others.prune("roster", 1).await.unwrap(), "there is nothing left to drop");
    assert!(others.prune("never heard of", 1).await.unwrap());
    // It can begin anew: its tables are not there any more, or not in the way.
    let (live, at) = views.live("roster", 1).await.unwrap();
    assert_eq!(at, LogPosition::default());
    make(&views, &live).await.expect("a table");
    // A dead owner's lease does not keep a version for ever.
    views.acquire_leases(owner, &[("roster".to_owned(), 1)], SHORT).await.unwrap();
    let since = Instant::now();
    while !others.prune("roster", 1).await.unwrap() {
        assert!(since.elapsed() < PATIENCE, "the lease must run out");
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
