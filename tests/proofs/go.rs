//! Another program: Go's own packages verify what is exported and served, and refuse what was changed. `scripts/check-proofs` runs this.

use std::fs;
use std::path::Path;

use annals::http::Authentication;
use annals_test_postgres::Place;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::lab::*;

async fn verify(arguments: [&str; 4]) -> Result<String, String> {
    let program = std::env::var("PROOFS_VERIFIER").expect("PROOFS_VERIFIER: run scripts/check-proofs");
    let output = Command::new(program).args(arguments).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Mission X20.
pub async fn go_verifies_what_is_exported_and_served_and_refuses_what_was_changed(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    write(&annals, "a\n\"b\"é", 300).await;
    let earlier = sign(&annals, &key).await.to_string();
    write(&annals, "c", 333).await;
    sign(&annals, &key).await;
    let proofs = annals.proofs().unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = files.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let before = file("earlier", &earlier);
    let proof = proofs.prove(555).await.unwrap().to_string();
    let proved = file("555.tlog-proof", &proof);
    let folder = exported(&proofs).await;
    let exported = folder.path().display().to_string();
    let public = key.key.public().to_string();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = format!("http://{}/log", listener.local_addr().unwrap());
    let trusting = Authentication::trusting(Some("user:ann".parse().unwrap()));
    let router = annals::http::router(annals.clone()).authentication(trusting).into_router();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(annals::http::serve(listener, router, async { drop(stopped.await) }));
    for log in [exported.as_str(), &served] {
        let said = verify([&public, &before, &proved, log]).await.unwrap();
        assert!(
            said.starts_with("example.org/notary: 633 events") && said.contains("from 300; event 555"),
            "{said}"
        );
    }
    let other = Key::new("example.org/notary");
    let refused = |what: Result<String, String>| what.unwrap_err();
    assert!(
        refused(verify([&other.key.public().to_string(), &before, &proved, &served]).await)
            .contains("no verifiable")
    );
    let moved = file("moved", &proof.replace("index 554", "index 553"));
    assert!(refused(verify([&public, &before, &moved, &served]).await).contains("proof of an event"));
    let forged = file("forged", &earlier.replace("\n300\n", "\n299\n"));
    assert!(refused(verify([&public, &forged, &proved, &served]).await).contains("earlier checkpoint"));
    let strange = beside_history(place, &key).await;
    let strange = file("strange", &strange);
    assert!(refused(verify([&public, &strange, &proved, &served]).await).contains("consistency"));
    for (name, from) in [("tile/entries/001", "note.written"), ("checkpoint", "example"), ("tile/0/001", "")] {
        let path = Path::new(&exported).join(name);
        let content = fs::read(&path).unwrap();
        let mut changed = content.clone();
        let at = content.windows(from.len().max(1)).position(|part| part.starts_with(from.as_bytes())).unwrap();
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        println!("{name}: {}", refused(verify([&public, &before, &proved, &exported]).await));
        fs::write(&path, content).unwrap();
    }
    verify([&public, &before, &proved, &exported]).await.unwrap();
    drop(stop);
    serving.await.unwrap().unwrap();
    annals.close().await;
}

/// A checkpoint of another history of 300 events, signed with the same key.
async fn beside_history(place: &Place, key: &Key) -> String {
    let copy = key.copied();
    fs::write(copy.checkpoint(), fs::read(key.folder.path().join("first")).unwrap()).unwrap();
    let place = crate::beside(place);
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "z", 300).await;
    let signed = sign(&annals, &copy).await.to_string();
    annals.close().await;
    signed
}
