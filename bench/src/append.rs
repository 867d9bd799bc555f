//! Commands: every cell of the table, competitors taking turns, run after run. With projections following and without
//! (mission D17).

use std::collections::{BTreeMap, HashMap};

use annals_bench_driver::{Appended, Reply, Task};

use crate::arguments::Arguments;
use crate::catalogue::Entry;
use crate::child;
use crate::peers::Peers;
use crate::session::Session;
use crate::workload::Workload;

/// One row of the table: a workload, so many callers, a competitor.
#[derive(Clone, Debug)]
pub struct Row {
    pub workload: Workload,
    pub callers: u64,
    pub entry: Entry,
    /// One for each run.
    pub runs: Vec<Appended>,
    /// Why there is none, or not from every run.
    pub missing: Option<String>,
}

/// What was measured so far, in the order of the table.
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

    /// The row of this competitor in the same cell.
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

/// Measures them all.
pub async fn run(
    session: &Session,
    peers: &Peers,
    entries: &[Entry],
    arguments: &Arguments,
    results: &mut Results,
) {
    // Who cannot take part here is not asked again.
    let mut left_out: BTreeMap<&str, String> = BTreeMap::new();
    let cells = cells(arguments);
    for run in 1..=arguments.runs {
        for (workload, callers) in &cells {
            for entry in entries.iter().filter(|entry| entry.takes(*workload)) {
                let row = results.row(*workload, *callers, entry);
                if let Some(why) = left_out.get(entry.name) {
                    row.missing = Some(format!("left out: {why}"));
                    continue;
                }
                eprint!("run {run}: {}, {callers} callers, {}: ", workload.title(), entry.name);
                let load = workload.load(*callers, arguments.seconds);
                match child::measure(session, peers, entry, Task::Append(load)).await {
                    Reply::Appended(appended) => {
                        eprintln!("{:.0} commands/s", appended.commands_per_second);
                        row.runs.push(appended);
                    }
                    Reply::LeftOut(why) => {
                        eprintln!("left out: {why}");
                        row.missing = Some(format!("left out: {why}"));
                        left_out.insert(entry.name, why);
                    }
                    Reply::Failed(why) => {
                        eprintln!("failed: {why}");
                        row.missing = Some(format!("failed: {why}"));
                    }
                    other => row.missing = Some(format!("failed: an answer to another question: {other:?}")),
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
