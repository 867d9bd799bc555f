//! Runs each measurement in its own process.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use annals_bench_driver::{BoxError, Job, Reply, Task};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::catalogue::{Entry, Role};
use crate::peers::Peers;
use crate::session::{Place, Session};

/// The argument that makes this program run a measurement itself.
pub const WORKER: &str = "worker";

/// Time for opening, counting and closing, beyond the time of the task.
const GRACE: Duration = Duration::from_secs(120);

/// Runs a task in an empty database. An error is a reply too.
pub async fn measure(session: &Session, peers: &Peers, entry: &Entry, task: Task) -> Reply {
    let place = match session.fresh(entry.database).await {
        Ok(place) => place,
        Err(error) => return Reply::Failed(error.to_string()),
    };
    let reply = ask(peers, entry, &place, task).await;
    session.remove(place).await;
    reply
}

/// Runs a task in a new process in this place.
pub async fn ask(peers: &Peers, entry: &Entry, place: &Place, task: Task) -> Reply {
    match answer(peers, entry, place, task).await {
        Ok(reply) => reply,
        Err(error) => Reply::Failed(error.to_string()),
    }
}

async fn answer(peers: &Peers, entry: &Entry, place: &Place, task: Task) -> Result<Reply, BoxError> {
    let (program, first): (PathBuf, _) = match entry.role {
        Role::Peer(package) => (peers.program(package)?, None),
        Role::Annals | Role::Following | Role::Access | Role::Floor => (std::env::current_exe()?, Some(WORKER)),
    };
    let patience = GRACE
        + match &task {
            Task::Append(load) => Duration::from_secs(load.seconds + load.warm_up),
            Task::Fill { events, .. } => Duration::from_millis(*events),
            Task::Rebuild { seconds } | Task::Follow { seconds } => Duration::from_secs(*seconds),
        };
    let job = Job { competitor: entry.name.to_owned(), place: place.address(), task };
    let mut child = Command::new(program)
        .args(first)
        .arg(serde_json::to_string(&job)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut output = child.stdout.take().ok_or("the process has no output")?;
    let mut text = String::new();
    let done = async {
        output.read_to_string(&mut text).await?;
        child.wait().await
    };
    let status = tokio::time::timeout(patience, done).await;
    let status = status.map_err(|_| format!("no reply within {} s", patience.as_secs()))??;
    match text.lines().last() {
        Some(line) => serde_json::from_str(line).map_err(|error| format!("cannot parse the reply: {error}").into()),
        None => Err(format!("the process ended without a reply ({status})").into()),
    }
}
