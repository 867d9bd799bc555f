//! What a new program rebuilds of the rows of an older one, and which rows it keeps.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_event_type_rebuilds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let writer = first(directory.path(), 2_500).await;
    let new = program::<MORE>(directory.path()).await;
    assert_eq!(new.at(), [5_000; 2], "the first answer needs no waiting");
    assert_eq!(new.counted("house/bulb").await, [5_000; 2]);
    new.settled().await;
    assert_eq!(new.applied(), [0; 4]);
    writer.append((0..10).map(broke).collect()).await;
    new.settled().await;
    assert_eq!(new.applied(), [10; 4], "new events are applied");
    assert_eq!(new.counted("house/bulb").await, [5_010; 2]);
    compare_with_a_rebuild(&new).await;
    new.close().await;
    // The same with events of that type in the log.
    let again = program::<MORE>(directory.path()).await;
    assert_eq!(again.at(), [5_010; 2]);
    again.settled().await;
    assert_eq!(again.applied(), [0; 4]);
    again.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reworded_sentence_rebuilds_nothing_and_is_read_at_once() {
    let directory = tempfile::tempdir().unwrap();
    first(directory.path(), 20).await;
    let new = program::<REWORDED>(directory.path()).await;
    assert_eq!(new.at(), [40; 2]);
    assert_eq!(new.audit().page().await.unwrap().rows[0].sentence, "user:tester did it");
    new.settled().await;
    assert_eq!(new.applied(), [0; 4]);
    new.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_topic_rebuilds_only_the_projections_that_use_it() {
    let directory = tempfile::tempdir().unwrap();
    let writer = first(directory.path(), 20).await;
    let new = program::<MOVED>(directory.path()).await;
    new.settled().await;
    assert_eq!(new.applied(), [40, 0, 40, 0], "the audit log and the metrics, not the view and the names");
    assert_eq!((new.counted("house/bulb").await, new.counted("house/light").await), ([20; 2], [20; 2]));
    compare_with_a_rebuild(&new).await;
    new.close().await;

    // A declaration of a type without events in the log changes nothing.
    for events in [0, 3] {
        let more = program::<MORE>(directory.path()).await;
        if events > 0 {
            writer.append((0..events).map(broke).collect()).await;
        }
        more.settled().await;
        more.close().await;
        let moved = program::<RARE_MOVED>(directory.path()).await;
        moved.settled().await;
        let rebuilt = if events == 0 { 0 } else { 43 };
        assert_eq!(moved.applied(), [rebuilt, 0, rebuilt, 0]);
        assert_eq!(moved.counted("house/waste").await, [events; 2]);
        moved.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_action_or_name_rebuilds_the_projections_that_use_it() {
    let directory = tempfile::tempdir().unwrap();
    first(directory.path(), 20).await;
    let acted = program::<ACTED>(directory.path()).await;
    acted.settled().await;
    assert_eq!(acted.applied(), [40, 0, 0, 0], "the metrics keep no action");
    compare_with_a_rebuild(&acted).await;
    acted.close().await;
    let renamed = program::<RENAMED>(directory.path()).await;
    renamed.settled().await;
    assert_eq!(renamed.applied(), [40, 0, 40, 0], "views and names are made of events, not of their names");
    let page = renamed.audit().event("bulb.turned_down").limit(100).page().await.unwrap();
    assert_eq!(page.rows.len(), 20);
    renamed.close().await;
}

/// Guarantee 22: an old and a new program side by side, each restarted: neither rebuilds in turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_and_a_new_program_side_by_side_rebuild_nothing_in_turns() {
    let directory = tempfile::tempdir().unwrap();
    let writer = first(directory.path(), 20).await;
    let (old, new) = (program::<FIRST>(directory.path()).await, program::<MORE>(directory.path()).await);
    for program in [&old, &new] {
        program.settled().await;
        assert_eq!((program.applied(), program.at()), ([0; 4], [40; 2]));
    }
    writer.append(evening(1)).await;
    writer.append(vec![broke(0)]).await;
    new.settled().await;
    assert_eq!(new.counted("house/bulb").await, [43; 2]);
    // The old program has the views of the types it knows, and refers to a newer program for the rest.
    let head = old.store.head().await.unwrap();
    old.has_settled(&["bulbs", DisplayNames::NAME]).await;
    let error = old.audit().after(head).newest_first().page().await.unwrap_err();
    assert!(matches!(error, AuditError::Read(ReadError::Waiting { .. })), "{error:?}");
    assert!(error.to_string().contains("bulb.broke"), "{error}");
    assert_eq!(old.audit().event("bulb.lit").limit(100).page().await.unwrap().rows.len(), 21);
    old.applied();
    new.applied();
    old.close().await;
    new.close().await;
    for round in 0..2 {
        let old = program::<FIRST>(directory.path()).await;
        old.has_settled(&["bulbs", DisplayNames::NAME]).await;
        assert_eq!(old.applied(), [0; 4], "round {round}");
        let new = program::<MORE>(directory.path()).await;
        new.settled().await;
        assert_eq!(new.applied(), [0; 4], "round {round}");
        old.close().await;
        compare_with_a_rebuild(&new).await;
        new.close().await;
    }
}

/// Two programs with different declarations of a new event type share rows until the first event of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_with_different_declarations_of_a_new_type_get_separate_rows() {
    let directory = tempfile::tempdir().unwrap();
    let writer = first(directory.path(), 20).await;
    let (more, moved) = (program::<MORE>(directory.path()).await, program::<RARE_MOVED>(directory.path()).await);
    writer.append(vec![broke(1)]).await;
    more.has_settled(&[Metrics::NAME]).await;
    moved.close().await;
    more.close().await;
    let (more, moved) = (program::<MORE>(directory.path()).await, program::<RARE_MOVED>(directory.path()).await);
    more.settled().await;
    moved.settled().await;
    assert_eq!((more.counted("house/bulb").await, moved.counted("house/bulb").await), ([41; 2], [40; 2]));
    assert_eq!(moved.counted("house/waste").await, [1; 2]);
    moved.close().await;
    compare_with_a_rebuild(&more).await;
    more.close().await;
}

/// Another program continued the rows with this program's version, and declares the later events differently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_whose_rows_another_one_changed_rebuilds_once() {
    let directory = tempfile::tempdir().unwrap();
    let old = program::<FIRST>(directory.path()).await;
    let writer = Writer::new(&old.store);
    let lit = evening(20).into_iter().step_by(2);
    writer.append(lit.collect()).await;
    old.settled().await;
    old.close().await;
    let moved = program::<MOVED>(directory.path()).await;
    writer.through(&moved.store).append(vec![bulb(99, &BulbEvent::Dimmed { level: 1 })]).await;
    moved.settled().await;
    assert_eq!(moved.applied(), [1; 4]);
    moved.close().await;
    for applied in [21, 0] {
        let old = program::<FIRST>(directory.path()).await;
        old.settled().await;
        assert_eq!(old.applied(), [applied, 0, applied, 0]);
        assert_eq!(old.counted("house/bulb").await, [21; 2]);
        compare_with_a_rebuild(&old).await;
        old.close().await;
    }
    let moved = program::<MOVED>(directory.path()).await;
    moved.settled().await;
    assert_eq!(moved.applied(), [0; 4]);
    assert_eq!(moved.counted("house/light").await, [1; 2]);
    moved.close().await;
}

