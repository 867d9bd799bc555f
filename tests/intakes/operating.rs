//! What operators see of intakes; pausing, resuming and replaying.

use std::process::ExitCode;
use std::time::Duration;

use annals::intakes::{Intake, IntakeError, NatsStream, RabbitQueue};
use annals::prelude::*;
use annals_test_postgres::Place;
use serde_json::{Value, json};

use crate::publishing::Nats;
use crate::tally::*;

pub async fn an_intake_is_paused_and_resumed(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    nats.publish("in.a", message("1", "a", 1).to_string()).await;
    has_settled(&annals, 1).await;
    annals.pause_intake("additions", "they repeat themselves", &by("ann")).await.unwrap();
    assert_eq!(status(&annals).await.paused.as_deref(), Some("they repeat themselves"));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    nats.publish("in.a", message("2", "a", 2).to_string()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(numbers(&annals, "a").await, [1]);
    annals.resume_intake("additions", "they are mended", &by("ann")).await.unwrap();
    has_settled(&annals, 2).await;
    assert_eq!(numbers(&annals, "a").await, [1, 2]);
    annals.close().await;
}

pub async fn a_dead_letter_is_replayed_once_by_a_program_that_can_read_it(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let unknowing = Intake::new("additions", |_| Err("nobody knows it".into())).from(nats.source());
    let annals = tally().intake(unknowing).open(place.url()).await.unwrap();
    for (id, number) in [("1", 5), ("2", -50)] {
        nats.publish("in.a", message(id, "a", number).to_string()).await;
    }
    has_settled(&annals, 2).await;
    nats.publish("in.a", b"hello".to_vec()).await;
    has_settled(&annals, 3).await;
    let letters: Vec<u64> =
        events(&annals, "annals_intake.dead_lettered").await.iter().map(|event| event.position).collect();
    let replay = async |annals: &Annals, position| {
        annals.replay_dead_letter("additions", position, "it is known", &by("bob")).await
    };
    let still = replay(&annals, letters[0]).await.unwrap_err();
    assert!(matches!(&still, IntakeError::Unreadable { reason, .. } if reason == "nobody knows it"), "{still}");
    annals.close().await;

    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    let replayed: Vec<_> = futures::future::join_all((0..4).map(|_| replay(&annals, letters[0]))).await;
    assert_eq!(replayed.iter().filter(|replayed| replayed.is_ok()).count(), 1, "{replayed:?}");
    assert_eq!(numbers(&annals, "a").await, [5]);
    let event = &events(&annals, "annals_intake.replayed").await[0];
    let payload: Value = serde_json::from_str(&event.payload).unwrap();
    assert_eq!((payload["by"].as_str(), payload["why"].as_str()), (Some("user:bob"), Some("it is known")));
    assert_eq!(event.command_id, events(&annals, "tally.added").await[0].command_id, "one commit");
    assert!(replay(&annals, letters[1]).await.unwrap().refused);
    assert!(matches!(replay(&annals, letters[1]).await, Err(IntakeError::Done(_))));
    assert!(matches!(replay(&annals, letters[2]).await, Err(IntakeError::Unreadable { .. })));
    for position in [1_000, event.position] {
        assert!(matches!(replay(&annals, position).await, Err(IntakeError::NoDeadLetter(_))));
    }
    let shown = status(&annals).await;
    assert_eq!((shown.dead_letters, shown.refused), (1, 1), "{shown:?}");
    // The publisher repeats itself: the message has had its outcome.
    nats.publish("in.a", message("1", "a", 5).to_string()).await;
    has_settled(&annals, 1).await;
    assert_eq!(numbers(&annals, "a").await, [5]);
    annals.close().await;
}

/// The dead letter of a publisher that is not trusted has another id than its message: it must not use that up.
pub async fn a_replayed_message_that_its_publisher_repeats_is_executed_once(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let annals = tally().intake(nats.intake().trust("bank", "/bank")).open(place.url()).await.unwrap();
    nats.publish("in.a", message("1", "a", 5).to_string()).await;
    has_settled(&annals, 1).await;
    let letter = events(&annals, "annals_intake.dead_lettered").await[0].position;
    annals.close().await;

    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    annals.replay_dead_letter("additions", letter, "it is trusted", &by("bob")).await.unwrap();
    nats.publish("in.a", message("1", "a", 5).to_string()).await;
    has_settled(&annals, 1).await;
    assert_eq!(numbers(&annals, "a").await, [5]);
    annals.close().await;
}

pub async fn a_dead_letter_is_replayed_by_its_own_intake_alone(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let unknowing = Intake::new("additions", |_| Err("nobody knows it".into())).from(nats.source());
    let annals = tally().intake(unknowing).open(place.url()).await.unwrap();
    nats.publish("in.a", message("1", "a", 5).to_string()).await;
    has_settled(&annals, 1).await;
    let letter = events(&annals, "annals_intake.dead_lettered").await[0].position;
    annals.close().await;

    let other = additions_named("others").over_http();
    let annals = tally().intake(nats.intake()).intake(other).open(place.url()).await.unwrap();
    let replay = async |intake| annals.replay_dead_letter(intake, letter, "it is known", &by("bob")).await;
    assert!(matches!(replay("others").await, Err(IntakeError::NoDeadLetter(_))));
    assert_eq!(numbers(&annals, "a").await, [0; 0]);
    replay("additions").await.unwrap();
    assert_eq!(numbers(&annals, "a").await, [5]);
    annals.close().await;
}

async fn run(nats: &Nats, arguments: &[&str], place: &Place) -> bool {
    let arguments = [&["tally", "intakes"], arguments, &["--store", place.url()]].concat();
    format!("{:?}", tally().intake(nats.intake()).main_with(arguments).await) == format!("{:?}", ExitCode::SUCCESS)
}

/// Mission X70.
pub async fn the_command_line_and_http_show_and_operate_intakes(place: &Place) {
    let Some(nats) = Nats::start().await else { return };
    let annals = tally().intake(nats.intake()).open(place.url()).await.unwrap();
    nats.publish("in.a", message("1", "a", 1).to_string()).await;
    nats.publish("in.a", b"hello".to_vec()).await;
    has_settled(&annals, 2).await;
    assert!(run(&nats, &["status", "--format", "json"], place).await);
    assert!(run(&nats, &["pause", "additions", "--why", "w", "--as", "user:bob"], place).await);
    for refused in [
        &["pause", "none", "--why", "w", "--as", "user:bob"][..],
        &["pause", "additions", "--why", " ", "--as", "user:bob"],
        &["pause", "additions", "--why", "w"],
        &["replay", "additions", "1", "--why", "w", "--as", "user:bob"],
        &["replay", "additions", "0", "--why", "w", "--as", "user:bob"],
    ] {
        assert!(!run(&nats, refused, place).await, "{refused:?}");
    }
    assert_eq!(status(&annals).await.paused.as_deref(), Some("w"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = annals::http::router(annals.clone());
    let router =
        router.authentication(annals::http::Authentication::trusting(Some(Ref::new("user", "ann").unwrap())));
    let serving = tokio::spawn(annals::http::serve(listener, router.into_router(), std::future::pending()));
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let answer = client.post(format!("http://{address}{path}")).json(&body).send().await.unwrap();
        answer.status().as_u16()
    };
    let get =
        async |path: &str| reqwest::get(format!("http://{address}{path}")).await.unwrap().text().await.unwrap();
    let shown: Value = serde_json::from_str(&get("/intakes").await).unwrap();
    assert_eq!((shown[0]["name"].as_str(), shown[0]["paused"].as_str()), (Some("additions"), Some("w")));
    assert_eq!((shown[0]["dead_letters"].as_u64(), shown[0]["backlog"].as_u64()), (Some(1), Some(0)));
    let metrics = get("/metrics").await;
    for line in [
        "intake_paused{intake=\"additions\"} 1.0",
        "intake_dead_letters{intake=\"additions\"} 1.0",
        "intake_received_total{intake=\"additions\"} 2",
        "intake_backlog_messages{intake=\"additions\"} 0.0",
    ] {
        assert!(metrics.contains(&format!("annals_{line}")), "{line}: {metrics}");
    }
    assert_eq!(post("/intakes/additions/resume", json!({ "why": "w" })).await, 200);
    assert_eq!(post("/intakes/none/resume", json!({ "why": "w" })).await, 404);
    assert_eq!(post("/intakes/additions/pause", json!({ "why": "" })).await, 400);
    assert_eq!(post("/intakes/additions/pause", json!({ "why": "w", "more": 1 })).await, 400);
    let letter = events(&annals, "annals_intake.dead_lettered").await[0].position;
    let added = events(&annals, "tally.added").await[0].position;
    for (position, status) in [(added, 404), (letter, 409)] {
        let path = format!("/intakes/additions/dead-letters/{position}/replay");
        assert_eq!(post(&path, json!({ "why": "w" })).await, status, "{position}");
    }
    assert_eq!(status(&annals).await.paused, None);
    serving.abort();
    annals.close().await;
}

pub async fn an_unsound_intake_is_refused(_: &Place) {
    let nats = || NatsStream::new("nats://ann:s3cret@localhost");
    let rabbit = || RabbitQueue::new("amqp://ann:s3cret@localhost");
    let intake = |name: &str| Intake::new(name, added);
    for (intake, problem) in [
        (intake("A").from(nats().stream("A")), "lower-case letters"),
        (intake("a"), "has no source"),
        (intake("a").from(nats()), "say `.stream(…)`"),
        (intake("a").from(nats().stream("A.*")), "no wildcards"),
        (intake("a").from(NatsStream::new("localhost").stream("A")), "nats://"),
        (intake("a").from(rabbit()), "say `.queue(…)`"),
        (intake("a").from(RabbitQueue::new("http://ann:s3cret@localhost").queue("a")), "amqps://"),
        (intake("a").from(RabbitQueue::new("http://localhost").queue("a")), "amqp://"),
        (intake("a").from(rabbit().queue("a")).prefetch(0), "prefetch of 0"),
        (intake("a").from(rabbit().queue("a")).largest(2 << 20), "1 to 1,048,576"),
    ] {
        let refused = tally().intake(intake).check().unwrap_err().to_string();
        assert!(refused.contains(problem) && !refused.contains("s3cret"), "{refused}");
    }
    let twice = tally().intake(intake("a").from(rabbit().queue("a"))).intake(intake("a").from(rabbit().queue("b")));
    assert!(twice.check().unwrap_err().to_string().contains("two intakes have the name `a`"));
}
