//! Events and documents that would not read back as they were written are refused.

use annals::commands::{Envelope, ExecuteError};
use annals::events::ReadBackError;
use annals::prelude::*;
use annals::projections::ProjectionState;
use annals_test_postgres::Place;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::{by, log};

annals_test_postgres::both_stores!(
    an_event_that_cannot_be_read_back_is_not_written,
    an_integer_that_projections_cannot_hold_is_refused_and_stops_none_of_them,
    a_document_that_cannot_be_read_back_stops_its_view_at_the_event_and_skip_resumes_it,
);

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(String);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Value {
    pub exact: f64,
    pub least: Option<f64>,
    #[serde(skip)]
    pub note: String,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "probe", on = Probe)]
pub enum ProbeEvent {
    #[event(update, "{actor} measured {probe}")]
    Measured { value: Value },
    #[event(update, "{actor} weighed {probe}: {wei}")]
    Weighed { wei: u128, change: i128 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Probe {
    wei: u128,
}

impl Aggregate for Probe {
    const TYPE: &'static str = "probe";
    type Id = ProbeId;
    type Event = ProbeEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, event: &ProbeEvent) {
        if let ProbeEvent::Weighed { wei, .. } = event {
            self.wei = *wei;
        }
    }
}

/// Measure a probe
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    #[on(Probe)]
    pub probe: ProbeId,
    pub value: Value,
}

impl Handle for Measure {
    fn handle(&self, _: &Loaded<Probe>, _: &Context) -> Result<Vec<ProbeEvent>, std::convert::Infallible> {
        Ok(vec![ProbeEvent::Measured { value: self.value.clone() }])
    }
}

/// Weigh a probe
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Weigh {
    #[on(Probe)]
    pub probe: ProbeId,
    pub wei: u128,
    pub change: i128,
}

impl Handle for Weigh {
    fn handle(&self, _: &Loaded<Probe>, _: &Context) -> Result<Vec<ProbeEvent>, std::convert::Infallible> {
        Ok(vec![ProbeEvent::Weighed { wei: self.wei, change: self.change }])
    }
}

/// The measurements of a probe, in percent: NaN if there are none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    of_hundred: f64,
}

impl DocumentView for Share {
    const NAME: &'static str = "share";
    type Key = ProbeId;
    type Events = ProbeEvent;
}

impl On<ProbeEvent> for Share {
    fn keys(event: &Recorded<ProbeEvent>) -> Vec<ProbeId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &ProbeId, event: &Recorded<ProbeEvent>) {
        if let ProbeEvent::Measured { value } = &event.event {
            *document = Some(Share { of_hundred: 100.0 * value.exact / value.exact });
        }
    }
}

fn app() -> App {
    App::new("lab").command::<Measure>().command::<Weigh>().view::<Share>()
}

fn measure(value: Value) -> Measure {
    Measure { probe: ProbeId::new("a"), value }
}

fn exact(exact: f64) -> Value {
    Value { exact, ..Value::default() }
}

/// Issue 16.4: otherwise the aggregate and each projection could never be read again.
async fn an_event_that_cannot_be_read_back_is_not_written(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let wrong = [
        (exact(f64::NAN), "value.exact"),
        (exact(f64::INFINITY), "value.exact"),
        (Value { least: Some(f64::NAN), ..exact(1.0) }, "least"),
        (Value { note: "lost".into(), ..exact(1.0) }, "note"),
    ];
    for (value, wanted) in wrong {
        let id = Uuid::new_v4();
        let error = annals.execute(measure(value.clone()), &by("alice").command_id(id)).await.unwrap_err();
        let ExecuteError::ReadBack { event_type: "probe.measured", source } = &error else { panic!("{error:?}") };
        let (ReadBackError::Decode { path, .. } | ReadBackError::Differs { path }) = source else {
            panic!("{source:?}");
        };
        assert_eq!(path, wanted, "{source}");
        // Also among other commands. Nothing was written, so the id is free.
        let commands = [(exact(1.0), Uuid::new_v4()), (value, Uuid::new_v4()), (exact(2.0), id)];
        let commands = commands.map(|(value, id)| Envelope::new(measure(value), by("alice").command_id(id)));
        let executed: Vec<_> = annals.execute_all(futures::stream::iter(commands), 8).collect().await;
        assert!(matches!(&executed[..], [Ok(_), Err(ExecuteError::ReadBack { .. }), Ok(_)]), "{executed:?}");
    }
    assert_eq!(log(&annals).await.len(), 8);
    let last = annals.store().head().await.unwrap();
    assert_eq!(annals.audit().after(last).limit(100).page().await.unwrap().rows.len(), 8);
    annals.close().await;
    // A new process reads all events.
    let annals = app().open(place.url()).await.unwrap();
    annals.execute(measure(exact(3.0)), &by("alice")).await.unwrap();
    assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
    annals.close().await;
}

