//! One start, one stop: where nothing was before, and with nothing left behind.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use annals_test_postgres::Place;
use serde_json::json;
use tokio::net::TcpStream;

use crate::process::Process;
use crate::served::answer;

annals_test_postgres::both_stores! { a_fresh_program_comes_up_and_ctrl_c_leaves_no_process }

/// The processes of this group that are there, by number.
fn group(id: u32) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_of = |process: &u32| {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
        // After the name, which may hold anything: state, parent, group.
        let group = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)?.parse::<u32>().ok());
        group == Some(id)
    };
    processes.filter(is_of).collect()
}

/// Mission A13. Ctrl-C goes to the whole group of processes that a terminal has in front.
async fn a_fresh_program_comes_up_and_ctrl_c_leaves_no_process(place: &Place) {
    for round in 1..=2 {
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
        // One who follows is there while it ends, and is told.
        let mut following = client.get(format!("{url}/live/audit")).send().await.unwrap();
        assert_eq!(following.status(), 200);
        let ended = process.stop_by(&["-INT", "--", &format!("-{id}")]).await;
        assert!(ended.status.success(), "{ended:?}");
        assert!(ended.took < Duration::from_secs(10), "{ended:?}");
        assert_eq!(group(id), Vec::<u32>::new(), "a process is left");
        assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err(), "somebody still listens");
        let mut told = Vec::new();
        while let Some(chunk) = following.chunk().await.unwrap() {
            told.extend_from_slice(&chunk);
        }
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("event: end") && told.contains("shutdown"), "{told}");
    }
}
