//! Intakes, from real brokers, on both stores.
//!
//! ## Layout
//! - `tally`: the application: numbers that are added up
//! - `publishing`: publishers, on a NATS server and a RabbitMQ broker of a test's own
//! - `brokers`: these brokers
//! - `receiving`: each message has one outcome, in order
//! - `bad_input`: messages that cannot be read, or must not be
//! - `failing`: a broker that is away, one that forgets, what fails for the moment
//! - `over_http`: intakes over HTTP, without a broker
//! - `operating`: pausing, resuming, replaying, the command line, HTTP and metrics

mod bad_input;
#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "../feeds/brokers.rs"]
mod brokers;
mod failing;
mod operating;
mod over_http;
mod publishing;
mod receiving;
mod tally;

use annals_test_postgres::both_stores;

use self::bad_input::*;
use self::failing::*;
use self::operating::*;
use self::over_http::*;
use self::receiving::*;

both_stores! {
    messages_of_nats_are_executed_once_and_in_order_of_their_subject,
    messages_of_rabbitmq_are_executed_once_and_in_order_of_their_subject,
    a_redelivery_across_a_deploy_is_a_repeat,
    one_of_two_programs_receives_and_the_other_takes_over,
    a_flood_waits_at_the_broker,
    what_cannot_be_read_is_a_dead_letter_and_is_acknowledged,
    a_refused_message_stays_refused,
    a_denied_message_is_recorded_and_its_record_needs_no_right,
    nobody_can_use_up_the_id_of_a_message,
    what_is_too_large_is_left_to_the_dead_letters_of_rabbitmq,
    a_broker_that_is_away_is_reported_without_credentials_and_tried_again,
    a_consumer_that_forgets_messages_is_refused,
    what_fails_for_the_moment_is_tried_again_in_order,
    an_intake_is_paused_and_resumed,
    a_dead_letter_is_replayed_once_by_a_program_that_can_read_it,
    a_replayed_message_that_its_publisher_repeats_is_executed_once,
    a_dead_letter_is_replayed_by_its_own_intake_alone,
    the_command_line_and_http_show_and_operate_intakes,
    an_unsound_intake_is_refused,
    messages_over_http_are_executed_once_and_answered,
    publishing_over_http_needs_a_right_and_so_does_the_command,
}
