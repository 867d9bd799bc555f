//! The two steps of an erasure.

use std::time::{Duration, Instant};

use annals::commands::ExecuteError;
use annals::personal::EraseError;
use annals::prelude::*;
use annals_test_postgres::Place;

use crate::people::*;

/// Guarantee 40, Mission X7.
pub async fn an_erased_subject_reads_erased_everywhere_and_takes_no_new_value(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.execute(name("7", "Berta"), &by("user:op")).await.unwrap();
    let shown = annals.view::<Shown>(&user("7")).await.unwrap();
    let before = annals.events(0, 2).await.unwrap().events;

    let began = Instant::now();
    let erasure = annals.erase(&reference("user:7"), "she asked to", &by("user:op")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5), "so long another process might open its values");
    assert!(erasure.is_complete() && !keys.0.has_key("user:7"));
    assert_eq!((erasure.reason.as_str(), erasure.keys.as_deref()), ("she asked to", Some("test keys")));

    let expected = [
        "user:op registered user:7 as [erased]",
        "user:op renamed user:7 from [erased] to [erased]",
        "user:op decided to erase the personal data of user:7: she asked to",
        "annals:eraser destroyed the key of user:7 in test keys: its personal data is erased",
    ];
    assert_eq!(sentences(&annals).await, expected);
    assert_eq!(annals.events(0, 2).await.unwrap().events, before, "no stored byte has changed");
    let name_of = |shown: Shown| shown.name;
    if let Some(shown) = shown {
        assert_eq!(annals.open_personal(&name_of(shown)).await.unwrap(), Opened::Erased);
    }
    let document = annals.json_view("shown").unwrap().get("7").await.unwrap().unwrap();
    assert_eq!(document["name"], "[erased]");
    let state = annals.json_state(&reference("user:7"), None).await.unwrap();
    assert_eq!(state.state["name"], "[erased]");

    let refused = annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(UserError::Erased)), "{refused:?}");
    let new =
        Introduce { user: user("7"), friend: user("8"), called: "Carla".to_owned(), own: "Adelheid".to_owned() };
    let refused = annals.execute(new, &by("user:op")).await.unwrap_err();
    assert!(matches!(&refused, ExecuteError::Erased(subject) if *subject == reference("user:7")), "{refused:?}");
    assert!(annals.check(|_, _| {}).await.unwrap().is_sound());
    annals.close().await;
}

pub async fn an_erasure_of_one_subject_leaves_others(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    for (id, given) in [("7", "Adelheid"), ("70", "Berta"), ("8", "Clara")] {
        annals.execute(name(id, given), &by("user:op")).await.unwrap();
    }
    annals.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap();
    let said = sentences(&annals).await;
    assert_eq!(said[0], "user:op registered user:7 as [erased]");
    assert_eq!(said[1], "user:op registered user:70 as Berta");
    assert_eq!(said[2], "user:op registered user:8 as Clara");
    annals.execute(name("8", "Dora"), &by("user:op")).await.unwrap();
    annals.close().await;
}

pub async fn an_erasure_that_is_asked_for_twice_is_decided_once(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let subject = reference("user:7");
    let op = by("user:op");
    let (one, other) = tokio::join!(annals.erase(&subject, "first", &op), annals.erase(&subject, "second", &op));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one, other);
    let again = annals.erase(&subject, "third", &op).await.unwrap();
    assert_eq!((again, annals.erasures().await.unwrap().len()), (one, 1));
    assert_eq!(log_text(&annals).await.matches("annals_subject.").count(), 2);
    // A subject that is nowhere in the log is erased for the future.
    annals.erase(&reference("user:99"), "in advance", &op).await.unwrap();
    let refused = annals.execute(name("99", "Zoe"), &op).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Erased(_)), "{refused:?}");
    annals.close().await;
}

/// Guarantee 38. Two processes: one decides on what it knows, while the other one erases.
pub async fn an_erasure_between_a_decision_and_its_commit_wins(place: &Place) {
    let keys = TestKeys::default();
    let (writer, eraser) = (keys.open(place).await, keys.open(place).await);
    writer.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let op = by("user:op");
    let subject = reference("user:7");
    let writing = async {
        let mut last = 0;
        for number in 0.. {
            let new = Introduce {
                user: user(&number.to_string()),
                friend: user("7"),
                called: format!("Adelheid {number}"),
                own: "x".to_owned(),
            };
            match writer.execute(new, &op).await {
                Ok(receipt) => last = receipt.head.position,
                Err(ExecuteError::Erased(erased)) => {
                    assert_eq!(erased, subject);
                    break;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        last
    };
    let erasing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        eraser.erase(&subject, "asked to", &op).await.unwrap()
    };
    let (last, erasure) = tokio::join!(writing, erasing);
    assert!(last < erasure.position, "no value of the subject is in the log after {}: {last}", erasure.position);
    writer.close().await;
    eraser.close().await;
}

/// Guarantee 40.
pub async fn another_process_drops_the_key_within_seconds(place: &Place) {
    let keys = TestKeys::default();
    let (one, other) = (keys.open(place).await, keys.open(place).await);
    one.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    assert_eq!(sentences(&other).await, ["user:op registered user:7 as Adelheid"], "its key is in memory");
    one.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap();
    assert_eq!(sentences(&other).await[0], "user:op registered user:7 as [erased]");
    let refused = other.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(UserError::Erased)), "{refused:?}");
    assert_eq!(one.erasures().await.unwrap(), other.erasures().await.unwrap());
    one.close().await;
    other.close().await;
}

pub async fn an_erasure_needs_a_reason_and_a_subject(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    for reason in ["", "  ", &"x".repeat(1_001)] {
        let refused = annals.erase(&reference("user:7"), reason, &by("user:op")).await.unwrap_err();
        assert!(matches!(refused, EraseError::Reason), "{refused:?}");
    }
    let refused = annals.erase(&reference("annals_subject:user:7"), "why", &by("user:op")).await.unwrap_err();
    assert!(matches!(refused, EraseError::Reserved(_)), "{refused:?}");
    assert_eq!(annals.store().head().await.unwrap().position, 0);
    annals.close().await;
}

pub async fn a_key_store_that_fails_is_reported_and_tried_again(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    *keys.0.broken.lock().unwrap() = Some("the disk is full".to_owned());
    let failed = annals.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap_err();
    assert!(
        matches!(&failed, EraseError::NotDestroyed { problem, .. } if problem.contains("the disk is full")),
        "{failed:?}"
    );
    assert!(!annals.erasures().await.unwrap()[0].is_complete());
    assert_eq!(sentences(&annals).await[0], "user:op registered user:7 as [erased]", "it is opened no more");
    let failed = annals.execute(name("8", "Berta"), &by("user:op")).await.unwrap_err();
    assert!(matches!(failed, ExecuteError::Keys(_)), "no value is stored without a durable key: {failed:?}");

    *keys.0.broken.lock().unwrap() = None;
    let waiting = async {
        while !annals.erasures().await.unwrap()[0].is_complete() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    assert!(!keys.0.has_key("user:7"));
    annals.close().await;
}
