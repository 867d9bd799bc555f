//! Pages, depth, time, bad input and rights.

use std::collections::BTreeSet;

use annals::app::{AccessContext, Ask, Denial, Detail};
use annals::prelude::*;
use annals::projections::RangeBound;
use annals::projections::provenance::{AttributeValue, Document, ProvenanceError, StatementKind as Kind};
use annals_test_postgres::Place;
use jiff::Timestamp;

use crate::lab::*;

/// Writes `in1` … `in<count>`, and `out` from them one by one.
async fn chain(annals: &Annals, count: u64) {
    for input in 1..=count {
        write(annals, &by("ann"), &[(&*format!("in{input}"), vec![from(&[])])]).await;
        write(annals, &by("ann"), &[("out", vec![from(&[&format!("note:in{input}")])])]).await;
    }
}

/// The relations of a document.
fn stated(document: &Document) -> BTreeSet<String> {
    let kinds = Kind::ALL.into_iter().filter(|kind| !kind.is_node());
    kinds.flat_map(|kind| relations(document, kind).into_iter().map(move |it| format!("{kind} {it}"))).collect()
}

pub async fn a_page_ends_at_its_limit_and_the_next_one_continues(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    chain(&annals, 12).await;
    for forwards in [false, true] {
        let direction = |query: annals::projections::provenance::ProvenanceQuery| {
            if forwards { query.forwards() } else { query }
        };
        let note = if forwards { "in1" } else { "out" };
        let whole = document(direction(of(&annals, note).await.depth(9))).await;
        let all: BTreeSet<String> = stated(&whole);
        for limit in [1, 2, 7] {
            let pages = pages(direction(of(&annals, note).await.depth(9).limit(limit))).await;
            assert!(pages.len() > 1, "{}", pages.len());
            let mut found = BTreeSet::new();
            for page in &pages {
                for relation in stated(&page.document) {
                    assert!(found.insert(relation.clone()), "{relation} is on two pages");
                }
            }
            assert_eq!(found, all, "forwards {forwards}, pages of {limit}");
        }
    }
    annals.close().await;
}

pub async fn what_is_deeper_or_too_much_is_named_and_not_followed(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("z", vec![from(&[])])]).await;
    write(&annals, &by("ann"), &[("y", vec![from(&["note:z"])])]).await;
    write(&annals, &by("ann"), &[("x", vec![from(&["note:y"])])]).await;
    let shallow = of(&annals, "x").await.depth(1).page().await.unwrap();
    assert_eq!((shallow.limits(), shallow.next.is_none()), (vec!["deeper"], true));
    // The edge has a label and nothing else.
    let edge = shallow.document.statements.iter().find(|it| it.id.as_deref() == Some("log:note/z@1")).unwrap();
    assert_eq!(edge.attributes, [("prov:label", AttributeValue::Text("note:z after its event 1".to_owned()))]);
    let deep = of(&annals, "x").await.depth(2).page().await.unwrap();
    assert_eq!(deep.limits(), Vec::<&str>::new());
    // More came of one version than is followed; of the thing itself, pages show everything.
    write(&annals, &by("ann"), &[("w", vec![from(&["note:x"])])]).await;
    let many = 600;
    for number in 0..many {
        write(&annals, &by("ann"), &[(&*format!("v{number}"), vec![from(&["note:w"])])]).await;
    }
    let of_it = pages(of(&annals, "w").await.forwards().depth(2).limit(50)).await;
    let made: usize = of_it.iter().map(|page| relations(&page.document, Kind::WasGeneratedBy).len()).sum();
    assert_eq!(made, many + 1);
    assert!(of_it.iter().all(|page| !page.unfollowed));
    let of_another = pages(of(&annals, "x").await.forwards().depth(2)).await;
    assert!(of_another.iter().any(|page| page.unfollowed), "it is not silent");
    let cursor = of_another.iter().filter_map(|page| page.next.as_ref()).map(|next| next.to_string().len()).max();
    assert!(cursor.is_some_and(|length| length < 8_000), "{cursor:?}");
    annals.close().await;
}

pub async fn what_is_reached_and_not_yet_shown_is_bounded(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let notes: Vec<String> = (0..800).map(|number| format!("n{number}")).collect();
    for some in notes.chunks(200) {
        let some: Vec<_> = some.iter().map(|note| (note.as_str(), vec![from(&[])])).collect();
        write(&annals, &by("ann"), &some).await;
    }
    for some in notes.chunks(200) {
        let sources: Vec<String> = some.iter().map(|note| format!("note:{note}")).collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        write(&annals, &by("ann"), &[("out", vec![from(&sources)])]).await;
    }
    let all = pages(of(&annals, "out").await.depth(9).limit(60)).await;
    assert!(all.iter().any(|page| page.unfollowed), "it is not silent");
    let cursors = all.iter().filter_map(|page| page.next.as_ref()).map(|next| next.to_string().len());
    assert!(cursors.max().is_some_and(|length| length < 8_000));
    let made: BTreeSet<String> =
        all.iter().flat_map(|page| relations(&page.document, Kind::WasGeneratedBy)).collect();
    assert!((500..804).contains(&made.len()), "{}", made.len());
    annals.close().await;
}

