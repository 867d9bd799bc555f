//! The report, in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::arguments::Load;
use crate::followers::{Delivered, Followed};
use crate::load::Commands;

/// The results of all runs.
#[derive(Default)]
pub struct Table {
    commands: BTreeMap<usize, Vec<(Commands, Commands)>>,
    followed: Vec<Followed>,
}

impl Table {
    pub fn commands(&mut self, connections: usize, same: Commands, over: Commands) {
        self.commands.entry(connections).or_default().push((same, over));
    }

    pub fn followers(&mut self, followed: Followed) {
        self.followed.push(followed);
    }

    pub fn print(&self, load: &Load) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let busy = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let mut text = format!(
            "# annals-bench-http\n\nMedians of {} runs of {} s, {}, clients on the same machine of {cores} cores; load {} \
             at the end.\n\n| what | in process | over HTTP | |\n|---|--:|--:|---|\n",
            load.runs,
            load.seconds,
            if load.store.is_some() { "PostgreSQL" } else { "SQLite, synchronous=FULL" },
            busy.split_whitespace().next().unwrap_or("?"),
        );
        let mut row = |cells: [String; 4]| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        for (connections, runs) in &self.commands {
            let of = |value: &dyn Fn(&Commands) -> f64| {
                let same = median(runs.iter().map(|(same, _)| value(same)));
                (same, median(runs.iter().map(|(_, over)| value(over))))
            };
            let (same, over) = of(&|commands: &Commands| commands.per_second);
            let costs = median(runs.iter().map(|(same, over)| 1.0 - over.per_second / same.per_second));
            let counted = format!("{connections} connection{}", if *connections == 1 { "" } else { "s" });
            let what = |what: &str| format!("{what}, {counted}");
            row([what("commands/s"), whole(same), whole(over), format!("HTTP costs {:.0} %", costs * 100.0)]);
            let (same, over) = of(&|commands: &Commands| commands.p50);
            row([what("p50 ms"), digits(same), digits(over), String::new()]);
            let (same, over) = of(&|commands: &Commands| commands.p99);
            row([what("p99 ms"), digits(same), digits(over), String::new()]);
            let (same, over) = of(&|commands: &Commands| commands.processor);
            let client = median(runs.iter().map(|(_, over)| over.client));
            let cores = cores.max(1) as f64;
            let share = median(runs.iter().map(|(_, over)| over.client * over.per_second / 1e6 / cores));
            let said = format!("plus {client:.0} of the client: {:.0} % of all processors", share * 100.0);
            row([what("processor µs per command"), whole(same), whole(over), said]);
            for (when, index) in [("begins", 0), ("ends", 1)] {
                let (same, over) = of(&|commands: &Commands| commands.behind[index]);
                let lag = what(&format!("lag in events when a turn {when}"));
                row([lag, whole(same), whole(over), "of the slowest projection".to_owned()]);
            }
            let pages: Vec<(f64, u64)> = runs.iter().filter_map(|(_, over)| over.feed).collect();
            let feed = median(pages.iter().map(|(p99, _)| *p99));
            let read: u64 = pages.iter().map(|(_, pages)| pages).sum();
            row([what("feed page p99 ms under"), String::new(), digits(feed), format!("{read} pages")]);
        }
        let delivery = |of: fn(&Followed) -> Delivered, what: &str| {
            let runs = || self.followed.iter().map(of);
            let rate = median(runs().map(|delivered| delivered.per_second));
            let events: u64 = runs().map(|delivered| delivered.events).sum();
            let (p50, p99) = (median(runs().map(|it| it.p50)), median(runs().map(|it| it.p99)));
            let said = format!("p50 {}; {} commands/s, {events} events", digits(p50), whole(rate));
            [format!("delivery p99 ms, {} followers, {what}", load.active), String::new(), digits(p99), said]
        };
        row(delivery(|followed| followed.paced, "paced"));
        row(delivery(|followed| followed.pressed, "16 writers at full speed"));
        let each = |from: usize, to: usize, many: usize| {
            let runs = self.followed.iter().map(|followed| followed.memory);
            median(runs.map(|memory| memory[to].saturating_sub(memory[from]) as f64 / 1_024.0 / many.max(1) as f64))
        };
        let memory = |what: String, kibibytes: f64| [what, String::new(), digits(kibibytes), String::new()];
        row(memory(format!("memory of an idle follower of {}, KiB", load.idle), each(0, 1, load.idle)));
        row(memory(format!("memory of an active follower of {}, KiB", load.active), each(1, 2, load.active)));
        let whole_process = median(self.followed.iter().map(|it| it.memory[2] as f64 / 1_048_576.0));
        row(memory("memory of the server with all of them, MiB".to_owned(), whole_process));
        text
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn digits(value: f64) -> String {
    format!("{value:.2}")
}
