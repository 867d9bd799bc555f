//! Personal values and their erasure, on both stores.
//!
//! ## Layout
//! - `people`: the application
//! - `sealing`: values are stored sealed, and handlers, sentences and readers get them in plain text
//! - `digesting`: command ids, refusals and records of commands with personal fields
//! - `erasing`: the two steps of an erasure
//! - `scanning`: no file ever has a personal value
//! - `serving`: over HTTP, on the page, on the command line
//! - `restoring`: older keys, older logs, lost keys
#![cfg(all(feature = "cli", feature = "http", feature = "personal", feature = "proofs"))]

mod digesting;
mod erasing;
mod people;
mod restoring;
mod scanning;
mod sealing;
mod serving;

use annals_test_postgres::both_stores;

use self::digesting::*;
use self::erasing::*;
use self::restoring::*;
use self::sealing::*;
use self::serving::*;

both_stores! {
    a_value_is_stored_sealed_and_opened_for_handlers_sentences_and_readers,
    the_state_of_an_aggregate_is_opened_after_a_restart_from_a_snapshot,
    two_subjects_in_one_event_have_a_key_each,
    a_refused_command_makes_no_key,
    a_projection_never_opens_a_value,
    a_feed_sends_values_sealed,
    a_reaction_cannot_lead_to_a_command_with_personal_fields,
    values_that_were_readable_before_are_withheld_and_check_names_them,
    a_command_id_is_repeated_with_the_same_value_and_reused_with_another,
    a_known_id_of_an_erased_subject_gets_its_receipt,
    a_refusal_is_recorded_without_its_reason_if_that_may_repeat_a_value,
    an_erased_subject_reads_erased_everywhere_and_takes_no_new_value,
    an_erasure_of_one_subject_leaves_others,
    an_erasure_that_is_asked_for_twice_is_decided_once,
    an_erasure_between_a_decision_and_its_commit_wins,
    another_process_drops_the_key_within_seconds,
    an_erasure_needs_a_reason_and_a_subject,
    a_key_store_that_fails_is_reported_and_tried_again,
    an_unfinished_erasure_is_completed_at_the_next_start,
    a_restored_key_store_loses_the_keys_of_erased_subjects_again,
    an_older_log_with_newer_keys_stays_erased,
    an_older_log_with_older_keys_needs_a_checkpoint_from_outside,
    a_lost_key_is_an_error_and_not_an_erasure,
    a_subject_is_erased_over_http_and_the_page_says_so,
    the_command_line_erases_lists_and_asks_the_authoriser,
}
