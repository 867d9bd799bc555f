//! [`Fleet`]: three processes of `job_server`, started by the commands of the guide.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use annals_test_postgres::free_port;

use crate::brokers::NatsServer;
use crate::serving::Process;

/// The stream of the guide.
pub const STREAM: &str = "JOBS";

const GUIDE: &str = include_str!("../../../../docs/guide/jetstream.md");

/// Set in a started process: its arguments, one a line.
const ARGUMENTS: &str = "ANNALS_TEST_JOB_SERVER";

/// The environment variables that a started process does not inherit.
const VARIABLES: [&str; 5] = ["ANNALS_ACTOR", "ANNALS_LISTEN", "ANNALS_LOG", "ANNALS_STORE", "JOB_SERVER_OWNERS"];

pub struct Fleet {
    pub addresses: [SocketAddr; 3],
    commands: [Vec<String>; 3],
    processes: [Option<Process>; 3],
    _folder: tempfile::TempDir,
}

impl Fleet {
    /// Starts three processes at once, on an empty cluster.
    pub fn start(servers: &[NatsServer]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let addresses = [0, 1, 2].map(|_| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        let store = format!("nats://{}/{STREAM}?file={}/", hosts.join(","), folder.path().display());
        let lines = GUIDE.lines().filter_map(|line| line.strip_prefix("$ job_server serve "));
        let commands: Vec<Vec<String>> = lines
            .zip(addresses)
            .map(|(line, address)| {
                let words = line.trim_end_matches(" &").split(' ');
                let words = words.map(|word| match word.strip_prefix("\"$ANNALS_STORE?file=") {
                    Some(file) => format!("{store}{}", file.trim_end_matches('"')),
                    None if word.starts_with("127.0.0.1:") => address.to_string(),
                    None => word.to_owned(),
                });
                std::iter::once("serve".to_owned()).chain(words).collect()
            })
            .collect();
        let commands: [Vec<String>; 3] = commands.try_into().expect("the guide starts three processes");
        let processes = std::thread::scope(|scope| {
            let starting = commands.each_ref().map(|command| scope.spawn(|| start(command)));
            starting.map(|process| Some(process.join().expect("the process serves")))
        });
        Self { addresses, commands, processes, _folder: folder }
    }

    /// The URL of the store of each process.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(|command| {
            let at = command.iter().position(|word| word == "--store").expect("the guide names the store");
            command[at + 1].as_str()
        })
    }

    pub async fn kill(&mut self, number: usize) {
        self.processes[number].take().expect("it runs").kill().await;
    }

    pub fn restart(&mut self, number: usize) {
        self.processes[number] = Some(tokio::task::block_in_place(|| start(&self.commands[number])));
    }

    /// Stops them with SIGTERM.
    pub async fn stop(&mut self) {
        for process in self.processes.iter_mut().filter_map(Option::take) {
            assert!(process.stop().await.status.success());
        }
    }
}

fn start(arguments: &[String]) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("the program of this test"));
    command.args(["--exact", "fleet::runs", "--nocapture", "--include-ignored"]);
    VARIABLES.iter().for_each(|name| _ = command.env_remove(name));
    command.env(ARGUMENTS, arguments.join("\n")).stdin(Stdio::piped());
    Process::start(command, Stdio::inherit())
}

/// What a started process runs: the `main` of `job_server`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn runs() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    std::thread::spawn(|| {
        let _ = std::io::stdin().lines().count();
        // The test has ended.
        std::process::exit(0);
    });
    let app = job_server::access::app_of_environment().expect("an application");
    let code = app.main_with(std::iter::once("job_server").chain(arguments.lines())).await;
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
}