pub async fn as_of_an_earlier_position_or_time_later_events_do_not_exist(place: &Place) {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let seconds = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock = seconds.clone();
    let clock = move || begin + jiff::SignedDuration::from_secs(clock.load(std::sync::atomic::Ordering::SeqCst));
    let annals = app().clock(clock).open(place.url()).await.unwrap();
    for input in 1..=6 {
        let source = format!("note:in{}", input % 3);
        write(&annals, &by("ann"), &[("out", vec![from(&[&source])]), (&source[5..], vec![from(&[])])]).await;
        seconds.fetch_add(60, std::sync::atomic::Ordering::SeqCst);
    }
    let log = annals.events(0, 100).await.unwrap().events;
    for event in &log {
        let bounds = [RangeBound::Position(event.position), RangeBound::Id(event.event_id)];
        for (bound, forwards) in bounds.into_iter().flat_map(|bound| [(bound, false), (bound, true)]) {
            let query = of(&annals, "out").await.at(bound).depth(64).limit(3);
            let query = if forwards { query.forwards() } else { query };
            let own = log.iter().filter(|it| it.aggregate == thing("out") && it.position <= event.position).count();
            let mut found = 0;
            for page in pages(query).await {
                for statement in page.document.statements {
                    let is_own = statement.id.as_deref().is_some_and(|id| id.starts_with("log:note/out@"));
                    for (name, value) in &statement.attributes {
                        if let ("annals:position", AttributeValue::Number(position)) = (*name, value) {
                            assert!(*position <= event.position, "{position} at {bound}");
                            found += usize::from(is_own);
                        }
                    }
                }
            }
            assert_eq!(found, own, "at {bound}, forwards {forwards}");
        }
    }
    // All of a minute are recorded at one time.
    let third = RangeBound::Time(begin + jiff::SignedDuration::from_secs(120));
    let then = document(of(&annals, "out").await.at(third)).await;
    let versions = relations(&then, Kind::SpecializationOf);
    assert!(versions.contains(&"note/out@3 note/out".to_owned()), "{versions:?}");
    assert!(!versions.contains(&"note/out@4 note/out".to_owned()), "{versions:?}");
    annals.close().await;
}

pub async fn ten_thousand_sources_of_one_event_are_bounded(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let sources: Vec<Ref> = (0..10_000).map(|number| Ref::new("file", &format!("{number}")).unwrap()).collect();
    let event = NoteEvent::Written { from: sources, shown: None };
    write(&annals, &by("ann"), &[("a", vec![event])]).await;
    let document = document(of(&annals, "a").await).await;
    let derived = relations(&document, Kind::WasDerivedFrom);
    assert_eq!(derived.len(), 1_024);
    assert!(derived.iter().any(|it| it.contains("note/a@1 file/1023 ")), "the first ones");
    let said = document
        .statements
        .iter()
        .flat_map(|it| &it.attributes)
        .any(|(name, value)| *name == "annals:sourcesNamed" && *value == AttributeValue::Number(1_024));
    assert!(said, "it says that it is cut");
    // A source that never existed can be asked for: what came of it?
    let file: Ref = "file:7".parse().unwrap();
    let page = annals.provenance(&file).forwards().page().await.unwrap();
    assert_eq!(relations(&page.document, Kind::WasDerivedFrom).len(), 1_024);
    let unknown = annals.provenance(&"file:unknown".parse().unwrap()).page().await.unwrap();
    assert!(unknown.document.statements.is_empty() && unknown.next.is_none());
    annals.close().await;
}

pub async fn bad_queries_are_refused(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    chain(&annals, 3).await;
    let refused = |query: annals::projections::provenance::ProvenanceQuery| async move {
        query.page().await.expect_err("refused").to_string()
    };
    assert!(refused(of(&annals, "out").await.depth(0)).await.contains("1 to 64"));
    assert!(refused(of(&annals, "out").await.depth(65)).await.contains("1 to 64"));
    assert!(refused(of(&annals, "out").await.limit(0)).await.contains("limit of 0"));
    let next = of(&annals, "out").await.limit(1).page().await.unwrap().next.unwrap();
    let others = [
        of(&annals, "in1").await.cursor(next.clone()),
        of(&annals, "out").await.forwards().cursor(next.clone()),
        of(&annals, "out").await.depth(4).cursor(next.clone()),
        of(&annals, "out").await.at(RangeBound::Position(3)).cursor(next),
    ];
    for other in others {
        assert!(refused(other).await.contains("another query"));
    }
    annals.close().await;
}

