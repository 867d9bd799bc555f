//! Stored events stay readable, and the parts of the application fit together.

/// Fails if the shape of a stored event changes without a new version of the event.
#[test]
fn event_shapes_are_locked() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock.json");
    annals::testing::assert_shapes_locked(&auditor::app(None).unwrap(), file);
}

#[test]
fn the_application_is_sound() {
    for broker in [None, Some("amqp://guest:guest@localhost:5672/%2f"), Some("nats://localhost:4222")] {
        annals::testing::app_is_sound(&auditor::app(broker).unwrap());
    }
}
