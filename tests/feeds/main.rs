//! Feeds, against real brokers and a webhook of the test's own, on both stores.
//!
//! ## Layout
//! - `desk`: the application
//! - `brokers`: a NATS server and a RabbitMQ broker of a test's own
//! - `cutting`: a proxy that cuts connections before an answer arrives
//! - `jetstream`: feeds to NATS
//! - `jetstream_faults`: a NATS server that fails, and streams that are not as expected
//! - `rabbit`: feeds to RabbitMQ
//! - `hooks`: feeds to webhooks
//! - `receiver`: the webhook that receives
//! - `tls`: TLS for that webhook
//! - `operating`: pausing, resuming, the command line, HTTP and metrics
//! - `restoring`: a log that is an older backup

#[allow(dead_code, reason = "shared with the tests of faults, which use the rest")]
mod brokers;
mod cutting;
mod desk;
mod hooks;
mod jetstream;
mod jetstream_faults;
mod operating;
mod rabbit;
mod receiver;
mod restoring;
mod tls;

use annals_test_postgres::both_stores;

use self::hooks::*;
use self::jetstream::*;
use self::jetstream_faults::*;
use self::operating::*;
use self::rabbit::*;

both_stores! {
    the_stream_of_a_whole_log_has_each_event_at_its_position,
    a_message_is_byte_for_byte_the_event_of_an_export_and_of_the_http_api,
    a_feed_with_a_question_sends_what_matches_in_order,
    a_new_feed_begins_now,
    two_programs_send_each_event_once,
    while_the_broker_is_down_commands_go_on_and_the_backlog_drains_in_order,
    a_lost_acknowledgement_leaves_each_event_once,
    a_message_of_another_sender_stops_a_feed,
    a_stream_that_lost_what_it_confirmed_stops_a_feed,
    what_a_server_refuses_is_shown_without_credentials_and_tried_again,
    a_full_stream_loses_nothing,
    rabbitmq_gets_each_event_in_order,
    a_full_disk_of_rabbitmq_loses_nothing,
    a_broker_killed_at_its_first_confirmation_keeps_what_it_confirmed,
    a_webhook_gets_each_event_in_order_whatever_it_answers,
    a_webhook_that_answers_nothing_or_redirects_confirms_nothing,
    a_webhook_with_tls_gets_events_if_its_certificate_is_trusted,
    a_feed_is_paused_resumed_and_moved,
    the_command_line_and_http_show_and_operate_feeds,
    an_unsound_feed_is_refused,
}
