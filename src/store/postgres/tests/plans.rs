//! Guarantee 12: plans made on nearly empty tables are fast on full ones.

use super::Bed;
use crate::store::conformance::bench::{append, commit, committed};

#[tokio::test]
async fn appends_planned_on_a_tiny_log_scan_no_whole_table_later() {
    let bed = Bed::new();
    let store = bed.open().await;
    let mut sequence = 0;
    // Postgres now takes the tables for tiny, and nothing makes it analyse them again.
    for table in ["events", "commands"] {
        bed.run(&format!("ALTER TABLE {{schema}}.{table} SET (autovacuum_enabled = off)")).await;
        bed.run(&format!("VACUUM ANALYZE {{schema}}.{table}")).await;
    }
    committed(&*store, commit(900).on("tally:first", 0, 1)).await;
    for table in ["events", "commands"] {
        bed.run(&format!("VACUUM ANALYZE {{schema}}.{table}")).await;
    }
    // More than the five calls after which Postgres keeps one plan.
    for number in 0..8_u128 {
        committed(&*store, commit(number).on("tally:a", sequence, 1)).await;
        sequence += 1;
    }
    for number in 0..20_u128 {
        committed(&*store, commit(1_000 + number).on(&format!("tally:many{number}"), 0, 1_500)).await;
    }
    let scanned = format!(
        "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables \
         WHERE schemaname = '{}' AND relname IN ('events', 'commands')",
        bed.location.plain_schema()
    );
    let settle = async || {
        // The statistics of other sessions arrive after a while.
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        bed.number(&scanned).await
    };
    let before = settle().await;
    for number in 0..50_u128 {
        let conflict = if number % 10 == 0 { 1 } else { 0 };
        let outcomes = append(
            &*store,
            [
                commit(2_000 + number).on("tally:a", sequence + conflict, 1),
                commit(3_000 + number).on(&format!("tally:new{number}"), 0, 1),
            ],
        )
        .await;
        sequence += u64::from(outcomes[0].is_committed());
    }
    assert_eq!(settle().await - before, 0, "rows read by scans of whole tables");
}
