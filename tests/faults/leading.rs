//! Who leads the projections: a leader that stands still, and programs of different age.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals_test_postgres::Place;

use crate::bank::*;
use crate::leases::Leases;
use crate::lines::wait_for;
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};
use crate::{random, rounds};

annals_test_postgres::both_stores!(
    a_leader_that_stands_still_past_its_lease_and_then_goes_on_counts_nothing_twice,
    a_leader_that_believes_to_lead_while_another_has_led_counts_nothing_twice,
    an_old_and_a_new_program_work_together_and_a_deploy_is_rolled_back,
);

/// As long as a lease is.
const A_LEASE: Duration = Duration::from_secs(5);

/// Longer than a lease is.
const PAST_A_LEASE: Duration = Duration::from_secs(7);

/// Guarantees 19 and 20: SIGSTOP under load, so in the middle of a transaction as well, until another one leads; then
/// SIGCONT. By its own clock the leader knows then that its lease is over, and begins with what the database says: this
/// shows that it can stand still anywhere and come back. That the checkpoint fences it off if it does not know, the next
/// one shows.
async fn a_leader_that_stands_still_past_its_lease_and_then_goes_on_counts_nothing_twice(place: &Place) {
    let mut leader = Process::server(place.url());
    assert!(leader.ask("deposit 0 1").starts_with("ok"));
    assert_eq!(leader.ask("balance 0"), "balance 1");
    let here = open(place).await;
    let taken_over = Arc::new(AtomicBool::new(false));
    for round in 0..rounds(2) {
        let stop = Arc::new(AtomicBool::new(false));
        // A writer that leaves the leader idle most of the time, and one that does not.
        let load = tokio::spawn(write(here.clone(), stop.clone(), Duration::from_millis(60 * (1 - round % 2))));
        tokio::time::sleep(Duration::from_millis(300 + random(300))).await;
        leader.signal("-STOP");
        let stood = here.store().head().await.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PAST_A_LEASE {
            let moved = here.reading("balance").unwrap().caught_up(stood, Some(Duration::from_millis(500))).await;
            let past = here.view::<Balance>(&account("0")).await.is_ok() && moved.is_ok();
            taken_over.fetch_or(past && begun.elapsed() > Duration::from_secs(1), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        leader.signal("-CONT");
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
        load.await.unwrap();
        let log = assert_kept(&here, &Answers::default()).await;
        let balance = crate::promises::fold(&log)["0"].cents;
        assert_eq!(leader.ask("balance 0"), format!("balance {balance}"), "round {round}");
    }
    assert!(taken_over.load(Ordering::Relaxed), "nobody took over");
    assert!(here.projections().await.unwrap().iter().all(|projection| !projection.is_stopped()));
    here.close().await;
}

/// Guarantee 19: a leader stands still (SIGSTOP) with its lease just renewed; in the database the lease is over, another
/// one leads, and moves the checkpoint on. Then it is said to lead again, and goes on (SIGCONT) while by its own clock it
/// has led all along: from where it was. The checkpoint alone stands between it and counting twice.
async fn a_leader_that_believes_to_lead_while_another_has_led_counts_nothing_twice(place: &Place) {
    let mut forced = 0;
    for round in 0..rounds(2).max(2) * 4 {
        if forced == rounds(2) {
            break;
        }
        let mut leader = Process::server(place.url());
        assert!(leader.ask("deposit 0 1").starts_with("ok"));
        assert!(leader.ask("balance 0").starts_with("balance"));
        let leases = Leases::of(place);
        let (owner, renewed) = leases.leader();
        wait_for("a renewal", async || leases.leader().1 != renewed).await;
        leader.signal("-STOP");
        let stood = Instant::now();
        leases.end(&owner);
        let here = open(place).await;
        for _ in 0..20 {
            here.execute(deposit("0", 1), &by("alice")).await.unwrap();
        }
        let head = here.store().head().await.unwrap();
        here.reading("balance").unwrap().caught_up(head, Some(Duration::from_secs(20))).await.unwrap();
        leases.give(&owner);
        let in_time = stood.elapsed() < A_LEASE - Duration::from_secs(1);
        leader.signal("-CONT");
        for _ in 0..20 {
            here.execute(deposit("0", 1), &by("alice")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = assert_kept(&here, &Answers::default()).await;
        let balance = crate::promises::fold(&log)["0"].cents;
        assert_eq!(leader.ask("balance 0"), format!("balance {balance}"), "round {round}");
        // On a machine that is too busy it found its lease over after all.
        forced += u64::from(in_time);
        here.close().await;
        leader.kill();
        // What it led is free when its term is over.
        leases.end(&owner);
    }
    assert!(forced > 0, "it never came back in time");
}

async fn write(annals: Annals, stop: Arc<AtomicBool>, pause: Duration) {
    for n in 0.. {
        annals.execute(deposit(&(n % 3).to_string(), 1), &by("alice")).await.unwrap();
        tokio::time::sleep(pause).await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// One program, before a deploy and after it: there is one more type of event.
macro_rules! program {
    ($module:ident, $version:literal, $command:ident => $event:ident, { $($variants:tt)* }) => {
        mod $module {
            use annals::prelude::*;
            use serde::{Deserialize, Serialize};

            #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct LampId(String);

            #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[event(name = "lamp", on = Lamp)]
            pub enum LampEvent {
                $($variants)*
            }

            #[derive(Default, Clone, Serialize, Deserialize)]
            pub struct Lamp;

            impl Aggregate for Lamp {
                const TYPE: &'static str = "lamp";
                type Id = LampId;
                type Event = LampEvent;
                type Error = std::convert::Infallible;
                fn apply(&mut self, _: &LampEvent) {}
            }

            #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
            pub struct $command {
                #[on(Lamp)]
                pub lamp: LampId,
            }

            impl Handle for $command {
                fn handle(
                    &self,
                    _: &Loaded<Lamp>,
                    _: &Context,
                ) -> Result<Vec<LampEvent>, std::convert::Infallible> {
                    Ok(vec![LampEvent::$event])
                }
            }

            /// How much happened to a lamp.
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            pub struct Seen {
                pub events: u64,
            }

            impl DocumentView for Seen {
                const NAME: &'static str = "seen";
                const VERSION: u64 = $version;
                type Key = LampId;
                type Events = LampEvent;
            }

            impl On<LampEvent> for Seen {
                fn keys(event: &Recorded<LampEvent>) -> Vec<LampId> {
                    event.id().into_iter().collect()
                }

                fn apply(document: &mut Option<Self>, _: &LampId, _: &Recorded<LampEvent>) {
                    document.get_or_insert_default().events += 1;
                }
            }
        }
    };
}

program!(before, 1, Light => Lit, {
    #[event(update, "{actor} lit {lamp}")]
    Lit,
});
// The view is made from more than before, so it has another version. (What `lit` is called now makes room for the one
// above: two types of one name are an error within a crate.)
program!(after, 2, Break => Broke, {
    #[event(update, "{actor} lit {lamp}", was("lit"))]
    LitUp,
    #[event(update, "{lamp} broke")]
    Broke,
});

async fn open_before(place: &Place) -> Annals {
    App::new("lamps").command::<before::Light>().view::<before::Seen>().open(place.url()).await.unwrap()
}

async fn open_after(place: &Place) -> Annals {
    App::new("lamps").command::<after::Break>().view::<after::Seen>().open(place.url()).await.unwrap()
}

/// Guarantee 22: an event type that a program does not know is no failure of its projections; those who know it go on,
/// and if nobody does, the views stand still until somebody does again.
async fn an_old_and_a_new_program_work_together_and_a_deploy_is_rolled_back(place: &Place) {
    let light = |lamp: &str| before::Light { lamp: before::LampId::new(lamp) };
    let sound = async |annals: &Annals| {
        let statuses = annals.projections().await.unwrap();
        assert!(statuses.iter().all(|projection| !projection.is_stopped()), "{statuses:?}");
    };
    let old = open_before(place).await;
    old.execute(light("desk"), &by("alice")).await.unwrap();
    let new = open_after(place).await;
    let (desk, attic) = (after::LampId::new("desk"), after::LampId::new("attic"));
    let broke = new.execute(after::Break { lamp: attic.clone() }, &by("bob")).await.unwrap();
    assert_eq!(new.view::<after::Seen>(&attic).after(broke).await.unwrap().unwrap().events, 1);

    // The old one goes on with what it knows, and reads what the new one makes; what it does not know it leaves alone.
    let lit = old.execute(light("desk"), &by("alice")).await.unwrap();
    let desk_before = before::LampId::new("desk");
    assert_eq!(old.view::<before::Seen>(&desk_before).after(lit).await.unwrap().unwrap().events, 2);
    let error = old.execute(light("attic"), &by("alice")).await.unwrap_err();
    assert!(format!("{error:?}").contains("lamp.broke"), "{error:?}");
    assert_eq!(old.store().head().await.unwrap(), lit.head);
    sound(&old).await;

    // Rolled back, with an event of the new type that nobody has taken in.
    let broke = new.execute(after::Break { lamp: attic.clone() }, &by("bob")).await.unwrap();
    new.close().await;
    let lit = old.execute(light("desk"), &by("alice")).await.unwrap();
    assert_eq!(lit.first_position, broke.head.position + 1);
    assert_eq!(old.view::<before::Seen>(&desk_before).after(lit).await.unwrap().unwrap().events, 3);
    // The audit log is of all events: it waits for somebody who knows, and says so.
    let error = old.audit().after(lit).page().await.unwrap_err();
    assert!(error.to_string().contains("lamp.broke"), "{error}");
    sound(&old).await;

    // And deployed again.
    let new = open_after(place).await;
    assert_eq!(new.view::<after::Seen>(&desk).after(lit).await.unwrap().unwrap().events, 3);
    assert_eq!(new.view::<after::Seen>(&attic).await.unwrap().unwrap().events, 2);
    assert!(new.check(|_, _| ()).await.unwrap().is_sound());
    new.close().await;
    old.close().await;
}
