//! Measures commands, with and without running projections (Mission D17). The competitors alternate in each run.

use std::collections::{BTreeMap, HashMap};

use annals_bench_driver::{Appended, Reply, Task};

use crate::arguments::Arguments;
use crate::catalogue::Entry;
use crate::child;
use crate::peers::Peers;
use crate::session::Session;
use crate::table::counted;
use crate::workload::Workload;

/// One row of the table: a workload, a number of callers, a competitor.
#[derive(Clone, Debug)]
pub struct Row {
    pub workload: Workload,
    pub callers: u64,
    pub entry: Entry,
    /// One result for each run.
    pub runs: Vec<Appended>,
    /// Why results are missing.
    pub missing: Option<String>,
}

/// The results so far.
#[derive(Debug, Default)]
pub struct Results {
    rows: Vec<Row>,
    index: HashMap<(Workload, u64, &'static str), usize>,
}

impl Results {
    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of another competitor with the same workload and callers.
    pub fn beside(&self, workload: Workload, callers: u64, name: &'static str) -> Option<&Row> {
        self.index.get(&(workload, callers, name)).and_then(|index| self.rows.get(*index))
    }

    fn row(&mut self, workload: Workload, callers: u64, entry: &Entry) -> &mut Row {
        let rows = &mut self.rows;
        let index = *self.index.entry((workload, callers, entry.name)).or_insert_with(|| {
            rows.push(Row { workload, callers, entry: *entry, runs: Vec::new(), missing: None });
            rows.len() - 1
        });
        &mut self.rows[index]
    }
}

/// Measures all workloads.
pub async fn run(
    session: &Session,
    peers: &Peers,
    entries: &[Entry],
    arguments: &Arguments,
    results: &mut Results,
) {
    // A competitor that cannot run here is skipped in later runs.
    let mut skipped: BTreeMap<&str, String> = BTreeMap::new();
    let cells = cells(arguments);
    for run in 1..=arguments.runs {
        for (workload, callers) in &cells {
            for entry in entries.iter().filter(|entry| entry.takes(*workload)) {
                let row = results.row(*workload, *callers, entry);
                if let Some(why) = skipped.get(entry.name) {
                    row.missing = Some(format!("skipped: {why}"));
                    continue;
                }
                eprint!(
                    "run {run}: {}, {}, {}: ",
                    workload.title(),
                    counted(*callers as f64, "caller"),
                    entry.name
                );
                let load = workload.load(*callers, arguments.seconds);
                match child::measure(session, peers, entry, Task::Append(load)).await {
                    Reply::Appended(appended) => {
                        eprintln!("{:.0} commands/s", appended.commands_per_second);
                        row.runs.push(appended);
                    }
                    Reply::LeftOut(why) => {
                        eprintln!("skipped: {why}");
                        row.missing = Some(format!("skipped: {why}"));
                        skipped.insert(entry.name, why);
                    }
                    Reply::Failed(why) => {
                        eprintln!("failed: {why}");
                        row.missing = Some(format!("failed: {why}"));
                    }
                    other => row.missing = Some(format!("failed: unexpected reply {other:?}")),
                }
            }
        }
    }
}

fn cells(arguments: &Arguments) -> Vec<(Workload, u64)> {
    let wanted = |workload: &Workload| arguments.workloads.is_empty() || arguments.workloads.contains(workload);
    let with_callers = |workload: Workload| {
        workload.callers(&arguments.callers).into_iter().map(move |callers| (workload, callers))
    };
    Workload::ALL.into_iter().filter(wanted).flat_map(with_callers).collect()
}
