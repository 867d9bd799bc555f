//! Rows that are written while a stream is open.

use std::time::Duration;

use crate::asking::{Answered, Answers};
use crate::secret::Secret;
use crate::served::Served;
use crate::values::Known;
use crate::vault;

/// Opens streams in each language and with each kind of names, writes a secret, and returns what the streams sent of it.
pub async fn follow(served: &Served, actor: &str, known: &Known, secret: &Secret) -> Answers {
    let mut open = Vec::new();
    let from = known.end();
    for query in ["names=none", "locale=fr", "names=now", "target=user:bob&names=none", "detail=metadata"] {
        let path = format!("/live/audit?from={from}&{query}");
        let request = served.request(reqwest::Method::GET, &path).header("annals-actor", actor);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        open.push((query, response));
    }
    // All streams have read what is stored, and wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    served.annals.execute(vault::storing("99", secret), &vault::by("ann")).await.unwrap();
    let mut answers = Answers::new();
    for (query, mut response) in open {
        let mut bytes = Vec::new();
        while !bytes.windows(7).any(|it| it == b"file:99") {
            let chunk = tokio::time::timeout(Duration::from_secs(30), response.chunk()).await.expect("a row");
            bytes.extend(chunk.unwrap().expect("an open stream"));
        }
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("[redacted]") && text.contains("\"detail\":\"metadata\""), "{query}: {text}");
        // Heartbeats come when they come.
        let bytes = text
            .lines()
            .filter(|line| *line != ":" && !line.is_empty())
            .flat_map(|line| line.bytes().chain(*b"\n"))
            .collect();
        answers.insert(format!("LIVE /live/audit {query}"), Answered { status: 200, bytes });
    }
    answers
}
