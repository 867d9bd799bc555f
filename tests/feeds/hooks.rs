//! Feeds to webhooks.

use std::time::Duration;

use annals::feeds::Webhook;
use annals_test_postgres::{Place, certificate};

use crate::desk::*;
use crate::receiver::{Answer, Receiver, SECRET, Taken};

fn webhook(receiver: &Receiver) -> Webhook {
    Webhook::new(receiver.url()).secret(SECRET).time_limit(Duration::from_millis(500))
}

/// The messages that follow the last one that was taken: whatever else comes is a repeat.
fn each_once(taken: &[Taken]) -> Vec<String> {
    let (mut bodies, mut at) = (Vec::new(), 0);
    for message in taken {
        if message.previous == at {
            at = message.position;
            bodies.push(message.body.clone());
        } else {
            assert!(message.position <= at, "a gap before {}", message.position);
        }
    }
    bodies
}

/// Mission X19.
pub async fn a_webhook_gets_each_event_in_order_whatever_it_answers(place: &Place) {
    let answers = vec![
        Answer::Confirm,
        Answer::TakeAndCut,
        Answer::Confirm,
        Answer::Status(503),
        Answer::Status(404),
        Answer::Cut,
        Answer::Hang,
        Answer::ConfirmAtLength,
        Answer::Status(500),
    ];
    let receiver = Receiver::start(answers).await;
    let annals = feeding(webhook(&receiver)).open(place.url()).await.unwrap();
    write(&annals, 40).await;
    has_sent_all(&annals).await;
    let taken = receiver.taken.lock().unwrap().clone();
    assert_eq!(each_once(&taken), exported(&annals).await);
    assert_eq!(taken.len(), 42, "one was taken without an answer, and came again");
    assert!(status(&annals).await.failures >= 6);
    annals.close().await;
}

pub async fn a_webhook_that_answers_nothing_or_redirects_confirms_nothing(place: &Place) {
    let receiver = Receiver::start(vec![Answer::Hang; 100]).await;
    let annals = feeding(webhook(&receiver)).open(place.url()).await.unwrap();
    write(&annals, 3).await;
    let said = says(&annals, "has not answered within 500ms").await;
    assert_eq!((said.last_sent, said.position), (0, 0));
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    *receiver.answers.lock().unwrap() = vec![Answer::Status(307); 100];
    let said = says(&annals, "307").await;
    assert_eq!(said.last_sent, 0);
    *receiver.answers.lock().unwrap() = Vec::new();
    has_sent_all(&annals).await;
    assert_eq!(receiver.taken.lock().unwrap().len(), 4);
    annals.close().await;
}

pub async fn a_webhook_with_tls_gets_events_if_its_certificate_is_trusted(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path());
    let receiver = Receiver::start_with_tls(&files).await;
    let secure = || Webhook::new(receiver.url().replace("http:", "https:")).secret(SECRET);
    let annals = feeding(secure()).open(place.url()).await.unwrap();
    write(&annals, 3).await;
    let said = says(&annals, "invalid peer certificate").await;
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    assert!(receiver.taken.lock().unwrap().is_empty());
    annals.close().await;

    let nothing = folder.path().join("missing.pem");
    let annals = feeding(secure().certificate_authority(nothing)).open(place.url()).await.unwrap();
    says(&annals, "missing.pem").await;
    annals.close().await;

    let annals = feeding(secure().certificate_authority(&files[0])).open(place.url()).await.unwrap();
    has_sent_all(&annals).await;
    let taken = receiver.taken.lock().unwrap().clone();
    assert_eq!(each_once(&taken), exported(&annals).await);
    annals.close().await;
}
