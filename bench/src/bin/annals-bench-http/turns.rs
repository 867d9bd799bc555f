//! Two processes that are measured in turns, many short ones: whatever else the machine does meanwhile falls on both.

use std::process::Stdio;
use std::time::Duration;

use annals_bench_driver::{BoxError, Latencies};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::load::Commands;

/// How long a turn is measured, behind a beginning that is not.
pub const TURN: Duration = Duration::from_secs(1);

/// What one turn came to.
pub struct Turn {
    pub times: Latencies,
    pub time: Duration,
    /// What the process that executes commands took of the processors, and who asks over HTTP.
    pub taken: [Duration; 2],
    /// How many events the slowest projection had yet to take in, when it began and when it ended.
    pub behind: [u64; 2],
}

/// What all turns came to.
#[derive(Default)]
struct Sum {
    times: Latencies,
    time: Duration,
    taken: [Duration; 2],
    behind: [u64; 2],
    turns: u32,
}

impl Sum {
    fn add(&mut self, turn: &Turn) {
        self.times.merge(&turn.times);
        self.time += turn.time;
        self.taken[0] += turn.taken[0];
        self.taken[1] += turn.taken[1];
        self.behind[0] += turn.behind[0];
        self.behind[1] += turn.behind[1];
        self.turns += 1;
    }

    fn commands(&self) -> Commands {
        let each = |taken: Duration| taken.as_secs_f64() * 1e6 / self.times.count().max(1) as f64;
        Commands {
            per_second: self.times.count() as f64 / self.time.as_secs_f64(),
            p50: self.times.quantile(0.5),
            p99: self.times.quantile(0.99),
            processor: each(self.taken[0]),
            client: each(self.taken[1]),
            behind: self.behind.map(|events| events as f64 / f64::from(self.turns.max(1))),
            feed: None,
        }
    }
}

/// In the process that is measured: a turn for each line that it is told. The first one is to warm up.
pub async fn take(mut turn: impl AsyncFnMut() -> Result<Turn, BoxError>) -> Result<Commands, BoxError> {
    let mut sum: Option<Sum> = None;
    // Between turns nothing else has to go on in this thread.
    for line in std::io::stdin().lines() {
        line?;
        let turn = turn().await?;
        match &mut sum {
            Some(sum) => sum.add(&turn),
            None => sum = Some(Sum::default()),
        }
        println!("taken");
    }
    Ok(sum.unwrap_or_default().commands())
}

/// In the process that is measured, at its end.
pub fn tell(commands: &Commands) -> Result<(), BoxError> {
    println!("{}", serde_json::to_string(commands)?);
    Ok(())
}

/// Such a process, from outside.
pub struct Taker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Taker {
    /// This program, with these arguments.
    pub fn start(arguments: &[&str]) -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().ok_or("the process has no input")?;
        let output = child.stdout.take().ok_or("the process has no output")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Has it take a turn.
    pub async fn turn(&mut self) -> Result<(), BoxError> {
        self.input.write_all(b"turn\n").await?;
        let mut line = String::new();
        match self.output.read_line(&mut line).await? {
            0 => Err(format!("no turn was taken: {}", self.child.wait().await?).into()),
            _ => Ok(()),
        }
    }

    /// What its turns came to.
    pub async fn end(mut self) -> Result<Commands, BoxError> {
        drop(self.input);
        let mut text = String::new();
        self.output.read_to_string(&mut text).await?;
        let status = self.child.wait().await?;
        serde_json::from_str(&text).map_err(|error| format!("no answer ({status}): {error}").into())
    }
}
