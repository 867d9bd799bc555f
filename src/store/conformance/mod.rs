//! The suite that every store must pass; a store of another crate runs it too.
//!
//! Write a [`Fixture`]: one empty log, which cases open several times, removed when the fixture is dropped. Then either
//! make each case a test of its own:
//!
//! ```ignore
//! annals::store_conformance_tests!(MyFixture::new());
//! ```
//!
//! or run all of them in one test: `annals::store::conformance::run(MyFixture::new).await`. A failed case panics with
//! its expectation.
//!
//! ## Layout
//! - `bench`: a log to work on, a clock, commits and assertions for the cases
//! - `appending`, `failing`, `modelled`: the rules of [`Store::append`]
//! - `requiring`: what a log requires of programs
//! - `clocks`: ids and times
//! - `reading`: pages, loads, look-ups
//! - `sharing`: several handles on one log, and write locks
//! - `opening`: owner, restart, backup
//! - `projecting`: the views
//! - `leading`: leases
//! - `checking`: the check of a whole log

mod appending;
pub(crate) mod bench;
mod checking;
mod clocks;
mod failing;
mod leading;
mod modelled;
mod opening;
mod projecting;
mod reading;
mod requiring;
mod sharing;

use std::sync::Arc;

use async_trait::async_trait;

use self::bench::Bench;
use super::{OpenOptions, Store, StoreError};

/// One log, empty at first. Dropping the fixture removes the log.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// Opens the log. Cases open it several times, for several handles, as several processes would.
    ///
    /// # Errors
    /// The error of the store's own `open`: some cases expect one.
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError>;

    /// Returns whether the store has a clock of its own and records no later time. A store that several processes share
    /// should.
    fn has_its_own_clock(&self) -> bool {
        false
    }

    /// Returns whether the store saves snapshots of aggregates. `false` for one that uses the defaults of [`Store`].
    fn has_snapshots(&self) -> bool {
        true
    }

    /// Returns whether the store makes backups. `false` for one that uses the default of [`Store::backup`].
    fn has_backups(&self) -> bool {
        true
    }
}

