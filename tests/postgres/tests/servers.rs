//! Tests of the server for tests.

use std::time::{Duration, Instant};

use annals_test_postgres::{Fresh, Server};

fn schemas(fresh: &Fresh) -> String {
    fresh.sql(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", fresh.name()))
}

#[test]
fn a_fresh_schema_has_an_unused_name_and_is_dropped_with_its_test() {
    let (one, two) = (Fresh::schema(), Fresh::schema());
    assert_ne!(one.url(), two.url());
    assert_eq!(schemas(&one), "0");
    one.sql(&format!("CREATE SCHEMA {}; CREATE TABLE t (a int); INSERT INTO t VALUES (7)", one.name()));
    assert_eq!(one.sql("SELECT a, 'x' FROM t"), "7|x");
    let name = one.name().to_owned();
    drop(one);
    assert_eq!(two.sql(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{name}'")), "0");
}

#[test]
fn a_fresh_database_is_empty_and_is_dropped_with_its_test() {
    let (schema, database) = (Fresh::schema(), Fresh::database());
    assert_eq!(database.sql("SELECT current_database()"), database.name());
    let name = database.name().to_owned();
    drop(database);
    assert_eq!(schema.sql(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")), "0");
}

#[test]
fn a_server_of_one_test_keeps_committed_data_through_a_crash() {
    let server = Server::with(&["max_connections=17"]);
    assert_eq!(server.sql("SHOW fsync; SHOW synchronous_commit"), "on\non");
    assert_eq!(server.sql("SHOW max_connections"), "17");
    server.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    server.stop_immediately();
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err(), "it is gone");
    server.start();
    assert_eq!(server.sql("SELECT a FROM t"), "7");
}

#[test]
fn a_server_is_restored_to_a_saved_copy() {
    let server = Server::own();
    server.sql("CREATE TABLE t (a int)");
    server.save();
    server.sql("INSERT INTO t VALUES (7)");
    server.restore();
    assert_eq!(server.sql("SELECT count(*) FROM t"), "0");
}

#[test]
fn a_standby_has_what_its_primary_wrote_and_can_be_promoted() {
    let primary = Server::own();
    let standby = primary.standby();
    primary.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    primary.wait_for_standby(&standby);
    assert_eq!(standby.sql("SELECT a, pg_is_in_recovery() FROM t"), "7|t");
    standby.promote();
    assert_eq!(standby.sql("INSERT INTO t VALUES (8); SELECT count(*), pg_is_in_recovery() FROM t"), "2|f");
}

#[test]
fn a_frozen_server_does_not_answer_until_it_is_thawed() {
    let server = Server::own();
    server.freeze();
    let url = server.url();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let output = std::process::Command::new("psql").args(["-XAtqd", &url, "-c", "SELECT 1"]).output().unwrap();
        sender.send(output.status.success()).unwrap();
    });
    assert!(receiver.recv_timeout(Duration::from_millis(500)).is_err());
    server.thaw();
    assert!(receiver.recv_timeout(Duration::from_secs(60)).unwrap());
}

/// The server of a killed test process ends too.
#[test]
fn a_server_ends_when_its_process_is_killed() {
    const CHILD: &str = "ANNALS_TEST_POSTGRES_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let server = Server::own();
        println!("port {}", server.port());
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_server_ends_when_its_process_is_killed", "--nocapture"])
        .env(CHILD, "yes")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let port =
        lines.map_while(Result::ok).find_map(|line| line.split("port ").nth(1)?.parse::<u16>().ok()).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is still there");
        std::thread::sleep(Duration::from_millis(100));
    }
}
