//! A broker that is away, and one that is not set up as an intake needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals::app::{AccessContext, Ask, Denial};
use annals::intakes::{NatsStream, RabbitQueue};
use annals_test_postgres::Place;

use crate::publishing::{Nats, Rabbit};
use crate::tally::*;

pub async fn a_broker_that_is_away_is_reported_without_credentials_and_tried_again(place: &Place) {
    let users = "authorization { users: [{user: ann, password: s3cret}] }";
    let Some(mut server) = crate::brokers::NatsServer::start_with(users) else { return };
    let url = |user: &str| format!("nats://{user}@127.0.0.1:{}", server.port);
    for (wrong, what) in [("ann:s3cretive", "refuses the credentials"), ("ann:s3cret", "has no stream `IN`")] {
        let source = NatsStream::new(url(wrong)).stream("IN");
        let annals = tally().intake(additions().from(source)).open(place.url()).await.unwrap();
        let said = says(&annals, what).await;
        assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
        annals.close().await;
    }
    let options = async_nats::ConnectOptions::with_user_and_password("ann".to_owned(), "s3cret".to_owned());
    let client = options.connect(format!("127.0.0.1:{}", server.port)).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "IN".to_owned(),
        subjects: vec!["in.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    let source = NatsStream::new(url("ann:s3cret")).stream("IN");
    let annals = tally().intake(additions().from(source)).open(place.url()).await.unwrap();
    context.publish("in.a", message("1", "a", 1).to_string().into()).await.unwrap().await.unwrap();
    has_settled(&annals, 1).await;
    server.kill();
    let said = says(&annals, "127.0.0.1").await;
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    tokio::task::block_in_place(|| server.restart());
    until(async || status(&annals).await.problem.is_none()).await;
    until(async || {
        let published = context.publish("in.a", message("2", "a", 2).to_string().into()).await;
        match published {
            Ok(ack) => ack.await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
    until(async || numbers(&annals, "a").await == [1, 2]).await;
    annals.close().await;

    let Some(mut rabbit) = Rabbit::start(None).await else { return };
    let wrong = rabbit.broker.url().replace("guest:guest", "guest:s3cret");
    let source = RabbitQueue::new(wrong).queue("in");
    let annals = tally().intake(additions().from(source)).open(place.url()).await.unwrap();
    let said = says(&annals, "ACCESS").await;
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    annals.close().await;
    // A certificate that nobody trusts, then one that is trusted.
    let secure = || RabbitQueue::new(rabbit.broker.tls_url()).queue("in");
    let annals = tally().intake(additions().from(secure())).open(place.url()).await.unwrap();
    says(&annals, "invalid peer certificate").await;
    annals.close().await;
    let trusting = secure().certificate_authority(rabbit.broker.certificate.as_str());
    let annals = tally().intake(additions().from(trusting)).open(place.url()).await.unwrap();
    rabbit.publish(None, message("3", "a", 3).to_string()).await;
    until(async || numbers(&annals, "a").await == [1, 2, 3]).await;
    rabbit.publish(None, message("4", "a", 4).to_string()).await;
    tokio::task::block_in_place(|| rabbit.broker.wait_until_kept("in"));
    rabbit.broker.kill();
    says(&annals, "127.0.0.1").await;
    tokio::task::block_in_place(|| rabbit.broker.restart());
    until(async || status(&annals).await.problem.is_none()).await;
    until(async || numbers(&annals, "a").await == [1, 2, 3, 4]).await;
    annals.close().await;
}

pub async fn a_consumer_that_forgets_messages_is_refused(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let stream = nats.context.get_stream("IN").await.unwrap();
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("additions".to_owned()),
        max_deliver: 3,
        ..Default::default()
    };
    stream.create_consumer(config).await.unwrap();
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    says(&annals, "no limit of deliveries").await;
    annals.close().await;
}

/// Longer than the server waits for an acknowledgement.
pub async fn what_fails_for_the_moment_is_tried_again_in_order(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let is_away = Arc::new(AtomicBool::new(true));
    let away = is_away.clone();
    let rights = move |_: &AccessContext<'_>, ask: &Ask<'_>| match ask {
        Ask::Command { on, .. } if on[0].id() == "a" && away.load(Ordering::Relaxed) => {
            Err(Denial::because("the service is away: try again"))
        }
        _ => Ok(()),
    };
    let annals = tally().authorise(rights).intake(nats.intake()).open(place.url()).await.unwrap();
    for (id, subject) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")] {
        nats.publish("in.a", message(id, subject, id.parse().unwrap()).to_string()).await;
    }
    says(&annals, "a message about `a` cannot be executed").await;
    until(async || numbers(&annals, "b").await == [3]).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let shown = status(&annals).await;
    assert_eq!((shown.received, shown.in_hand, shown.refused, shown.backlog), (4, 3, 0, Some(3)), "{shown:?}");
    assert!(numbers(&annals, "a").await.is_empty());
    is_away.store(false, Ordering::Relaxed);
    has_settled(&annals, 4).await;
    assert_eq!(numbers(&annals, "a").await, [1, 2, 4]);
    let shown = status(&annals).await;
    assert_eq!((shown.refused, shown.repeats), (0, 0), "{shown:?}");
    annals.close().await;
}
