//! Reactions: what an event leads to, on both stores.
//!
//! ## Layout
//! - `shop`: the application
//! - `once`: each step takes effect once
//! - `failing`: refusals, panics, loops, skipped steps
//! - `listing`: what operators see and do
//! - `replaying`: steps that were refused or skipped, and are executed after all
//! - `timers`: what is due later

mod failing;
mod listing;
mod once;
mod replaying;
mod shop;
mod timers;

use std::future::Future;
use std::time::Duration;

use annals_test_postgres::both_stores;

use self::failing::*;
use self::listing::*;
use self::once::*;
use self::replaying::*;
use self::timers::*;

both_stores! {
    a_command_follows_an_event_once_and_says_why,
    the_steps_of_an_aggregate_are_done_in_order,
    a_rebuild_fires_nothing,
    what_is_left_is_done_after_a_restart,
    a_new_reaction_reacts_from_now_or_from_the_beginning,
    two_programs_that_react_do_each_step_once,
    a_reaction_asks_no_access_control,
    an_older_program_stops_when_a_newer_version_is_started,
    a_refusal_is_recorded_and_the_reaction_continues,
    a_command_that_changes_nothing_is_recorded_and_done,
    a_step_that_panics_is_tried_again_and_blocks_only_its_aggregate,
    a_reaction_that_panics_parks_only_its_aggregate,
    reactions_that_lead_to_each_other_end_at_a_depth,
    no_caller_can_use_the_id_of_a_step,
    a_skipped_step_is_not_done,
    a_refused_step_is_replayed_once_with_the_state_of_its_event,
    a_skipped_timer_is_replayed_at_once,
    what_cannot_be_replayed_says_why_and_writes_nothing,
    an_unsound_reaction_is_refused,
    pages_of_pending_steps_are_the_whole_list,
    a_status_says_what_is_to_be_done_and_what_fails,
    a_skip_needs_a_reason_a_step_and_a_reaction,
    the_command_line_shows_reactions_without_writing_and_skips_a_step,
    a_timer_fires_once_when_it_is_due_and_not_before,
    a_cancelled_timer_does_not_fire,
    a_timer_survives_a_restart_and_fires_at_once_if_it_is_overdue,
    a_clock_that_is_ahead_fires_no_timer_early,
}

/// Waits until something is true.
async fn until<F: Future<Output = bool>>(is: impl Fn() -> F) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it becomes true");
}

/// Waits until a reaction has read the whole log, and has nothing left to do at once.
async fn is_quiet(annals: &annals::app::Annals, reaction: &str) {
    until(async || {
        let statuses = annals.reactions().await.unwrap();
        let status = statuses.into_iter().find(|status| status.name == reaction).expect("the reaction");
        status.pending == 0 && status.position == status.head
    })
    .await;
}
