//! Each measurement in a process of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use annals_bench_driver::{BoxError, Job, Reply, Task};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::catalogue::{Entry, Role};
use crate::peers::Peers;
use crate::session::{Place, Session};

/// The word that makes this program measure instead of having it measured.
pub const WORKER: &str = "worker";

/// How much longer than its task a process may take: opening, counting, closing.
const GRACE: Duration = Duration::from_secs(120);

/// Measures one thing in an empty place; what goes wrong is an answer too.
pub async fn measure(session: &Session, peers: &Peers, entry: &Entry, task: Task) -> Reply {
    let place = match session.fresh(entry.database).await {
        Ok(place) => place,
        Err(error) => return Reply::Failed(error.to_string()),
    };
    let reply = ask(peers, entry, &place, task).await;
    session.remove(place).await;
    reply
}

/// Has a process do a task in this place.
pub async fn ask(peers: &Peers, entry: &Entry, place: &Place, task: Task) -> Reply {
    match answer(peers, entry, place, task).await {
        Ok(reply) => reply,
        Err(error) => Reply::Failed(error.to_string()),
    }
}

async fn answer(peers: &Peers, entry: &Entry, place: &Place, task: Task) -> Result<Reply, BoxError> {
    let (program, first): (PathBuf, _) = match entry.role {
        Role::Peer(package) => (peers.program(package)?, None),
        Role::Annals | Role::Following | Role::Floor => (std::env::current_exe()?, Some(WORKER)),
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
    let status = status.map_err(|_| format!("no answer within {} s", patience.as_secs()))??;
    match text.lines().last() {
        Some(line) => serde_json::from_str(line).map_err(|error| format!("an unreadable answer: {error}").into()),
        None => Err(format!("the process ended without an answer ({status})").into()),
    }
}
