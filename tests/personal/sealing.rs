//! Personal values are stored sealed; handlers, sentences and readers get them in plain text.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals::commands::ExecuteError;
use annals::feeds::{Connection, Feed, FeedPosition, Message, Sent, Since, Sink, SinkError};
use annals::prelude::*;
use annals::reactions::{Reaction, Then};
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};

use crate::people::*;

pub async fn a_value_is_stored_sealed_and_opened_for_handlers_sentences_and_readers(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap();
    let receipt = annals.execute(name("7", "Berta"), &by("user:op")).await.unwrap();

    let log = log_text(&annals).await;
    assert!(!log.contains("Adelheid") && !log.contains("Berta"), "{log}");
    assert!(log.contains(r#""of":"user:7""#) && log.contains(r#""sealed":"1:user.registered:name:"#), "{log}");
    assert!(log.contains(r#"user.greeted {"letters":8}"#), "the handler has opened the name: {log}");
    let expected = [
        "user:op registered user:7 as Adelheid",
        "user:op greeted user:7",
        "user:op renamed user:7 from Adelheid to Berta",
    ];
    assert_eq!(sentences(&annals).await, expected, "an equal name is no change");

    let presented = annals.presenter().present_at(&[3]).await.unwrap();
    assert_eq!(presented[0].changes[0].from, "Adelheid");
    assert_eq!(presented[0].changes[0].to, "Berta");

    let shown = annals.view::<Shown>(&user("7")).after(receipt).await.unwrap().unwrap();
    assert_eq!(shown.name.open(), Opened::Sealed, "there are no keys at hand here");
    assert_eq!(annals.open_personal(&shown.name).await.unwrap(), Opened::Known("Berta".to_owned()));
    let document = annals.json_view("shown").unwrap().get("7").await.unwrap().unwrap();
    assert_eq!(document["name"], "Berta");
    let state = annals.json_state(&reference("user:7"), None).await.unwrap();
    assert_eq!(state.state["name"], "Berta");
    let loaded = annals.load::<User>(&user("7")).await.unwrap();
    assert_eq!(
        annals.open_personal(loaded.name.as_ref().unwrap()).await.unwrap(),
        Opened::Known("Berta".to_owned())
    );
    annals.close().await;
}

pub async fn the_state_of_an_aggregate_is_opened_after_a_restart_from_a_snapshot(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    for number in 0..300 {
        annals.execute(name("7", &format!("Adelheid the {number}th")), &by("user:op")).await.unwrap();
    }
    annals.close().await;

    let annals = keys.open(place).await;
    let receipt = annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap();
    let event = annals.events(receipt.first_position - 1, 1).await.unwrap().events.remove(0);
    assert_eq!(event.payload, format!(r#"{{"letters":{}}}"#, "Adelheid the 299th".len()));
    let snapshot = annals.store().views().load_snapshot(&reference("user:7")).await.unwrap().expect("a snapshot");
    assert!(snapshot.state.contains("sealed") && !snapshot.state.contains("Adelheid"), "{}", snapshot.state);
    annals.close().await;
}

pub async fn two_subjects_in_one_event_have_a_key_each(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    let command =
        Introduce { user: user("7"), friend: user("8"), called: "Berta".to_owned(), own: "Adelheid".to_owned() };
    annals.execute(command, &by("user:op")).await.unwrap();
    assert!(keys.0.has_key("user:7") && keys.0.has_key("user:8"));
    let sentence = "user:op introduced user:7, who is Adelheid, to user:8, called Berta";
    assert_eq!(sentences(&annals).await, [sentence]);

    annals.erase(&reference("user:8"), "asked to", &by("user:op")).await.unwrap();
    let sentence = "user:op introduced user:7, who is Adelheid, to user:8, called [erased]";
    assert_eq!(sentences(&annals).await[0], sentence);
    annals.close().await;
}

/// Guarantee 38.
pub async fn a_refused_command_makes_no_key(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    let refused = annals.execute(name("7", "Ada!"), &by("user:op")).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(UserError::NoName(_))), "{refused:?}");
    annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap_err();
    assert!(keys.0.kept.lock().unwrap().is_empty());
    annals.close().await;
}

pub async fn a_projection_never_opens_a_value(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    let receipt = annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let shown = annals.view::<Shown>(&user("7")).after(receipt).await.unwrap().unwrap();
    assert_eq!(shown.opened, "[personal]", "else a rebuild after an erasure would make another document");
    annals.close().await;
}

/// Says the name of each user again, which it must not.
struct Echo;

impl Reaction for Echo {
    const NAME: &'static str = "echo";
    type On = User;

    fn react(event: &Recorded<UserEvent>, _: &Loaded<User>) -> Then {
        match &event.event {
            UserEvent::Registered { .. } => Then::from(name("9", "from the reaction")),
            _ => Then::nothing(),
        }
    }
}

pub async fn a_reaction_cannot_lead_to_a_command_with_personal_fields(place: &Place) {
    let keys = TestKeys::default();
    let annals = app().reaction::<Echo>().keys(keys.keys()).open(place.url()).await.unwrap();
    let receipt = annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.reading("reaction_echo").unwrap().caught_up(receipt.head, None).await.unwrap();
    let statuses = annals.reactions().await.unwrap();
    assert_eq!(statuses[0].parked.len(), 1, "{statuses:?}");
    assert!(!log_text(&annals).await.contains("from the reaction"));
    annals.close().await;
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "guest", on = Guest)]
enum GuestEvent {
    #[event(create, "{actor} invited {guest} as {name}")]
    Invited { name: String },
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
struct Guest {}

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(String);

impl Aggregate for Guest {
    const TYPE: &'static str = "guest";
    type Id = GuestId;
    type Event = GuestEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, _: &GuestEvent) {}
}

/// Invite a guest
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Invite {
    #[on(Guest)]
    guest: GuestId,
    name: String,
}

impl Handle for Invite {
    fn handle(&self, _: &Loaded<Guest>, _: &Context) -> Result<Vec<GuestEvent>, std::convert::Infallible> {
        Ok(vec![GuestEvent::Invited { name: self.name.clone() }])
    }
}

/// The same application, whose names have become personal.
mod newer {
    use super::{
        Aggregate, Command, Context, Deserialize, Event, GuestId, Handle, JsonSchema, Loaded, Personal, Serialize,
    };

    fn withheld(mut old: annals::serde_json::Value) -> Result<annals::serde_json::Value, annals::BoxError> {
        old["name"] = annals::events::withheld();
        Ok(old)
    }

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "guest_", on = Guest)]
    pub enum GuestEvent {
        #[event(create, "{actor} invited {guest} as {name}", version = 2, from(1 = withheld), was("guest.invited"))]
        Invited {
            #[event(personal)]
            name: Personal<String>,
        },
    }

    #[derive(Default, Clone, Debug, Serialize, Deserialize)]
    pub struct Guest {}

    impl Aggregate for Guest {
        const TYPE: &'static str = "guest";
        type Id = GuestId;
        type Event = GuestEvent;
        type Error = std::convert::Infallible;

        fn apply(&mut self, _: &GuestEvent) {}
    }

    /// Invite a guest, whose name is personal
    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    pub struct InviteSealed {
        #[on(Guest)]
        pub guest: GuestId,
        #[personal]
        pub name: String,
    }

    impl Handle for InviteSealed {
        fn handle(&self, _: &Loaded<Guest>, _: &Context) -> Result<Vec<GuestEvent>, std::convert::Infallible> {
            Ok(vec![GuestEvent::Invited { name: Personal::new(self.name.clone()) }])
        }
    }
}

pub async fn values_that_were_readable_before_are_withheld_and_check_names_them(place: &Place) {
    let annals = App::new("guests").command::<Invite>().open(place.url()).await.unwrap();
    let guest = || GuestId::new("7");
    for name in ["Adelheid", "Berta"] {
        annals.execute(Invite { guest: guest(), name: name.to_owned() }, &by("user:op")).await.unwrap();
    }
    annals.close().await;

    let app = App::new("guests").command::<newer::InviteSealed>().keys(TestKeys::default().keys());
    let annals = app.open(place.url()).await.unwrap();
    let sealed = newer::InviteSealed { guest: guest(), name: "Clara".to_owned() };
    annals.execute(sealed, &by("user:op")).await.unwrap();
    let expected = [
        "user:op invited guest:7 as [erased]",
        "user:op invited guest:7 as [erased]",
        "user:op invited guest:7 as Clara",
    ];
    assert_eq!(sentences(&annals).await, expected);
    let report = annals.check(|_, _| {}).await.unwrap();
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.is_sound(), "{found:?}");
    assert_eq!(report.readable.positions, [1, 2]);
    assert_eq!(report.readable.events, 2);
    annals.close().await;
}

/// Keeps what a feed sends.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

#[async_trait::async_trait]
impl Sink for Kept {
    fn destination(&self) -> String {
        "memory".to_owned()
    }

    async fn connect(&self, _: &FeedPosition) -> Result<Box<dyn Connection>, SinkError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl Connection for Kept {
    async fn send(&mut self, messages: &[Message]) -> Sent {
        messages.iter().for_each(|message| self.0.lock().unwrap().push_str(&message.body));
        Sent::all(messages)
    }
}

/// A receiver keeps what a feed sent to it: an erasure does not reach it, so the values are sent sealed.
pub async fn a_feed_sends_values_sealed(place: &Place) {
    let (keys, kept) = (TestKeys::default(), Kept::default());
    let feed = Feed::new("copy").since(Since::Beginning).to(kept.clone());
    let annals = app().feed(feed).keys(keys.keys()).open(place.url()).await.unwrap();
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let waiting = async {
        while !kept.0.lock().unwrap().contains("user.registered") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    let sent = kept.0.lock().unwrap().clone();
    assert!(!sent.contains("Adelheid") && sent.contains("sealed"), "{sent}");
    annals.close().await;
}
