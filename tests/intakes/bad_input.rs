//! Messages that cannot be read, or must not be.

use annals::app::{AccessContext, Ask, Denial};
use annals::commands::ExecuteError;
use annals::intakes::RabbitQueue;
use annals_test_postgres::Place;
use serde_json::{Value, json};

use crate::publishing::{Nats, Rabbit};
use crate::tally::*;

/// Guarantee 44: a message that is no CloudEvent, two with one id and different bodies, and whatever else comes.
pub async fn what_cannot_be_read_is_a_dead_letter_and_is_acknowledged(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let intake = nats.intake().largest(2_000);
    let annals = tally().intake(intake).open(place.url()).await.unwrap();
    let of_type = |id: &str, event_type: &str| {
        let mut message = message(id, "a", 1);
        message["type"] = event_type.into();
        message.to_string()
    };
    let mut text = message("text", "a", 1);
    text["data"] = "one".into();
    let mut large = message("large", "a", 1);
    large["more"] = "x".repeat(2_000).into();
    let mut without = message("without", "a", 1);
    without.as_object_mut().unwrap().remove("subject");
    let bodies: [Vec<u8>; 10] = [
        b"hello".to_vec(),
        vec![0, 255, 1],
        of_type("1", "multiplied").into(),
        of_type("2", "panic").into(),
        text.to_string().into(),
        without.to_string().into(),
        large.to_string().into(),
        message("unlucky", "a", 13).to_string().into(),
        message("first", "a", 1).to_string().into(),
        message("first", "a", 2).to_string().into(),
    ];
    for body in &bodies {
        nats.publish("in.a", body.clone()).await;
    }
    has_settled(&annals, 10).await;
    let mut reasons = reasons(&annals).await;
    reasons.sort_unstable();
    let wanted = [
        "another message of this publisher has the same source and id",
        "its command `add` failed: the handler of the command `add` panicked",
        "it has no subject",
        "it has 2",
        "it is no CloudEvent in JSON",
        "it is no CloudEvent in JSON",
        "nobody knows the type `multiplied`",
        "the data of the event is not as expected: invalid type: string",
        "the intake's function panicked: the function is wrong",
    ];
    assert_eq!(reasons.len(), wanted.len(), "{reasons:#?}");
    for want in wanted {
        assert!(reasons.iter().any(|reason| reason.contains(want)), "{want}: {reasons:#?}");
    }
    assert_eq!(numbers(&annals, "a").await, [1], "those that can be read are executed");
    // A dead letter keeps the text of its message unchanged; of a large message, the first 1,024 bytes.
    let letters = events(&annals, "annals_intake.dead_lettered").await;
    let letters: Vec<Value> = letters.iter().map(|event| serde_json::from_str(&event.payload).unwrap()).collect();
    assert!(letters.iter().any(|letter| letter["letter"]["text"] == "hello"), "{letters:#?}");
    assert!(letters.iter().any(|letter| letter["letter"]["hex"] == "00ff01"), "{letters:#?}");
    let large = letters.iter().find(|letter| letter["letter"]["whole"] == false).unwrap();
    assert_eq!(large["letter"]["text"].as_str().unwrap().len(), 1_024);

    // Again: nothing more is recorded.
    let head = annals.store().head().await.unwrap();
    for body in &bodies {
        nats.publish("in.a", body.clone()).await;
    }
    has_settled(&annals, 20).await;
    assert_eq!(annals.store().head().await.unwrap(), head);
    assert_eq!(status(&annals).await.repeats, 10);
    annals.close().await;
}

/// Guarantee 43.
pub async fn a_refused_message_stays_refused(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    nats.publish("in.a", message("1", "a", -5).to_string()).await;
    nats.publish("in.a", message("2", "a", 10).to_string()).await;
    nats.publish("in.a", message("1", "a", -5).to_string()).await;
    has_settled(&annals, 3).await;
    assert_eq!(numbers(&annals, "a").await, [10]);
    let refused = events(&annals, "annals_intake.refused").await;
    let payload: Value = serde_json::from_str(&refused[0].payload).unwrap();
    let wanted = json!({"command": "add", "source": "/test", "id": "1", "reason": "a tally is never below zero"});
    assert_eq!((refused.len(), payload), (1, wanted));
    assert_eq!(refused[0].metadata().unwrap().actor.id(), "ann");
    let shown = status(&annals).await;
    assert_eq!((shown.refused, shown.repeats, shown.dead_letters), (1, 1, 0), "{shown:?}");
    annals.close().await;
}

