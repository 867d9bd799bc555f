//! [`Process`]: a program that serves, in its own process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A serving process. Dropping it kills it, so that it ends with a test that fails.
pub struct Process {
    child: Running,
    /// Keeps its stdin open: a process may end when that is closed, and so when the test is killed.
    input: Option<ChildStdin>,
    pub url: String,
    out: JoinHandle<Vec<String>>,
    /// None if stderr goes elsewhere.
    err: Option<JoinHandle<Vec<String>>>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The result of a process.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
    /// The lines of stdout, without those of the test harness.
    pub out: Vec<String>,
    pub err: Vec<String>,
}

impl Process {
    /// Starts a command, and waits until it serves.
    pub fn start(mut command: Command, stderr: Stdio) -> Self {
        let mut child = Running(command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap());
        drop(command);
        let input = child.0.stdin.take();
        let (send_url, url) = mpsc::channel();
        let stdout = BufReader::new(child.0.stdout.take().unwrap());
        let out = std::thread::spawn(move || {
            // The test harness may have written the test's name on the same line.
            let lines = stdout.lines().map(|line| line.unwrap());
            let lines =
                lines.map(|line| line.find("listening on ").map_or(line.clone(), |at| line[at..].to_owned()));
            let lines = lines.inspect(|line| {
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = send_url.send(url.to_owned());
                }
            });
            let own = |line: &String| line.is_empty() || line.starts_with("running ") || line.starts_with("test ");
            lines.filter(|line| !own(line)).collect()
        });
        let err = child.0.stderr.take().map(|stderr| {
            let stderr = BufReader::new(stderr);
            std::thread::spawn(move || stderr.lines().map(Result::unwrap).collect())
        });
        let url = url.recv_timeout(Duration::from_secs(60)).expect("the process serves");
        Self { child, input, url, out, err }
    }

    /// The number of its open sockets.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap();
        // A file that is closed meanwhile is skipped.
        let kinds = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        kinds.filter(|kind| kind.to_string_lossy().starts_with("socket:")).count()
    }

    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Stops it with SIGTERM.
    pub async fn stop(self) -> Ended {
        let id = self.id().to_string();
        self.stop_by(&["-TERM", &id]).await
    }

    /// Kills it at once.
    pub async fn kill(self) -> Ended {
        let id = self.id().to_string();
        self.stop_by(&["-KILL", &id]).await
    }

    /// Stops it with `kill` and these arguments.
    pub async fn stop_by(self, kill: &[&str]) -> Ended {
        let Self { mut child, input, out, err, .. } = self;
        let began = Instant::now();
        let sent = Command::new("kill").args(kill).status().unwrap();
        assert!(sent.success());
        let ended = tokio::task::spawn_blocking(move || {
            let status = child.0.wait().unwrap();
            drop(input);
            Ended {
                status,
                took: began.elapsed(),
                out: out.join().unwrap(),
                err: err.map(|err| err.join().unwrap()).unwrap_or_default(),
            }
        });
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the process stops").unwrap()
    }
}
