//! Each message has one outcome, in the order of its subject.

use std::time::Duration;

use annals::prelude::*;
use annals_test_postgres::Place;

use crate::publishing::{Nats, Rabbit};
use crate::tally::*;

/// Checks that the numbers 1 to `count` were added once, in order, spread over seven tallies.
async fn assert_in_order(annals: &Annals, count: i64) {
    let mut all = 0;
    for tally in 0..7 {
        let wanted: Vec<i64> =
            (1..=count).filter(|number| number % 7 == tally).map(|number| number + 100).collect();
        assert_eq!(numbers(annals, &tally.to_string()).await, wanted, "tally {tally}");
        all += wanted.len();
    }
    assert_eq!(all as i64, count);
}

fn numbered(number: i64) -> String {
    message(&number.to_string(), &(number % 7).to_string(), number + 100).to_string()
}

/// Mission X19.
pub async fn messages_of_nats_are_executed_once_and_in_order_of_their_subject(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    for number in 1..=150 {
        nats.publish("in.a", numbered(number)).await;
    }
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    for number in 151..=300 {
        nats.publish("in.a", numbered(number)).await;
    }
    has_settled(&annals, 300).await;
    assert_in_order(&annals, 300).await;
    // In binary mode too.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "301"),
        ("ce-source", "/test"),
        ("ce-type", "added"),
        ("ce-subject", "0"),
        ("Content-Type", "application/json"),
    ];
    nats.publish_with("in.a", &headers, "401").await;
    has_settled(&annals, 301).await;
    assert_in_order(&annals, 301).await;
    annals.close().await;

    // Another start continues: nothing of what was acknowledged comes again. A publisher that repeats itself changes nothing.
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    for number in 295..=310 {
        nats.publish("in.a", numbered(number)).await;
    }
    has_settled(&annals, 16).await;
    assert_in_order(&annals, 310).await;
    let status = status(&annals).await;
    assert_eq!((status.received, status.repeats, status.failures), (16, 7, 0), "{status:?}");
    assert_eq!((status.dead_letters, status.refused, status.leads), (0, 0, true));
    annals.close().await;
}

/// Mission X19.
pub async fn messages_of_rabbitmq_are_executed_once_and_in_order_of_their_subject(place: &Place) {
    let Some(rabbit) = Rabbit::start(None).await else { return };
    for number in 1..=150 {
        rabbit.publish(None, numbered(number)).await;
    }
    let annals = tally().intake(rabbit.intake()).open(place.url()).await.unwrap();
    for number in 151..=300 {
        rabbit.publish(Some("guest"), numbered(number)).await;
    }
    has_settled(&annals, 300).await;
    assert_in_order(&annals, 300).await;
    annals.close().await;
    assert_eq!(rabbit.count("in").await, 0);

    let annals = tally().intake(rabbit.intake()).open(place.url()).await.unwrap();
    for number in 295..=310 {
        rabbit.publish(Some("guest"), numbered(number)).await;
    }
    has_settled(&annals, 16).await;
    assert_in_order(&annals, 310).await;
    assert_eq!(status(&annals).await.repeats, 6);
    annals.close().await;
}

/// Guarantee 43. The new program makes another command of the same message: the message has had its outcome.
pub async fn a_redelivery_across_a_deploy_is_a_repeat(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    nats.publish("in.a", message("1", "a", 5).to_string()).await;
    nats.publish("in.a", message("none", "a", 0).to_string()).await;
    let mut unknown = message("2", "a", 5);
    unknown["type"] = "multiplied".into();
    nats.publish("in.a", unknown.to_string()).await;
    has_settled(&annals, 3).await;
    assert_eq!(reasons(&annals).await, ["\"nobody knows the type `multiplied`\""]);
    annals.close().await;

    let twice = annals::intakes::Intake::new("additions", |event| {
        let number: i64 = event.data()?;
        let add = Add { tally: TallyId::new(event.subject().unwrap_or_default()), number: number * 2 + 1 };
        Ok(event.command(add, Ref::new("user", "bob")?))
    });
    let annals = tally().intake(twice.from(nats.source())).open(place.url()).await.unwrap();
    for again in [message("1", "a", 5), message("none", "a", 0), unknown] {
        nats.publish("in.a", again.to_string()).await;
    }
    has_settled(&annals, 3).await;
    assert_eq!(numbers(&annals, "a").await, [5]);
    let shown = status(&annals).await;
    assert_eq!((shown.repeats, shown.dead_letters), (3, 1), "{shown:?}");
    annals.close().await;
}

pub async fn one_of_two_programs_receives_and_the_other_takes_over(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let one = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    until(async || status(&one).await.leads).await;
    let other = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    for number in 1..=50 {
        nats.publish("in.a", numbered(number)).await;
    }
    has_settled(&one, 50).await;
    assert_eq!(status(&other).await.received, 0);
    one.close().await;
    for number in 51..=100 {
        nats.publish("in.a", numbered(number)).await;
    }
    has_settled(&other, 50).await;
    assert_in_order(&other, 100).await;
    other.close().await;
}

pub async fn a_flood_waits_at_the_broker(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    for number in 1..=700 {
        nats.publish("in.a", numbered(number)).await;
    }
    let annals = tally().intake(nats.intake().prefetch(5)).open(place.url()).await.unwrap();
    let mut most = 0;
    loop {
        let status = status(&annals).await;
        most = most.max(status.in_hand);
        if status.received == 700 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!((1..=5).contains(&most), "{most}");
    has_settled(&annals, 700).await;
    assert_in_order(&annals, 700).await;
    annals.close().await;
}
