//! Stored events stay readable, and the parts of the application fit together.

/// Writes the shapes of new events to `events.lock.json`, and fails if the shape of an event in it has changed.
#[test]
fn event_shapes_are_locked() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock.json");
    annals::testing::assert_shapes_locked(&my_app::app(), file);
}

#[test]
fn the_application_is_sound() {
    annals::testing::app_is_sound(&my_app::app());
}
