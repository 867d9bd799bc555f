//! A command id identifies one body. The order of items in maps and sets does not matter.

use std::collections::{HashMap, HashSet};

use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::{by, log};

annals_test_postgres::both_stores!(
    equal_json_with_the_same_id_is_the_same_body,
    another_order_of_a_list_is_another_body,
    a_command_that_is_not_registered_is_refused_before_anything_is_loaded,
);

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParcelId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "parcel", on = Parcel)]
pub enum ParcelEvent {
    #[event(update, "{actor} labelled {parcel} with {labels} labels")]
    Labelled { labels: usize },
    #[event(delete, "{actor} lost {parcel}")]
    Lost,
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Parcel {}

impl Aggregate for Parcel {
    const TYPE: &'static str = "parcel";
    type Id = ParcelId;
    type Event = ParcelEvent;
    type Error = std::convert::Infallible;
    fn apply(&mut self, _: &ParcelEvent) {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inside {
    sets: HashMap<String, HashSet<u8>>,
}

/// Label a parcel
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    #[on(Parcel)]
    pub parcel: ParcelId,
    pub labels: HashSet<String>,
    pub weights: HashMap<String, f64>,
    #[serde(default)]
    pub inside: Option<Inside>,
    #[serde(default)]
    pub steps: Vec<String>,
}

impl Handle for Label {
    fn handle(&self, _: &Loaded<Parcel>, _: &Context) -> Result<Vec<ParcelEvent>, std::convert::Infallible> {
        Ok(vec![ParcelEvent::Labelled { labels: self.labels.len() }])
    }
}

/// Lose a parcel. No application registers it
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Lose {
    #[on(Parcel)]
    pub parcel: ParcelId,
}

impl Handle for Lose {
    fn handle(&self, _: &Loaded<Parcel>, _: &Context) -> Result<Vec<ParcelEvent>, std::convert::Infallible> {
        Ok(vec![ParcelEvent::Lost])
    }
}

const BODY: &str = r#"{"parcel":"a","labels":["fragile","heavy","cold","wet","red"],"weights":{"box":1.5,"lid":0.1,"ring":2},
    "inside":{"sets":{"x":[3,1,2,9,8],"y":[],"z":[7]}},"steps":["pack","send"]}"#;
const OTHER_ORDER: &str = r#"{"inside":{"sets":{"z":[7],"x":[9,8,3,2,1],"y":[]}},"steps":["pack","send"],"parcel":"a",
    "weights":{"ring":2.0,"lid":0.1,"box":1.5},"labels":["red","wet","cold","heavy","fragile"]}"#;

/// Issue 16.19: without it, a caller could never find out an unknown outcome.
async fn equal_json_with_the_same_id_is_the_same_body(place: &Place) {
    let open = async || App::new("parcels").command::<Label>().open(place.url()).await.unwrap();
    let mut annals = open().await;
    let context = by("alice").command_id(Uuid::new_v4());
    let first = annals.execute_json("label", BODY, &context).unwrap().await.unwrap();
    for round in 0..12 {
        for body in [BODY, OTHER_ORDER] {
            let again = annals.execute_json("label", body, &context).unwrap().await.unwrap();
            assert_eq!(again, Receipt { repeated: true, ..first });
            let command: Label = serde_json::from_str(body).unwrap();
            let again = annals.execute(command.clone(), &context).await.unwrap();
            assert_eq!(again, Receipt { repeated: true, ..first });
            let again = [Envelope::new(command, context.clone())];
            let again: Vec<_> = annals.execute_all(futures::stream::iter(again), 2).collect().await;
            assert!(matches!(again[..], [Ok(Receipt { repeated: true, .. })]), "{again:?}");
        }
        if round == 6 {
            annals.close().await;
            annals = open().await;
        }
    }
    assert_eq!(log(&annals).await.len(), 1);
    annals.close().await;
}

/// Guarantee 2: another content is refused, in a set or map too.
async fn another_order_of_a_list_is_another_body(place: &Place) {
    let annals = App::new("parcels").command::<Label>().open(place.url()).await.unwrap();
    let context = by("alice").command_id(Uuid::new_v4());
    annals.execute_json("label", BODY, &context).unwrap().await.unwrap();
    let others =
        [(r#""pack","send""#, r#""send","pack""#), ("wet", "dry"), ("0.1", "0.2"), (r#""y":[]"#, r#""w":[]"#)];
    for (this, other) in others {
        let body = BODY.replace(this, other);
        assert_ne!(body, BODY);
        let error = annals.execute_json("label", &body, &context).unwrap().await.unwrap_err();
        assert!(matches!(error, ExecuteError::CommandIdReused(_)), "{body}: {error}");
    }
    annals.close().await;
}

/// Issue 16.5: its events would stop every projection, like events of a newer program.
async fn a_command_that_is_not_registered_is_refused_before_anything_is_loaded(place: &Place) {
    let app =
        App::new("parcels").authorise(|_: &annals::app::AccessContext<'_>, ask: &annals::app::Ask<'_>| match ask {
            annals::app::Ask::Command { name: "label", .. } => Ok(()),
            other => panic!("the test expects no other question: {other:?}"),
        });
    let annals = app.command::<Label>().open(place.url()).await.unwrap();
    let lose = || Lose { parcel: ParcelId::new("a") };
    let error = annals.execute(lose(), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Unregistered { command: "lose", .. }), "{error:?}");
    assert!(error.to_string().contains("add `.command::<behaviour::bodies::Lose>()` to the App"), "{error}");
    let label = || Envelope::new(serde_json::from_str::<Label>(BODY).unwrap(), by("alice"));
    let commands = [label(), Envelope::new(lose(), by("alice")), label()];
    let executed: Vec<_> = annals.execute_all(futures::stream::iter(commands), 8).collect().await;
    assert!(matches!(&executed[..], [Ok(_), Err(ExecuteError::Unregistered { .. }), Ok(_)]), "{executed:?}");
    assert!(log(&annals).await.iter().all(|event| event.event_type == "parcel.labelled"));
    annals.close().await;
}