/// Issue 16.20: otherwise one valid command would stop the audit log, the metrics and `check`.
async fn an_integer_that_projections_cannot_hold_is_refused_and_stops_none_of_them(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let weigh = async |wei: String, change: String| {
        let body = format!(r#"{{"probe":"a","wei":{wei},"change":{change}}}"#);
        annals.execute_json("weigh", &body, &by("alice")).unwrap().await
    };
    weigh(u64::MAX.to_string(), i64::MIN.to_string()).await.unwrap();
    let least = i128::from(i64::MIN) - 1;
    for (wei, change, wanted) in [(u128::MAX, 0, "wei"), (1 << 64, 0, "wei"), (0, least, "change")] {
        let error = weigh(wei.to_string(), change.to_string()).await.unwrap_err();
        let ExecuteError::ReadBack { source: ReadBackError::Number { path, number }, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(
            (path.as_str(), number),
            (wanted, if wanted == "wei" { wei.to_string() } else { change.to_string() })
        );
    }
    let head = weigh("7".to_owned(), "0".to_owned()).await.unwrap().head;
    assert_eq!(head.position, 2);
    assert_eq!(annals.audit().after(head).limit(100).page().await.unwrap().rows.len(), 2);
    assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
    annals.close().await;
}

/// Otherwise a view would keep it in memory, and stop at an unrelated event when it is loaded next.
async fn a_document_that_cannot_be_read_back_stops_its_view_at_the_event_and_skip_resumes_it(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    annals.execute(measure(exact(1.0)), &by("alice")).await.unwrap();
    let head = annals.execute(measure(exact(0.0)), &by("alice")).await.unwrap().head;
    let error = annals.view::<Share>(&ProbeId::new("a")).after(head).await.unwrap_err();
    let statuses = annals.projections().await.unwrap();
    let share = statuses.iter().find(|status| status.name == Share::NAME).unwrap();
    let ProjectionState::Stopped(stop) = &share.state else { panic!("{error}: {share:?}") };
    let words = format!("{stop:?}");
    assert!(words.contains("`a` cannot be written, because its JSON cannot be read again"), "{words}");
    let skipped = annals.skip(Share::NAME).await.unwrap();
    assert_eq!(skipped.iter().map(|letter| letter.position).collect::<Vec<_>>(), [2]);
    let other = Measure { probe: ProbeId::new("b"), value: exact(5.0) };
    let head = annals.execute(other, &by("alice")).await.unwrap().head;
    let share = annals.view::<Share>(&ProbeId::new("b")).after(head).await.unwrap();
    assert_eq!(share.unwrap().of_hundred, 100.0);
    annals.close().await;
}

/// The same checks in an application's tests.
mod in_tests {
    use annals::testing::{given, nothing};

    use super::*;

    fn panics(test: impl FnOnce() + std::panic::UnwindSafe, wanted: &str) {
        let panic = std::panic::catch_unwind(test).unwrap_err();
        let words = panic.downcast_ref::<String>().expect("words");
        assert!(words.contains(wanted), "{words}");
    }

    #[test]
    fn testing_refuses_an_event_that_cannot_be_read_back() {
        let weigh = |wei| Weigh { probe: ProbeId::new("a"), wei, change: 0 };
        panics(
            || nothing().when(measure(exact(f64::NAN)), by("alice")).then_nothing(),
            "a `probe.measured` cannot be written, because it could not be read back: its JSON does not decode \
             (at `value.exact`)",
        );
        panics(|| nothing().when(weigh(u128::MAX), by("alice")).then_nothing(), "(at `wei`)");
        let lost = ProbeEvent::Measured { value: Value { note: "lost".into(), ..exact(1.0) } };
        panics(|| drop(given::<Probe>(&ProbeId::new("a"), [lost])), "(at `note`)");
        nothing().when(weigh(7), by("alice")).then(vec![ProbeEvent::Weighed { wei: 7, change: 0 }]);
    }
}
