//! Pages, loads and look-ups.

use super::bench::{Bench, aggregate, append, commit, committed, id, log};
use crate::events::{LogPosition, Stored};
use crate::store::{Interest, Store};

fn positions(events: &[Stored]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}

fn only(types: &[&str]) -> Interest {
    Interest::EventTypes(types.iter().map(|name| (*name).to_owned()).collect())
}

/// Appends commits of 10 events: few of type `rare` among many of `common`.
async fn mixed(store: &dyn Store, commits: u64) {
    for number in 0..commits {
        let mut types = ["tally.common"; 10];
        if number % 20 == 7 {
            types[3] = "tally.rare";
        }
        committed(store, commit(number.into()).events("tally:a", number * 10, &types)).await;
    }
}

pub(super) async fn an_empty_log_has_no_events_and_a_nil_head(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(store.head().await.unwrap(), LogPosition::default());
    assert_eq!(*store.watch().borrow(), LogPosition::default());
    let page = store.read(0, 10, &Interest::All).await.unwrap();
    assert_eq!((page.events.len(), page.to), (0, LogPosition::default()));
    assert_eq!(store.read_at(&[0, 1]).await.unwrap(), []);
    assert_eq!(store.load(&aggregate("tally:a"), 0, 10).await.unwrap(), []);
    assert_eq!(store.find_commands(&[id(1)]).await.unwrap(), [None]);
    assert_eq!(store.views().load_snapshot(&aggregate("tally:a")).await.unwrap(), None);
}

/// Mission P12: no event twice and none missing, for every page size.
pub(super) async fn pages_concatenate_to_the_whole_log(bench: Bench) {
    let store = bench.open().await;
    mixed(&*store, 5).await;
    let whole = log(&*store).await;
    for limit in [1, 7, 10, 49, 50, 51] {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let page = store.read(after, limit, &Interest::All).await.unwrap();
            assert!(page.events.len() <= limit);
            let last = page.events.last().map(Stored::head);
            assert_eq!(
                page.to,
                last.unwrap_or(whole[49].head()),
                "a page has the position up to which it is complete"
            );
            if page.events.is_empty() {
                break;
            }
            after = page.to.position;
            read.extend(page.events);
        }
        assert_eq!(read, whole, "limit {limit}");
    }
}

/// Guarantee 21.
pub(super) async fn a_reader_of_few_event_types_gets_all_of_them_and_its_position(bench: Bench) {
    let store = bench.open().await;
    mixed(&*store, 100).await;
    let whole = log(&*store).await;
    let head = store.head().await.unwrap();
    for (types, limit) in [
        (vec!["tally.rare"], 1),
        (vec!["tally.rare"], 2),
        (vec!["tally.rare"], 100),
        (vec!["tally.rare", "tally.common"], 30),
        (vec!["tally.other"], 10),
        (vec!["tally.rare", "tally.rare", "tally.other"], 3),
        (vec![], 10),
    ] {
        let interest = only(&types);
        let wanted: Vec<u64> =
            positions(&whole.iter().filter(|event| interest.wants(event)).cloned().collect::<Vec<_>>());
        let (mut read, mut after) = (Vec::new(), 0);
        while after < head.position {
            let page = store.read(after, limit, &interest).await.unwrap();
            assert!(page.events.len() <= limit);
            if page.events.len() < limit {
                assert_eq!(page.to, head, "no further event is wanted up to the head");
            } else {
                assert_eq!(
                    page.to,
                    page.events[limit - 1].head(),
                    "after a full page further events may be wanted"
                );
            }
            after = page.to.position;
            read.extend(page.events);
        }
        assert_eq!(positions(&read), wanted, "{types:?} by {limit}");
    }
}

