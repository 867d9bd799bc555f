//! The subcommand `serve`.

use std::process::ExitCode;
use std::time::Duration;

use annals_test_postgres::Place;

use crate::bank::app;

/// Whether it ends, and well; none: it serves.
async fn serve(place: &Place, more: &[&str]) -> Option<bool> {
    let begin = ["bank", "serve", "--store", place.url()];
    let serving = app().main_with(begin.into_iter().chain(more.iter().copied()));
    let ended = tokio::time::timeout(Duration::from_secs(3), serving).await.ok()?;
    Some(format!("{ended:?}") == format!("{:?}", ExitCode::SUCCESS))
}

/// Missions A8 and A14: refused at start, before anything is opened.
#[tokio::test]
async fn an_address_that_other_machines_reach_is_refused_without_keys() {
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
    assert!(!std::path::Path::new(store).exists(), "a mistake makes no store");
    assert_eq!(serve(&place, &["--listen", "127.0.0.1:0"]).await, None, "this machine alone");
    assert_eq!(serve(&place, &["--listen", "0.0.0.0:0", "--secret-file", &secret]).await, None, "with keys");
}
