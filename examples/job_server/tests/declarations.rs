//! What lies in the log must stay readable, and the parts must fit together.

/// The lock file of event shapes: a stored shape that changes without a new version fails here.
#[test]
fn event_shapes_are_locked() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock.json");
    annals::testing::assert_shapes_locked(&job_server::app(), file);
}

#[test]
fn the_application_is_sound() {
    annals::testing::app_is_sound(&job_server::app());
}
