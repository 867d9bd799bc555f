//! A client in Python, with its own WebSocket and HTTP implementations.

use std::process::Command;

use annals_test_postgres::Place;

use crate::in_time;
use crate::server::Server;

/// Mission D9: `scripts/live-client`, during writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_gets_the_same_rows_by_three_protocols() {
    const ROWS: usize = 60;
    let place = Place::sqlite();
    let server = Server::start(place.url()).await;
    let address = server.address.to_string();
    let client = tokio::task::spawn_blocking(move || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/live-client");
        Command::new(script).args([&address, &ROWS.to_string()]).output().unwrap()
    });
    for n in 0..=ROWS {
        server.pay("ann", "1", 1 + n as i64).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let output = in_time(client).await.unwrap();
    if output.status.code() == Some(69) {
        return annals_test_postgres::skip("python3 has no venv and pip");
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.trim(), format!("ok: {ROWS} rows, the same by three protocols"), "{err}");
    server.stop().await;
}