/// Rows of a version of this crate that stored no basis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_an_older_version_of_this_crate_are_reused() {
    let directory = tempfile::tempdir().unwrap();
    let writer = first(directory.path(), 20).await;
    let forget = async || {
        let store = file(directory.path()).await;
        for generation in store.views().generations().await.unwrap() {
            let (generation_id, head) = (generation.id, generation.head);
            let mut transaction = store.views().begin(&generation_id, head, head).await.unwrap().unwrap();
            let drop = format!("DROP TABLE {}", transaction.table("made_of"));
            transaction.execute(&drop, vec![]).await.unwrap();
            transaction.commit().await.unwrap();
        }
        store.close().await;
    };
    forget().await;
    let same = program::<FIRST>(directory.path()).await;
    same.settled().await;
    assert_eq!((same.applied(), same.at()), ([0; 4], [40; 2]));
    writer.append(evening(1)).await;
    same.settled().await;
    assert_eq!(same.applied(), [2; 4]);
    same.close().await;
    let more = program::<MORE>(directory.path()).await;
    more.settled().await;
    assert_eq!(more.applied(), [0; 4]);
    more.close().await;
    // The basis of rows of other declarations is unknown: they are rebuilt once.
    forget().await;
    let moved = program::<MOVED>(directory.path()).await;
    moved.settled().await;
    assert_eq!(moved.applied(), [42, 0, 42, 0], "the view has the same version");
    moved.close().await;
}

