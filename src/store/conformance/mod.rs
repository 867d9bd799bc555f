//! The suite that every store must pass; a store of another crate runs it too.
//!
//! Write a [`Fixture`]: one empty log, opened as often as a case asks, and removed when the fixture is dropped. Then
//! either let each case be a test of its own:
//!
//! ```ignore
//! annals::store_conformance_tests!(MyFixture::new());
//! ```
//!
//! or run all of them in one: `annals::store::conformance::run(MyFixture::new).await`. A case panics with what it
//! expected.
//!
//! ## Layout
//! - `bench`: what the cases are written with: a log to work on, a clock, commits
//! - `appending`, `failing`, `modelled`: the rules of [`Store::append`]
//! - `clocks`: ids and times; `reading`: pages, loads, look-ups; `sharing`: several handles on one log
//! - `opening`: whose store it is, restart, backup; `projecting`: the views; `leading`: who runs them; `checking`: the check of a whole log

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
mod sharing;

use std::sync::Arc;

use async_trait::async_trait;

use self::bench::Bench;
use super::{OpenOptions, Store, StoreError};

/// One log, empty at first. Dropping it removes it.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// Opens it: twice, for two handles on one log, as two processes would have them.
    ///
    /// # Errors
    /// What the store's own `open` says: some cases want it refused.
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError>;

    /// Whether the store has a clock of its own, beyond which it records nothing: one that several processes share should.
    fn has_its_own_clock(&self) -> bool {
        false
    }
}

/// Hands the names of all cases, by module, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_conformance_cases {
    ($callback:path, $($arguments:tt)*) => {
        $callback! {
            [$($arguments)*]
            appending: positions_follow_without_a_gap_and_aggregates_count_for_themselves,
            appending: what_was_given_is_read_back_byte_for_byte_and_its_digest_holds,
            appending: a_commit_over_several_aggregates_is_there_whole_or_not_at_all,
            appending: commits_of_one_batch_see_those_before_them,
            appending: an_empty_batch_is_answered_with_nothing,
            appending: a_known_command_id_gets_its_first_receipt_again,
            appending: a_command_id_used_twice_in_one_batch_takes_effect_once,
            appending: a_command_id_with_another_name_or_body_is_refused,
            appending: a_known_command_id_is_answered_before_sequences_are_looked_at,
            appending: a_commit_without_events_keeps_its_id_if_it_is_to_and_gets_the_head_of_then,
            appending: a_caller_who_stops_waiting_cancels_nothing,
            failing: an_expected_sequence_that_is_too_low_or_too_high_is_a_conflict,
            failing: an_aggregate_that_was_only_read_is_looked_at_too,
            failing: a_refusal_on_a_state_that_has_moved_is_a_conflict,
            failing: a_failed_commit_fails_all_that_name_its_aggregates_and_theirs_in_turn,
            failing: a_duplicate_and_a_reused_id_fail_what_follows_on_them,
            failing: an_order_group_fails_from_its_first_failure_on,
            failing: conflicts_end_with_their_batch,
            failing: a_failed_commit_leaves_nothing_behind,
            modelled: appending_agrees_with_a_list_in_memory,
            clocks: ids_and_times_rise_with_the_position_when_the_clock_is_set_back_and_after_a_restart,
            clocks: five_thousand_events_in_one_millisecond_have_rising_ids,
            clocks: ids_rise_after_the_clock_was_a_year_ahead,
            clocks: a_clock_that_is_ahead_holds_nobody_back_and_is_refused_beyond_a_limit,
            clocks: ids_are_of_version_7_and_tell_their_time,
            clocks: when_it_happened_is_kept_in_whole_microseconds_and_is_else_when_it_was_recorded,
            clocks: the_first_position_of_a_time_is_found,
            reading: an_empty_log_has_nothing_and_a_nil_head,
            reading: pages_concatenate_to_the_whole_log,
            reading: a_reader_of_few_event_types_gets_them_all_and_how_far_it_is,
            reading: a_reader_of_few_event_types_skips_none_while_others_write,
            reading: events_are_found_by_position,
            reading: an_aggregate_is_loaded_in_pages_from_a_sequence_on,
            reading: aggregates_of_similar_names_are_kept_apart,
            reading: commands_are_found_by_id_in_the_order_asked_for,
            sharing: two_writers_make_one_order_without_a_gap,
            sharing: what_a_writer_knows_of_an_aggregate_ends_when_another_writes,
            sharing: a_batch_that_is_sent_again_is_looked_for,
            sharing: a_follower_hears_of_what_any_handle_appends,
            sharing: a_write_lock_shuts_out_all_other_writers_until_it_appends,
            sharing: a_write_lock_loads_what_is_in_the_log_now,
            sharing: a_dropped_write_lock_writes_nothing_and_lets_go,
            sharing: a_write_lock_ends_when_its_time_is_over,
            sharing: who_waits_too_long_for_an_exclusive_session_hears_that_it_is_busy,
            sharing: a_duplicate_in_an_exclusive_session_is_answered_like_any,
            opening: a_log_is_the_same_after_a_restart,
            opening: a_store_that_is_not_there_is_missed_unless_it_may_be_made,
            opening: another_applications_store_is_refused,
            opening: a_closed_store_says_so,
            opening: a_backup_never_takes_the_place_of_a_file,
            opening: a_store_says_what_it_is_and_finds_itself_sound,
            projecting: a_projection_begins_at_nothing_with_generation_one,
            projecting: effect_and_checkpoint_are_committed_together,
            projecting: a_dropped_transaction_leaves_neither_effect_nor_checkpoint,
            projecting: a_checkpoint_that_somebody_else_moved_fences_the_transaction_off,
            projecting: placeholders_are_bound_by_their_numbers,
            projecting: rows_are_written_and_read_in_bulk,
            projecting: a_failed_statement_is_an_error_that_shows_it,
            projecting: a_shadow_is_built_beside_the_live_generation_and_switched_to,
            projecting: a_shadow_behind_the_live_generation_is_not_switched_to,
            projecting: a_rebuild_takes_up_the_shadow_left_behind,
            projecting: a_discarded_generation_is_gone_and_the_live_one_cannot_be,
            projecting: a_snapshot_of_a_view_is_of_one_moment,
            projecting: projections_of_any_name_and_version_are_kept_apart,
            projecting: a_note_is_kept_for_every_handle_until_it_is_cleared,
            projecting: a_snapshot_of_an_aggregate_is_kept_until_a_newer_one_comes,
            leading: owners_share_the_projections_out_evenly_and_never_one_between_two,
            leading: what_a_dead_owner_led_is_free_after_its_term_and_not_before,
            leading: who_leaves_lets_go_at_once,
            leading: an_owner_leads_what_it_alone_wants_and_no_projection_is_left_alone,
            leading: owners_that_call_at_once_wait_for_each_other_and_share_nothing,
            leading: all_generations_are_listed_with_their_leaders,
            leading: a_version_is_pruned_only_when_nobody_leads_it,
            checking: a_sound_log_is_found_sound,
            checking: the_digest_of_a_log_covers_each_event_in_order,
            checking: events_that_this_program_cannot_read_are_found,
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
