//! Proofs that a stranger can check, on both stores.
//!
//! ## Layout
//! - `lab`: the application, and tools
//! - `growing`: the tree and its proofs, over restarts, rebuilds and several processes
//! - `signing`: checkpoints, forks, witnesses
//! - `opening`: a log that must continue from a checkpoint
//! - `forging`: edits by SQL, found by `check` and by `verify`
//! - `exporting`: folders and files, the command line
//! - `witness`: a small witness
//! - `go`, `with_go`: another program verifies what is exported and served
#![cfg(all(feature = "cli", feature = "http", feature = "proofs"))]

mod exporting;
mod forging;
mod go;
mod growing;
mod lab;
mod opening;
mod signing;
mod witness;

use annals_test_postgres::{Place, both_stores};

use self::exporting::*;
use self::forging::*;
use self::growing::*;
use self::opening::*;
use self::signing::*;

both_stores! {
    the_stored_tree_is_that_of_a_naive_tree_of_the_leaves,
    tiles_are_the_same_after_a_rebuild_a_restart_and_from_several_processes,
    each_event_has_a_salt_of_its_own_and_the_first_one_names_its_command,
    the_proof_of_an_event_holds_for_that_event_alone,
    a_checkpoint_is_signed_once_for_a_size_and_continues_from_the_last,
    threads_and_applications_with_one_key_never_sign_two_roots_of_one_size,
    a_log_that_lost_its_tail_is_not_signed_until_it_is_forked,
    a_log_with_another_history_is_not_signed,
    only_a_log_that_continues_from_the_given_checkpoint_is_opened,
    a_task_signs_what_is_old_enough,
    witnesses_cosign_and_a_forked_log_is_refused_by_its_witness,
    each_edit_is_found_by_check_with_a_checkpoint_and_by_verify,
    an_older_backup_is_found_by_check_with_a_checkpoint_alone,
    a_checkpoint_of_another_log_is_found,
    a_folder_is_verified_and_each_change_of_a_file_is_found,
    an_export_continues_from_an_earlier_one_and_keeps_full_tiles,
    the_command_line_signs_proves_exports_and_verifies,
}

/// Needs a program of Go, which `scripts/check-proofs` builds.
mod with_go {
    use annals_test_postgres::Place;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "scripts/check-proofs runs it"]
    async fn go_verifies_sqlite() {
        super::go::go_verifies_what_is_exported_and_served_and_refuses_what_was_changed(&Place::sqlite()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "scripts/check-proofs runs it"]
    async fn go_verifies_postgres() {
        super::go::go_verifies_what_is_exported_and_served_and_refuses_what_was_changed(&Place::postgres()).await;
    }
}

/// A place for another store of the same kind.
fn beside(place: &Place) -> Place {
    if place.schema().is_some() { Place::postgres() } else { Place::sqlite() }
}