/// A version that applied events that this program's view does not want, or skipped events that it wants, is not
/// reused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_of_other_events_that_the_log_holds_is_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    let writer = first(directory.path(), 20).await;
    // The old view skips events that it does not want.
    let old = program::<FIRST>(directory.path()).await;
    writer.append(vec![broke(3)]).await;
    old.has_settled(&["bulbs", DisplayNames::NAME]).await;
    old.close().await;
    let new = program::<MORE>(directory.path()).await;
    new.settled().await;
    assert_eq!(new.applied(), [1, 41, 1, 41]);
    compare_with_a_rebuild(&new).await;
    new.close().await;
    // Without the older program's rows, only rows with too many events are left.
    let new = program::<MORE>(directory.path()).await;
    new.projections.prune().await.unwrap();
    new.close().await;
    let old = program::<FIRST>(directory.path()).await;
    old.has_settled(&["bulbs"]).await;
    assert_eq!(old.applied()[1], 40);
    old.close().await;
}

/// A million events when run by hand with `ANNALS_EVENTS=1000000` and `--release`; otherwise 1,000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_answer_comes_within_a_second_of_opening() {
    let events: u64 = std::env::var("ANNALS_EVENTS").ok().map_or(1_000, |events| events.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let old = program::<FIRST>(directory.path()).await;
    let writer = Writer::new(&old.store);
    for _ in 0..events / 1_000 {
        writer.append(evening(500)).await;
    }
    let began = std::time::Instant::now();
    let head = old.store.head().await.unwrap();
    for name in ALL {
        let patience = Some(Duration::from_secs(3_600));
        old.projections.reading(name).unwrap().caught_up(head, patience).await.unwrap();
    }
    println!("{events} events were applied {:?} after the last was written", began.elapsed());
    old.close().await;
    let began = std::time::Instant::now();
    let new = program::<MORE>(directory.path()).await;
    assert_eq!(new.metric("house/bulb").await, events);
    assert_eq!(new.audit().newest_first().page().await.unwrap().rows[0].position, events);
    let answered = began.elapsed();
    new.settled().await;
    println!("answered {answered:?} after opening; all was there after {:?}", began.elapsed());
    assert_eq!(new.applied(), [0; 4]);
    assert!(answered < Duration::from_secs(1) || cfg!(debug_assertions), "{answered:?}");
    new.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    one_more_event_type_rebuilds_nothing,
    a_reworded_sentence_rebuilds_nothing_and_is_read_at_once,
    a_changed_topic_rebuilds_only_the_projections_that_use_it,
    a_changed_action_or_name_rebuilds_the_projections_that_use_it,
    an_old_and_a_new_program_side_by_side_rebuild_nothing_in_turns,
    two_programs_with_different_declarations_of_a_new_type_get_separate_rows,
    a_program_whose_rows_another_one_changed_rebuilds_once,
    rows_of_an_older_version_of_this_crate_are_reused,
    a_view_of_other_events_that_the_log_holds_is_rebuilt,
    the_first_answer_comes_within_a_second_of_opening,
}