/// Passes the names of all cases, by module, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_conformance_cases {
    ($callback:path, $($arguments:tt)*) => {
        $callback! {
            [$($arguments)*]
            appending: positions_have_no_gap_and_sequences_count_by_aggregate,
            appending: events_are_read_back_byte_for_byte_with_a_matching_digest,
            appending: a_commit_over_several_aggregates_is_appended_as_a_whole_or_not_at_all,
            appending: commits_of_a_batch_see_earlier_commits_of_the_batch,
            appending: an_empty_batch_has_no_outcomes,
            appending: a_known_command_id_gets_its_first_receipt_again,
            appending: a_command_id_used_twice_in_one_batch_takes_effect_once,
            appending: a_command_id_with_another_name_or_body_is_refused,
            appending: a_known_command_id_is_answered_before_sequences_are_checked,
            appending: a_commit_without_events_may_keep_its_id_and_gets_the_head_as_its_position,
            failing: an_expected_sequence_that_is_too_low_or_too_high_is_a_conflict,
            failing: the_sequence_of_an_aggregate_that_was_only_read_is_checked_too,
            failing: a_refusal_on_an_outdated_state_is_a_conflict,
            failing: a_failed_commit_fails_dependent_commits_transitively,
            failing: what_a_failed_commit_only_read_fails_no_other_commit,
            failing: a_batch_with_a_right_that_has_ended_is_not_written,
            requiring: a_program_that_does_not_know_what_the_log_requires_cannot_append,
            requiring: what_a_log_requires_is_kept_with_the_first_commit_that_needs_it,
            failing: a_duplicate_and_a_reused_id_fail_dependent_commits,
            failing: an_order_group_fails_from_its_first_failure_on,
            failing: conflicts_end_with_their_batch,
            failing: a_failed_commit_leaves_nothing_behind,
            modelled: appending_agrees_with_a_list_in_memory,
            clocks: ids_and_times_increase_when_the_clock_is_set_back_and_after_a_restart,
            clocks: five_thousand_events_in_one_millisecond_have_increasing_ids,
            clocks: ids_increase_after_the_clock_was_a_year_ahead,
            clocks: a_clock_that_is_ahead_shifts_no_times_and_is_refused_beyond_a_limit,
            clocks: ids_are_uuids_of_version_7_with_their_time,
            clocks: occurred_at_is_kept_in_whole_microseconds_and_defaults_to_recorded_at,
            clocks: the_first_position_of_a_time_is_found,
            reading: an_empty_log_has_no_events_and_a_nil_head,
            reading: pages_concatenate_to_the_whole_log,
            reading: a_reader_of_few_event_types_gets_all_of_them_and_its_position,
            reading: a_reader_of_few_event_types_skips_none_during_appends,
            reading: events_are_found_by_position,
            reading: a_read_within_a_number_of_bytes_ends_with_the_event_that_reaches_it,
            reading: a_page_within_a_number_of_bytes_ends_with_the_event_that_reaches_it,
            reading: an_aggregate_is_loaded_in_pages_from_a_sequence_on,
            reading: a_load_within_a_number_of_bytes_ends_with_the_event_that_reaches_it,
            reading: aggregates_with_similar_names_are_separate,
            reading: commands_are_found_by_id_in_the_given_order,
            sharing: two_writers_make_one_order_without_a_gap,
            sharing: cached_sequences_are_not_used_after_another_writer_has_appended,
            sharing: a_batch_that_is_appended_again_is_found_by_its_ids,
            sharing: a_watcher_is_notified_of_appends_by_any_handle,
            sharing: a_write_lock_excludes_all_other_writers_until_it_appends,
            sharing: a_write_lock_loads_the_present_log,
            sharing: a_dropped_write_lock_writes_nothing_and_is_released,
            sharing: a_write_lock_ends_when_its_time_is_over,
            sharing: waiting_too_long_for_a_write_lock_fails_with_busy,
            sharing: a_duplicate_under_a_write_lock_gets_its_first_receipt,
            opening: a_log_is_the_same_after_a_restart,
            opening: a_missing_store_is_an_error_unless_it_may_be_created,
            opening: another_applications_store_is_refused,
            opening: a_closed_store_refuses_appends,
            opening: a_backup_never_replaces_a_file,
            opening: a_backup_whose_future_is_dropped_leaves_no_file,
            opening: a_store_describes_itself_and_passes_its_integrity_check,
            projecting: a_projection_begins_at_position_zero_with_generation_one,
            projecting: effect_and_checkpoint_are_committed_together,
            projecting: a_dropped_transaction_leaves_neither_effect_nor_checkpoint,
            projecting: a_checkpoint_moved_by_another_process_fences_off_the_transaction,
            projecting: placeholders_are_bound_by_their_numbers,
            projecting: rows_are_written_and_read_in_bulk,
            projecting: a_table_gets_its_key_once_it_is_filled,
            projecting: the_error_of_a_failed_statement_contains_it,
            projecting: a_rebuild_is_made_beside_the_live_generation_and_then_switched,
            projecting: a_rebuild_behind_the_live_generation_is_not_switched,
            projecting: a_rebuild_continues_an_abandoned_one,
            projecting: a_discarded_generation_is_deleted_and_the_live_one_cannot_be_discarded,
            projecting: a_snapshot_of_a_view_is_of_one_moment,
            projecting: projections_of_any_name_and_version_are_separate,
            projecting: a_note_is_kept_for_every_handle_until_it_is_cleared,
            projecting: a_snapshot_of_an_aggregate_is_kept_until_a_newer_one_is_saved,
            leading: owners_get_even_shares_and_each_projection_has_one_leader,
            leading: leases_of_a_dead_owner_become_free_after_their_term_and_not_before,
            leading: an_owner_that_leaves_releases_its_leases_at_once,
            leading: every_wanted_projection_gets_a_leader_that_wants_it,
            leading: concurrent_owners_never_share_a_projection,
            leading: all_generations_are_listed_with_their_leaders,
            leading: a_version_is_pruned_only_without_a_lease,
            checking: an_intact_log_passes_the_check,
            checking: the_digest_of_a_log_covers_each_event_in_order,
            checking: events_that_this_program_cannot_decode_are_reported,
        }
    };
}

macro_rules! dispatch {
    ([] $($module:ident: $case:ident,)*) => {
        /// The names of all cases.
        pub const CASES: &[&str] = &[$(stringify!($case)),*];

        /// Runs the case of this name on a fresh fixture.
        ///
        /// # Panics
        /// When the store does not pass, or there is no such case.
        pub async fn case(name: &str, fixture: impl Fixture) {
            let bench = Bench::new(Box::new(fixture));
            match name {
                $(stringify!($case) => $module::$case(bench).await,)*
                _ => panic!("there is no case `{name}`: see CASES"),
            }
        }
    };
}
__store_conformance_cases!(dispatch,);

/// Runs all cases, each on a fresh fixture.
///
/// # Panics
/// When the store does not pass.
pub async fn run<F: Fixture>(fixture: impl Fn() -> F) {
    for name in CASES {
        case(name, fixture()).await;
    }
}

/// Makes each case of the suite a test of its own. Takes an expression that makes a fresh [`Fixture`].
#[macro_export]
macro_rules! store_conformance_tests {
    ($fixture:expr) => {
        $crate::__store_conformance_cases!($crate::__store_conformance_test, $fixture);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_conformance_test {
    ([$fixture:expr] $($module:ident: $case:ident,)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::store::conformance::case(stringify!($case), $fixture).await;
            }
        )*
    };
}