/// Guarantee 21: an event committed between reading the head and the page is not skipped.
pub(super) async fn a_reader_of_few_event_types_skips_none_during_appends(bench: Bench) {
    let store = bench.open().await;
    let other = bench.open().await;
    let writer = tokio::spawn(async move {
        for number in 0..300 {
            let event_type = if number % 3 == 0 { "tally.rare" } else { "tally.common" };
            committed(&*other, commit(number.into()).events("tally:a", number, &[event_type])).await;
        }
    });
    let (mut read, mut after) = (Vec::new(), 0);
    loop {
        let last_round = writer.is_finished();
        let page = store.read(after, 5, &only(&["tally.rare"])).await.unwrap();
        let new = page.to.position > after;
        after = page.to.position;
        read.extend(positions(&page.events));
        if last_round && !new {
            break;
        }
    }
    writer.await.expect("the writer");
    assert_eq!(read, (0..100).map(|number| number * 3 + 1).collect::<Vec<u64>>());
}

pub(super) async fn events_are_found_by_position(bench: Bench) {
    let store = bench.open().await;
    mixed(&*store, 2).await;
    let found = store.read_at(&[20, 3, 3, 0, 21, 1, u64::MAX]).await.unwrap();
    assert_eq!(positions(&found), [1, 3, 20]);
    assert_eq!(found[1], log(&*store).await[2]);
    assert_eq!(store.read_at(&[]).await.unwrap(), []);
}

/// The memory of a reader does not depend on the size of events.
pub(super) async fn a_read_within_a_number_of_bytes_ends_with_the_event_that_reaches_it(bench: Bench) {
    let store = bench.open().await;
    mixed(&*store, 10).await;
    let whole = log(&*store).await;
    let size = |position: u64| whole[position as usize - 1].text_bytes();
    let within = async |asked: &[u64], bytes| positions(&store.read_within(asked, bytes).await.unwrap());
    let asked = [20, 3, 0, 90, 1_000, 1, u64::MAX, 55];
    assert_eq!(within(&asked, usize::MAX).await, [20, 3, 90, 1, 55]);
    assert_eq!(within(&asked, size(20) + size(3) + 1).await, [20, 3, 90]);
    assert_eq!(within(&asked, size(20) + size(3)).await, [20, 3]);
    assert_eq!(within(&asked, 1).await, [20]);
    assert_eq!(within(&[], 1).await, [0; 0]);
    let all: Vec<u64> = (1..=100).rev().collect();
    assert_eq!(within(&all, usize::MAX).await, all);
    let half: usize = all[..50].iter().map(|position| size(*position)).sum();
    assert_eq!(within(&all, half).await, all[..50]);
    assert_eq!(store.read_within(&[7], 1).await.unwrap(), [whole[6].clone()]);
}

