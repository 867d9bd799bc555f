//! Rows that are written while a stream is open.

use std::time::Duration;

use crate::asking::{Answered, Answers};
use crate::secret::Secret;
use crate::served::Served;
use crate::values::Known;
use crate::vault;

/// The streams: in each language, with each kind of names, and of a reader of everything that asks for metadata.
const QUERIES: [&str; 5] =
    ["names=none", "locale=fr", "names=now", "target=user:bob&names=none", "detail=metadata"];

/// Opens streams of a reader of metadata and of a reader of everything, writes a secret, and returns what the streams sent of it to
/// each of the two.
pub async fn follow(served: &Served, known: &Known, secret: &Secret) -> (Answers, Answers) {
    let mut open = Vec::new();
    let from = known.end();
    for actor in ["user:meta", "user:root"] {
        for query in QUERIES {
            let path = format!("/live/audit?from={from}&{query}");
            let request = served.request(reqwest::Method::GET, &path).header("annals-actor", actor);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            open.push((actor, query, response));
        }
    }
    // All streams have read what is stored, and wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    served.annals.execute(vault::storing("99", secret), &vault::by("ann")).await.unwrap();
    let (mut of_metadata, mut in_full) = (Answers::new(), Answers::new());
    for (actor, query, mut response) in open {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\n\n") || !bytes.windows(7).any(|it| it == b"file:99") {
            let chunk = tokio::time::timeout(Duration::from_secs(30), response.chunk()).await.expect("a row");
            bytes.extend(chunk.unwrap().expect("an open stream"));
        }
        let text = String::from_utf8_lossy(&bytes);
        let metadata = actor == "user:meta" || query.starts_with("detail");
        assert_eq!(
            text.contains("[redacted]") && text.contains("\"detail\":\"metadata\""),
            metadata,
            "{query}: {text}"
        );
        // Heartbeats come when they come.
        let bytes = text
            .lines()
            .filter(|line| *line != ":" && !line.is_empty())
            .flat_map(|line| line.bytes().chain(*b"\n"))
            .collect();
        let answers = if metadata { &mut of_metadata } else { &mut in_full };
        let of = if actor == "user:root" { " of a reader of everything" } else { "" };
        answers.insert(format!("LIVE /live/audit {query}{of}"), Answered { status: 200, bytes });
    }
    (of_metadata, in_full)
}
