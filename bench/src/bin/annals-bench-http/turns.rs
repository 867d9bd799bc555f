//! Measures two processes in many short alternating turns, so that other load of the machine affects both.

use std::process::Stdio;
use std::time::Duration;

use annals_bench_driver::{BoxError, Latencies};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::load::Commands;

/// Measured time of a turn, after a start that is not measured.
pub const TURN: Duration = Duration::from_secs(1);

/// The result of a turn.
pub struct Turn {
    pub times: Latencies,
    pub time: Duration,
    /// Processor time of the process that executes commands, and of the HTTP client.
    pub taken: [Duration; 2],
    /// Lag of the slowest projection in events, at the beginning and at the end.
    pub behind: [u64; 2],
}

/// The results of all turns.
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

/// Runs in the measured process: one turn for each line on stdin. The first turn is for warm-up.
pub async fn take(mut turn: impl AsyncFnMut() -> Result<Turn, BoxError>) -> Result<Commands, BoxError> {
    let mut sum: Option<Sum> = None;
    // Between turns this thread has nothing else to do.
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

/// Runs in the measured process at its end.
pub fn tell(commands: &Commands) -> Result<(), BoxError> {
    println!("{}", serde_json::to_string(commands)?);
    Ok(())
}

/// The measured process, seen from outside.
pub struct Taker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Taker {
    /// Starts this program with these arguments.
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

    /// Runs a turn.
    pub async fn turn(&mut self) -> Result<(), BoxError> {
        self.input.write_all(b"turn\n").await?;
        let mut line = String::new();
        match self.output.read_line(&mut line).await? {
            0 => Err(format!("no turn was taken: {}", self.child.wait().await?).into()),
            _ => Ok(()),
        }
    }

    /// The results of its turns.
    pub async fn end(mut self) -> Result<Commands, BoxError> {
        drop(self.input);
        let mut text = String::new();
        self.output.read_to_string(&mut text).await?;
        let status = self.child.wait().await?;
        serde_json::from_str(&text).map_err(|error| format!("no answer ({status}): {error}").into())
    }
}