/// The memory of a projection does not depend on the size of events: small ones may be followed by large ones.
pub(super) async fn a_page_within_a_number_of_bytes_ends_with_the_event_that_reaches_it(bench: Bench) {
    let store = bench.open().await;
    mixed(&*store, 8).await;
    for number in 0..6 {
        let large = format!(r#"{{"by":{number},"note":"{}"}}"#, "n".repeat(20_000));
        let commit = commit(9_000 + number).payload("tally:large", number as u64, "1.0", &large);
        committed(&*store, commit).await;
    }
    committed(&*store, commit(9_100).events("tally:b", 0, &["tally.common", "tally.rare", "tally.common"])).await;
    let whole = log(&*store).await;
    let head = whole.last().map(Stored::head).unwrap();
    for interest in [Interest::All, only(&["tally.rare"]), only(&["tally.rare", &whole[81].event_type]), only(&[])]
    {
        let wanted: Vec<&Stored> = whole.iter().filter(|stored| interest.wants(stored)).collect();
        for bytes in [1, 500, 20_000, 30_000, usize::MAX] {
            let (mut read, mut after) = (Vec::new(), 0);
            loop {
                let page = store.read_bounded(after, 7, bytes, &interest).await.unwrap();
                let sizes: Vec<usize> = page.events.iter().map(Stored::text_bytes).collect();
                let before_last = sizes.iter().rev().skip(1).sum::<usize>();
                assert!(sizes.len() <= 7 && before_last < bytes, "{interest:?} {bytes}: {sizes:?}");
                let full = sizes.len() == 7 || sizes.iter().sum::<usize>() >= bytes;
                assert!(full || page.to == head, "{interest:?} {bytes}: a short page ends at the head");
                read.extend(page.events);
                if page.to.position <= after {
                    break;
                }
                after = page.to.position;
            }
            assert_eq!(read.iter().collect::<Vec<_>>(), wanted, "{interest:?} {bytes}");
        }
    }
}

pub(super) async fn an_aggregate_is_loaded_in_pages_from_a_sequence_on(bench: Bench) {
    let store = bench.open().await;
    append(&*store, [commit(1).on("tally:a", 0, 5), commit(2).on("tally:b", 0, 3), commit(3).on("tally:a", 5, 5)])
        .await;
    let sequences = async |name: &str, after, limit| {
        let events = store.load(&aggregate(name), after, limit).await.unwrap();
        assert!(events.iter().all(|event| event.aggregate == aggregate(name)));
        events.iter().map(|event| event.sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences("tally:a", 0, 100).await, (1..=10).collect::<Vec<_>>());
    assert_eq!(sequences("tally:a", 3, 4).await, [4, 5, 6, 7]);
    assert_eq!(sequences("tally:a", 10, 4).await, [0; 0]);
    assert_eq!(sequences("tally:b", 0, usize::MAX).await, [1, 2, 3]);
    assert_eq!(sequences("tally:c", 0, 100).await, [0; 0]);
}

/// The memory of a decision does not depend on the size of events.
pub(super) async fn a_load_within_a_number_of_bytes_ends_with_the_event_that_reaches_it(bench: Bench) {
    let store = bench.open().await;
    append(
        &*store,
        [commit(1).on("tally:a", 0, 12), commit(2).on("tally:b", 0, 3), commit(3).on("tally:a", 12, 9)],
    )
    .await;
    let whole = store.load(&aggregate("tally:a"), 0, 100).await.unwrap();
    let size = |events: std::ops::Range<usize>| whole[events].iter().map(Stored::text_bytes).sum::<usize>();
    let within = async |after: u64, limit, bytes| {
        let events = store.load_within(&aggregate("tally:a"), after, limit, bytes).await.unwrap();
        let from = usize::try_from(after).unwrap();
        assert_eq!(events, whole[from..from + events.len()]);
        events.len()
    };
    assert_eq!(within(0, 100, usize::MAX).await, 21);
    assert_eq!(within(0, 7, usize::MAX).await, 7);
    assert_eq!(within(21, 7, usize::MAX).await, 0);
    for many in [1, 3, 4, 5, 9, 20] {
        assert_eq!(within(0, 100, size(0..many)).await, many);
        assert_eq!(within(0, 100, size(0..many) + 1).await, many + 1);
        assert_eq!(within(0, many, size(0..many) + 1).await, many);
    }
    assert_eq!(within(5, 100, size(5..8)).await, 3);
    assert_eq!(within(5, 100, 1).await, 1);
    assert_eq!(store.load_within(&aggregate("tally:c"), 0, 9, 1).await.unwrap(), []);
}

/// Guarantee 12: names are compared byte by byte.
pub(super) async fn aggregates_with_similar_names_are_separate(bench: Bench) {
    let store = bench.open().await;
    let names = [
        "tally:a/b",
        "tally:A/b",
        "tally:a/bc",
        "tally:ä",
        "tally:a\u{308}",
        "tally:1",
        "tally:01",
        "tally:%",
        "other:a/b",
    ];
    let commits = names.iter().zip(1..).map(|(name, number)| commit(number).on(name, 0, 1));
    append(&*store, commits).await;
    for (name, position) in names.iter().zip(1..) {
        let events = store.load(&aggregate(name), 0, 10).await.unwrap();
        assert_eq!(positions(&events), [position], "{name}");
    }
}

pub(super) async fn commands_are_found_by_id_in_the_given_order(bench: Bench) {
    let store = bench.open().await;
    let one = committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    let two = committed(&*store, commit(2).on("tally:a", 2, 1)).await;
    let known = store.find_commands(&[id(2), id(9), id(1), id(2)]).await.unwrap();
    let receipts: Vec<_> = known.iter().map(|known| known.as_ref().map(|known| known.receipt.head)).collect();
    assert_eq!(receipts, [Some(two.head), None, Some(one.head), Some(two.head)]);
    let known = known[0].clone().expect("it is known");
    assert!(known.receipt.repeated);
    assert_eq!(known.body_digest, *commit(2).done().body_digest());
}