/// Mallory may do nothing, and nobody has a right on the crate's own record.
fn no_mallory(access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match ask {
        Ask::Command { on, .. } if on.iter().any(|on| on.kind() != "tally") => {
            Err(Denial::because("no right on it"))
        }
        Ask::Command { .. } if access.actor().id() == "mallory" => Err(Denial::because("mallory may not")),
        _ => Ok(()),
    }
}

/// Guarantee 44.
pub async fn a_denied_message_is_recorded_and_its_record_needs_no_right(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let annals = tally().authorise(no_mallory).intake(nats.intake()).open(place.url()).await.unwrap();
    let mut denied = message("1", "a", 5);
    denied["user"] = "mallory".into();
    let mut reserved = message("2", "a", 5);
    reserved["user"] = "".into();
    for body in [denied.to_string(), message("3", "a", 7).to_string(), denied.to_string(), reserved.to_string()] {
        nats.publish("in.a", body).await;
    }
    has_settled(&annals, 4).await;
    assert_eq!(numbers(&annals, "a").await, [7]);
    let refused = events(&annals, "annals_intake.refused").await;
    assert_eq!(refused.len(), 1);
    assert!(refused[0].payload.contains("mallory may not"), "{}", refused[0].payload);
    assert_eq!(reasons(&annals).await.len(), 1);
    annals.close().await;
}

/// Guarantee 44: a hostile caller, and a hostile publisher.
pub async fn nobody_can_use_up_the_id_of_a_message(place: &Place) {
    let Some(rabbit) = Rabbit::start(None).await else { return };
    let source = || RabbitQueue::new(rabbit.broker.url()).queue("in");
    let app = || tally().intake(additions().from(source()));
    let annals = app().open(place.url()).await.unwrap();
    // Somebody without credentials of the publisher is first, with another content.
    rabbit.publish(None, message("1", "a", 1).to_string()).await;
    rabbit.publish(Some("guest"), message("1", "a", 5).to_string()).await;
    has_settled(&annals, 2).await;
    assert_eq!((numbers(&annals, "a").await, reasons(&annals).await.len()), (vec![1, 5], 0));
    let id = events(&annals, "tally.added").await[1].command_id;
    let add = Add { tally: TallyId::new("a"), number: 9 };
    let used = annals.execute(add, &by("mallory").command_id(id)).await.unwrap_err();
    assert!(matches!(used, ExecuteError::CommandIdReserved(_)), "{used}");
    annals.close().await;

    // An intake that trusts one publisher and one source takes nothing else.
    let trusting = additions().trust("guest", "/test").from(source());
    let annals = tally().intake(trusting).open(place.url()).await.unwrap();
    let mut other = message("2", "a", 1);
    other["source"] = "/testing".into();
    rabbit.publish(None, message("2", "a", 1).to_string()).await;
    rabbit.publish(Some("guest"), other.to_string()).await;
    rabbit.publish(Some("guest"), message("2", "a", 7).to_string()).await;
    has_settled(&annals, 3).await;
    assert_eq!(numbers(&annals, "a").await, [1, 5, 7]);
    assert!(reasons(&annals).await.iter().all(|reason| reason.contains("may not use the source")));
    annals.close().await;
    let strict = additions().require_publisher().from(source());
    let annals = tally().intake(strict).open(place.url()).await.unwrap();
    rabbit.publish(None, message("3", "a", 1).to_string()).await;
    has_settled(&annals, 1).await;
    assert!(reasons(&annals).await[2].contains("does not say who published it"));
    annals.close().await;
}

pub async fn what_is_too_large_is_left_to_the_dead_letters_of_rabbitmq(place: &Place) {
    let Some(rabbit) = Rabbit::start(Some("dead")).await else { return };
    let annals = tally().intake(rabbit.intake().largest(1_000)).open(place.url()).await.unwrap();
    let mut large = message("1", "a", 5);
    large["more"] = "x".repeat(1_500).into();
    rabbit.publish(Some("guest"), large.to_string()).await;
    rabbit.publish(Some("guest"), b"hello".to_vec()).await;
    rabbit.publish(Some("guest"), message("2", "a", 5).to_string()).await;
    has_settled(&annals, 3).await;
    assert_eq!((numbers(&annals, "a").await, reasons(&annals).await.len()), (vec![5], 2));
    // What the log has as a whole is acknowledged.
    until(async || rabbit.count("dead").await == 1).await;
    annals.close().await;
}
