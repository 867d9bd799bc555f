//! Start and stop: a fresh start, and no process left behind.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use annals_test_postgres::Place;
use serde_json::json;
use tokio::net::TcpStream;

use crate::process::Process;
use crate::served::answer;

annals_test_postgres::both_stores! {
    a_fresh_program_comes_up_and_each_ending_signal_ends_its_streams_and_leaves_no_process,
}

/// The running processes of a group.
fn group(id: u32) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_of = |process: &u32| {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
        // After the name, which may contain any character: state, parent, group.
        let group = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)?.parse::<u32>().ok());
        group == Some(id)
    };
    processes.filter(is_of).collect()
}

/// Mission A13. A terminal sends Ctrl-C to the whole foreground process group, and SIGHUP when it is closed.
async fn a_fresh_program_comes_up_and_each_ending_signal_ends_its_streams_and_leaves_no_process(place: &Place) {
    for (round, signal) in (1..).zip(["-INT", "-INT", "-TERM", "-HUP", "-QUIT"]) {
        let mut command = Process::command(place, &[], &[]);
        command.process_group(0);
        let process = Process::start(command, Stdio::piped());
        let id = process.id();
        assert_eq!(group(id), [id]);
        let url = process.url.clone();
        let client = reqwest::Client::new();
        let deposit = client.post(format!("{url}/commands/deposit"));
        let paid = answer(deposit.json(&json!({ "account": "a", "cents": 1 }))).await;
        assert_eq!(paid.json()["head"]["position"], round, "{paid:?}");
        // An open stream gets an end.
        let mut stream = client.get(format!("{url}/live/audit")).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let ended = process.stop_by(&[signal, "--", &format!("-{id}")]).await;
        assert!(ended.status.success(), "{signal}: {ended:?}");
        assert!(ended.took < Duration::from_secs(10), "{ended:?}");
        assert_eq!(group(id), Vec::<u32>::new(), "a process is left");
        assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err(), "the port is still open");
        let mut received = Vec::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            received.extend_from_slice(&chunk);
        }
        let received = String::from_utf8(received).unwrap();
        assert!(received.contains("event: end") && received.contains("shutdown"), "{received}");
    }
}

/// `nohup job_server serve &`: the server outlives its terminal.
#[tokio::test]
async fn a_program_that_was_started_with_sighup_ignored_still_ignores_it() {
    let place = Place::sqlite();
    let serve = Process::command(&place, &[], &[]);
    let mut command = std::process::Command::new("nohup");
    command.arg(serve.get_program()).args(serve.get_args()).stdin(Stdio::null());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let process = Process::start(command, Stdio::piped());
    let hang_up = std::process::Command::new("kill").args(["-HUP", &process.id().to_string()]).status();
    assert!(hang_up.unwrap().success());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(reqwest::get(format!("{}/healthz", process.url)).await.unwrap().status(), 200);
    assert!(process.stop().await.status.success());
}
