//! The check of a whole log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bench::{Bench, append, commit, committed, log};
use crate::events::{Action, Declaration, Event, Ref, Types};
use crate::store::check::check;
use crate::store::{FindingKind, LogDigest};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counted {
    by: u64,
}

static COUNTED: Declaration = Declaration {
    event_type: "tally.counted",
    version: 1,
    action: Action::Update,
    sentence: "{actor} counted",
    topics: &["tally"],
    fields: &[],
    was: &[],
    upcasts: &[],
};

impl cqrs_es::DomainEvent for Counted {
    fn event_type(&self) -> String {
        COUNTED.event_type.to_owned()
    }

    fn event_version(&self) -> String {
        COUNTED.version_text()
    }
}

impl Event for Counted {
    fn declarations() -> Vec<&'static Declaration> {
        vec![&COUNTED]
    }

    fn lookup(event_type: &str) -> Option<&'static Declaration> {
        (event_type == COUNTED.event_type).then_some(&COUNTED)
    }

    fn declaration(&self) -> &'static Declaration {
        &COUNTED
    }

    fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn decode(_: &str, payload: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error> {
        Ok(Vec::new())
    }

    fn targets(&self) -> Vec<Ref> {
        Vec::new()
    }
}

fn types() -> Types {
    let mut types = Types::default();
    types.add::<Counted>("tally").expect("one type");
    types
}

/// Mission J9.
pub(super) async fn an_intact_log_passes_the_check(bench: Bench) {
    let store = bench.open().await;
    let report = check(&*store, &types(), None, &mut (), &mut |_, _| {}).await.expect("a report");
    assert!(report.is_sound() && report.events == 0, "{report:?}");
    for number in 0..30 {
        let commits = [
            commit(number * 2).on("tally:a", number as u64 * 50, 50),
            commit(number * 2 + 1).on(&format!("tally:{number}"), 0, 7),
        ];
        append(&*store, commits).await;
    }
    let mut received = Vec::new();
    let report =
        check(&*store, &types(), None, &mut (), &mut |at, head| received.push((at, head))).await.expect("a report");
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.events, report.head), (1_710, store.head().await.unwrap()));
    assert_eq!(received.last(), Some(&(1_710, 1_710)));
    assert!(received.len() > 1, "progress is reported along the way");
}

/// A digest that was saved elsewhere covers the position, id, time of recording and digest of each event, in order.
pub(super) async fn the_digest_of_a_log_covers_each_event_in_order(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 3)).await;
    let checked = async |kept| check(&*store, &types(), kept, &mut (), &mut |_, _| {}).await.expect("a report");
    let kept = checked(None).await.digest.expect("a digest");
    let mut chain = [0; 32];
    for stored in log(&*store).await {
        let mut hash = Sha256::new();
        hash.update(chain);
        hash.update(stored.position.to_le_bytes());
        hash.update(stored.event_id.as_bytes());
        hash.update(stored.recorded_at.as_microsecond().to_le_bytes());
        hash.update(stored.digest);
        chain = hash.finalize().into();
    }
    assert_eq!((kept.position, kept.digest.as_bytes()), (3, &chain));
    committed(&*store, commit(2).on("tally:a", 3, 1)).await;
    let later = checked(Some(kept)).await;
    assert!(later.is_sound() && later.digest != Some(kept), "the log has more events: {later:#?}");
    assert!(checked(Some(LogDigest::default())).await.is_sound(), "the digest of an empty log matches every log");
    for wrong in
        [LogDigest { position: 4, ..kept }, LogDigest { position: 9, ..kept }, LogDigest { position: 0, ..kept }]
    {
        let report = checked(Some(wrong)).await;
        assert_eq!(report.kinds.get(&FindingKind::Log), Some(&1), "{wrong}: {report:#?}");
    }
}

/// Mission J9: each event that cannot be decoded is reported.
pub(super) async fn events_that_this_program_cannot_decode_are_reported(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    committed(&*store, commit(2).events("tally:a", 1, &["tally.unheard"])).await;
    committed(&*store, commit(3).payload("tally:a", 2, "1.0", r#"{"by":"many"}"#)).await;
    committed(&*store, commit(4).payload("tally:a", 3, "2.0", r#"{"by":1}"#)).await;
    committed(&*store, commit(5).on("tally:a", 4, 1).metadata(r#"{"actor":"user:alice","correlation":5}"#)).await;
    committed(&*store, commit(6).on("other:a", 0, 1)).await;
    committed(&*store, commit(7).payload("tally:a", 5, "0.0", r#"{"by":1}"#)).await;
    let report = check(&*store, &types(), None, &mut (), &mut |_, _| {}).await.expect("a report");
    let positions: Vec<_> = report.findings.iter().filter_map(|finding| finding.position).collect();
    assert_eq!(positions, [2, 3, 4, 5, 6, 7], "{report:#?}");
    assert_eq!((report.events, report.more), (7, 0));
    // The events are as they were written: the program lacks a declaration.
    assert!(report.findings.iter().all(|finding| finding.kind == FindingKind::Program), "{report:#?}");
    let verdict = report.verdict().expect("a verdict");
    assert!(verdict.contains("this program cannot read") && !verdict.contains("the log is not"), "{verdict}");
    let upcaster = &report.findings[5].problem;
    assert!(upcaster.contains("has no upcaster"), "{upcaster}");
    let problem = &report.findings[0].problem;
    assert!(problem.contains("tally.unheard"), "{problem}");
}
