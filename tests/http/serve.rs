//! The subcommand `serve`.

use std::process::ExitCode;
use std::time::Duration;

use annals_test_postgres::Place;

use crate::bank::app;
use crate::process::Process;

/// Runs `serve`. Returns whether it succeeded, or none if it is still serving.
async fn serve(place: &Place, more: &[&str]) -> Option<bool> {
    let begin = ["bank", "serve", "--store", place.url()];
    let serving = app().main_with(begin.into_iter().chain(more.iter().copied()));
    let ended = tokio::time::timeout(Duration::from_secs(3), serving).await.ok()?;
    Some(format!("{ended:?}") == format!("{:?}", ExitCode::SUCCESS))
}

/// Missions A8 and A14: refused before the store is opened.
#[tokio::test]
async fn an_address_that_other_machines_can_reach_is_refused_without_keys() {
    let place = Place::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let secret = file("secret", "a secret of thirty-two bytes, at least\n");
    let (short, jwks) = (file("short", "short\n"), file("jwks", "{\"keys\":[]}"));
    for refused in [
        &["--listen", "0.0.0.0:0"][..],
        &["--listen", "[::]:0", "--actor", "user:alice"],
        &["--listen", "127.0.0.1:0", "--secret-file", &short],
        &["--listen", "127.0.0.1:0", "--jwks", &jwks],
        &["--listen", "127.0.0.1:0", "--jwks", "/nowhere"],
        &["--listen", "127.0.0.1:0", "--jwks", &jwks, "--secret-file", &secret],
        &["--listen", "127.0.0.1:0", "--secret-file", &secret, "--actor", "user:alice"],
        &["--listen", "nowhere"],
    ] {
        assert_eq!(serve(&place, refused).await, Some(false), "{refused:?}");
    }
    let store = place.url().strip_prefix("sqlite://").unwrap();
    assert!(!std::path::Path::new(store).exists(), "a store was created");
    assert_eq!(serve(&place, &["--listen", "127.0.0.1:0"]).await, None, "a loopback address is refused");
    assert_eq!(
        serve(&place, &["--listen", "0.0.0.0:0", "--secret-file", &secret]).await,
        None,
        "another address is refused despite keys"
    );
}

#[test]
fn a_port_that_is_in_use_is_named_with_what_to_do() {
    let place = Place::sqlite();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let output = Process::bank(&["serve", "--store", place.url(), "--listen", &address], &[]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && printed.contains(&format!("cannot listen on {address}")), "{printed}");
    assert!(printed.contains("another program listens there") && printed.contains("--listen"), "{printed}");
}