/// Mission X16, Guarantee 26: a source that only the payload names is a value of it.
pub async fn a_reader_sees_the_events_of_what_it_may_audit_and_no_values_in_metadata(place: &Place) {
    let rights = |access: &AccessContext<'_>, ask: &Ask<'_>| {
        let of = |all: &[Ref], one: &str| all.iter().all(|it| *it == thing(one)) && !all.is_empty();
        match (access.actor().id(), ask) {
            ("root", _) | (_, Ask::Command { .. }) => Ok(()),
            ("meta", Ask::Audit { detail: Detail::Metadata, .. }) => Ok(()),
            ("one", Ask::Audit { targets, .. }) if of(targets, "out") => Ok(()),
            _ => Err(Denial::because("no")),
        }
    };
    let annals = app().authorise(rights).open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("secret", vec![from(&[])]), ("shown", vec![from(&[])])]).await;
    let event = NoteEvent::Written {
        from: vec![thing("secret"), Ref::new("file", "secret").unwrap()],
        shown: Some(note("shown")),
    };
    write(&annals, &by("ann"), &[("out", vec![event])]).await;
    let head = annals.store().head().await.unwrap();
    let page = async |actor: &str, id: &str, forwards: bool| {
        let query = annals.read_as(&by(actor)).provenance(&thing(id)).after(head);
        let query = if forwards { query.forwards() } else { query };
        query.page().await
    };
    let whole = page("root", "out", false).await.unwrap();
    assert_eq!((whole.detail, whole.withheld), (Detail::Full, false));
    assert_eq!(relations(&whole.document, Kind::WasDerivedFrom).len(), 3);
    let metadata = page("meta", "out", false).await.unwrap();
    assert_eq!(metadata.detail, Detail::Metadata);
    assert_eq!(relations(&metadata.document, Kind::WasDerivedFrom).len(), 1);
    assert!(!metadata.document.to_prov_n().contains("secret"), "{}", metadata.document.to_prov_n());
    let ahead = page("meta", "secret", true).await.unwrap();
    assert!(!ahead.document.to_prov_n().contains("note/out"), "{}", ahead.document.to_prov_n());
    // The events of other things are not this reader's: their names at the edge are.
    let own = page("one", "out", false).await.unwrap();
    assert!(own.withheld);
    assert_eq!(relations(&own.document, Kind::WasDerivedFrom).len(), 3);
    assert_eq!(relations(&own.document, Kind::WasGeneratedBy).len(), 1);
    assert!(matches!(page("one", "secret", false).await, Err(ProvenanceError::Denied(_))));
    assert!(matches!(page("nobody", "out", false).await, Err(ProvenanceError::Denied(_))));
    annals.close().await;
}

/// Mission X16. What was read is a value of its record.
pub async fn a_reader_of_metadata_does_not_see_who_read_what(place: &Place) {
    let rights = |access: &AccessContext<'_>, ask: &Ask<'_>| match (access.actor().id(), ask) {
        ("meta", Ask::Audit { detail, .. }) if *detail == Detail::Full => Err(Denial::because("no")),
        // She may read the notes, and not the records of reads.
        ("other", Ask::Audit { targets, .. }) if targets.iter().any(|target| target.kind() != "note") => {
            Err(Denial::because("no"))
        }
        _ => Ok(()),
    };
    let annals = app().authorise(rights).record_reads().open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("a", vec![from(&[])])]).await;
    crate::recorded(&annals, annals.read_as(&by("eve")).json_state(&thing("a"), None)).await.unwrap();
    let record = annals.store().head().await.unwrap();
    let page = async |actor: &str| {
        let query = annals.read_as(&by(actor)).provenance(&thing("a")).forwards().at(RangeBound::Position(2));
        query.after(record).page().await.unwrap()
    };
    let (whole, metadata, other) = (page("root").await, page("meta").await, page("other").await);
    assert!(whole.document.to_prov_n().contains("user/eve"), "{}", whole.document.to_prov_n());
    assert_eq!(metadata.detail, Detail::Metadata);
    // Not even that there is something that it does not see.
    assert!(
        !metadata.document.to_prov_n().contains("user/eve") && !metadata.document.to_prov_n().contains("View/"),
        "{}",
        metadata.document.to_prov_n()
    );
    assert!(!metadata.withheld && !metadata.deeper && metadata.next.is_none());
    assert!(other.withheld && !other.document.to_prov_n().contains("user/eve"), "{}", other.document.to_prov_n());
    annals.close().await;
}

pub async fn without_provenance_nothing_is_kept(place: &Place) {
    let annals = App::new("lab").command::<WriteNotes>().open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("a", vec![from(&["note:b"])])]).await;
    assert!(!annals.keeps_provenance());
    let names: Vec<String> = annals.projections().await.unwrap().into_iter().map(|it| it.name).collect();
    assert!(!names.contains(&"provenance".to_owned()), "{names:?}");
    assert!(matches!(annals.provenance(&thing("a")).page().await, Err(ProvenanceError::Off)));
    annals.close().await;
    // What was written before is in it when it is turned on.
    let annals = app().open(place.url()).await.unwrap();
    assert_eq!(relations(&document(of(&annals, "a").await).await, Kind::WasDerivedFrom).len(), 1);
    annals.close().await;
}
