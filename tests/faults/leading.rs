//! Leaders of projections: a stopped leader, and an old and a new program together.

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
    a_leader_stopped_past_its_lease_processes_no_event_twice,
    a_leader_that_missed_another_leader_processes_no_event_twice,
    an_old_and_a_new_program_run_together_and_a_deployment_is_rolled_back,
);

/// The duration of a lease.
const A_LEASE: Duration = Duration::from_secs(5);

/// A time longer than a lease.
const PAST_A_LEASE: Duration = Duration::from_secs(7);

/// Guarantees 19 and 20: SIGSTOP under load, also in the middle of a transaction, until another process leads; then
/// SIGCONT. By its own clock the leader detects that its lease has expired, and reads its state from the database: this
/// test shows that it can be stopped anywhere. The next test shows that the checkpoint fences it off if it does not
/// detect it.
async fn a_leader_stopped_past_its_lease_processes_no_event_twice(place: &Place) {
    // A process that is stopped within a transaction on SQLite keeps the lock of the file, and then nobody can take
    // over: on a slow disk that is most of the time. So there are rounds until another process has led in as many as
    // are asked for.
    let (asked, mut taken_over) = (rounds(2), 0);
    for round in 0..asked.max(2) * 4 {
        if taken_over == asked {
            break;
        }
        let mut leader = Process::server(place.url());
        assert!(leader.ask("deposit 0 1").starts_with("ok"));
        assert!(leader.ask("balance 0").starts_with("balance"));
        let here = open(place).await;
        let leases = Leases::new(place);
        let stop = Arc::new(AtomicBool::new(false));
        // One writer leaves the leader idle most of the time, the other does not.
        let load = tokio::spawn(write(here.clone(), stop.clone(), Duration::from_millis(60 * (1 - round % 2))));
        tokio::time::sleep(Duration::from_millis(300 + random(300))).await;
        let (owner, _) = leases.leader();
        leader.signal("-STOP");
        let begun = Instant::now();
        while begun.elapsed() < PAST_A_LEASE {
            // Readers wait for the projection meanwhile, and must not disturb it.
            let head = here.store().head().await.unwrap();
            let _ = here.reading("balance").unwrap().caught_up(head, Some(Duration::from_millis(500))).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        taken_over += u64::from(leases.leader().0 != owner);
        leader.signal("-CONT");
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
        load.await.unwrap();
        let log = assert_kept(&here, &Answers::default()).await;
        let balance = crate::promises::fold(&log)["0"].cents;
        assert_eq!(leader.ask("balance 0"), format!("balance {balance}"), "round {round}");
        assert!(here.projections().await.unwrap().iter().all(|projection| !projection.is_stopped()));
        here.close().await;
        leader.kill();
        leases.end_all();
    }
    assert!(taken_over > 0, "no process took over");
}

/// Guarantee 19: a leader is stopped (SIGSTOP) just after renewing its lease; in the database the lease expires, and
/// another process leads and advances the checkpoint. Then the lease is assigned back, and the leader continues
/// (SIGCONT); by its own clock it has led all the time. Only the checkpoint prevents it from processing events twice.
async fn a_leader_that_missed_another_leader_processes_no_event_twice(place: &Place) {
    let mut forced = 0;
    for round in 0..rounds(2).max(2) * 4 {
        if forced == rounds(2) {
            break;
        }
        let mut leader = Process::server(place.url());
        assert!(leader.ask("deposit 0 1").starts_with("ok"));
        assert!(leader.ask("balance 0").starts_with("balance"));
        let leases = Leases::new(place);
        let (owner, renewed) = leases.leader();
        wait_for("a renewal", async || leases.leader().1 != renewed).await;
        leader.signal("-STOP");
        let stopped = Instant::now();
        leases.end(&owner);
        let here = open(place).await;
        for _ in 0..20 {
            here.execute(deposit("0", 1), &by("alice")).await.unwrap();
        }
        let head = here.store().head().await.unwrap();
        here.reading("balance").unwrap().caught_up(head, Some(Duration::from_secs(20))).await.unwrap();
        leases.give(&owner);
        let in_time = stopped.elapsed() < A_LEASE - Duration::from_secs(1);
        leader.signal("-CONT");
        for _ in 0..20 {
            here.execute(deposit("0", 1), &by("alice")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = assert_kept(&here, &Answers::default()).await;
        let balance = crate::promises::fold(&log)["0"].cents;
        assert_eq!(leader.ask("balance 0"), format!("balance {balance}"), "round {round}");
        // On a busy machine it may find that its lease has expired.
        forced += u64::from(in_time);
        here.close().await;
        leader.kill();
        // Its lease becomes free when its term is over.
        leases.end(&owner);
    }
    assert!(forced > 0, "it never continued in time");
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

/// One program before and after a deployment that adds an event type.
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
// The view reads more events than before, so it has another version. (`lit` has another name here, because two types of
// one name are an error within a crate.)
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

/// Guarantee 22: an unknown event type is no failure of a program's projections; programs that know it continue, and
/// without one the views wait until such a program runs again.
async fn an_old_and_a_new_program_run_together_and_a_deployment_is_rolled_back(place: &Place) {
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

    // The old program continues with the types that it knows, reads the new program's views, and skips unknown types.
    let lit = old.execute(light("desk"), &by("alice")).await.unwrap();
    let desk_before = before::LampId::new("desk");
    assert_eq!(old.view::<before::Seen>(&desk_before).after(lit).await.unwrap().unwrap().events, 2);
    let error = old.execute(light("attic"), &by("alice")).await.unwrap_err();
    assert!(format!("{error:?}").contains("lamp.broke"), "{error:?}");
    assert_eq!(old.store().head().await.unwrap(), lit.head);
    sound(&old).await;

    // Rolled back, with an unprocessed event of the new type.
    let broke = new.execute(after::Break { lamp: attic.clone() }, &by("bob")).await.unwrap();
    new.close().await;
    let lit = old.execute(light("desk"), &by("alice")).await.unwrap();
    assert_eq!(lit.first_position, broke.head.position + 1);
    assert_eq!(old.view::<before::Seen>(&desk_before).after(lit).await.unwrap().unwrap().events, 3);
    // The audit log is of all events: it waits for a program that knows the type, and reports it.
    let error = old.audit().after(lit).page().await.unwrap_err();
    assert!(error.to_string().contains("lamp.broke"), "{error}");
    sound(&old).await;

    // Deployed again.
    let new = open_after(place).await;
    assert_eq!(new.view::<after::Seen>(&desk).after(lit).await.unwrap().unwrap().events, 3);
    assert_eq!(new.view::<after::Seen>(&attic).await.unwrap().unwrap().events, 2);
    assert!(new.check(|_, _| ()).await.unwrap().is_sound());
    new.close().await;
    old.close().await;
}
