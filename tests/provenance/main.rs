//! Provenance: what things are made of, and what came of them, on both stores.
//!
//! ## Layout
//! - `lab`: the application
//! - `model`: random logs, compared with a model in memory
//! - `stating`: what is stated, by example
//! - `limits`: pages, depth, bad input, rights
//! - `documents`: documents that `scripts/check-prov` has other programs read
#![cfg(feature = "export")]

mod documents;
mod lab;
mod limits;
mod model;
mod stating;

use std::future::Future;
use std::time::Duration;

use annals::prelude::*;
use annals_test_postgres::{Place, both_stores};

use self::documents::*;
use self::limits::*;
use self::model::*;
use self::stating::*;

both_stores! {
    the_pages_state_exactly_what_the_log_says,
    backwards_and_forwards_are_inverses,
    rows_and_answers_are_the_same_after_a_rebuild,
    inputs_that_update_one_output_are_a_chain_of_activities,
    only_a_delete_of_the_aggregate_itself_ends_its_last_version,
    an_actor_on_behalf_of_another_is_a_delegation,
    a_source_may_be_what_it_specializes_an_alternate_or_a_member,
    an_export_used_exact_versions_and_made_a_file,
    a_recorded_read_used_exact_versions,
    a_reader_of_metadata_does_not_see_who_read_what,
    a_cause_is_older_than_what_it_led_to,
    the_first_event_of_a_command_says_what_it_was_decided_on,
    a_command_on_more_than_256_aggregates_counts_the_rest,
    a_page_ends_at_its_limit_and_the_next_one_continues,
    what_is_deeper_or_too_much_is_named_and_not_followed,
    what_is_reached_and_not_yet_shown_is_bounded,
    as_of_an_earlier_position_or_time_later_events_do_not_exist,
    ten_thousand_sources_of_one_event_are_bounded,
    bad_queries_are_refused,
    a_reader_sees_the_events_of_what_it_may_audit_and_no_values_in_metadata,
    without_provenance_nothing_is_kept,
    documents_are_as_they_were,
}

/// Random logs: `ANNALS_PROVENANCE_CASES` of them, 3 by default.
fn seeds() -> Vec<u64> {
    let cases = std::env::var("ANNALS_PROVENANCE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3);
    (0..cases).map(|_| fastrand::u64(..)).inspect(|seed| println!("a log of seed {seed}")).collect()
}

/// A place for another store of the same kind.
fn beside(place: &Place) -> Place {
    if place.schema().is_some() { Place::postgres() } else { Place::sqlite() }
}

/// Reads, and waits until the record is durable: a read does not wait for it.
async fn recorded<T>(annals: &Annals, read: impl Future<Output = T>) -> T {
    let before = annals.store().head().await.unwrap().position;
    let answer = read.await;
    until(|| async { annals.store().head().await.unwrap().position > before }).await;
    answer
}

/// Waits until something is true.
async fn until<F: Future<Output = bool>>(is: impl Fn() -> F) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it becomes true");
}
