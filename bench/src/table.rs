//! The report, in Markdown.

use std::fmt::Write;

use annals_bench_driver::Appended;

use crate::{append, rebuild};

const LEGEND: &str = "
Medians of all runs, and the lowest and highest rate. **× floor**: relative to one INSERT per command on the same database with
the same callers and workload. **× stock**: relative to cqrs-es on the same database without a view (postgres-es or
sqlite-es). *Retries* and *errors* are sums over all runs. The events in each competitor's table were counted at the end: a
remark shows a difference from the acknowledged events.

| workload | competitor | callers | commands/s | low – high | events/s | p50 ms | p99 ms | × floor | × stock | retries | errors | remarks |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
";

/// The table of commands.
pub fn append(results: &append::Results) -> String {
    if results.rows().is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = results.rows().iter().collect();
    // The results are in the order of time, the table is in the order of workloads.
    rows.sort_by_key(|row| append_order(row));
    let mut text = format!("\n## Commands\n{LEGEND}");
    for row in rows {
        let (floor, stock) = row.entry.yardsticks();
        let beside = |name| {
            let other = results.beside(row.workload, row.callers, name)?;
            Some(rate(row)? / rate(other)?).filter(|ratio| ratio.is_finite())
        };
        let runs = &row.runs;
        let rates = || runs.iter().map(|run| run.commands_per_second);
        let range = match runs.len() {
            0 | 1 => "–".to_owned(),
            _ => format!("{} – {}", whole(rates().reduce(f64::min)), whole(rates().reduce(f64::max))),
        };
        let events = rate(row).map(|rate| rate * row.workload.events() as f64);
        line(
            &mut text,
            &[
                row.workload.title().to_owned(),
                row.entry.title.to_owned(),
                row.callers.to_string(),
                whole(rate(row)),
                range,
                whole(events),
                digits(median(runs.iter().map(|run| run.p50))),
                digits(p99(row)),
                digits(beside(floor)),
                digits(beside(stock)),
                runs.iter().map(|run| run.retries).sum::<u64>().to_string(),
                runs.iter().map(|run| run.errors).sum::<u64>().to_string(),
                remarks(
                    row,
                    row.entry
                        .simpler()
                        .and_then(|(name, lacks)| Some((results.beside(row.workload, row.callers, name)?, lacks))),
                ),
            ],
        );
    }
    text
}

fn append_order(row: &append::Row) -> (usize, u64) {
    let workload = crate::workload::Workload::ALL.iter().position(|workload| *workload == row.workload);
    (workload.unwrap_or_default(), row.callers)
}

fn rate(row: &append::Row) -> Option<f64> {
    median(row.runs.iter().map(|run| run.commands_per_second))
}

fn p99(row: &append::Row) -> Option<f64> {
    median(row.runs.iter().map(|run| run.p99))
}

/// `without`: the same competitor with less, and what it lacks.
fn remarks(row: &append::Row, without: Option<(&append::Row, &str)>) -> String {
    let mut remarks: Vec<String> = row.missing.iter().cloned().collect();
    for run in &row.runs {
        remarks.extend(difference(run));
        remarks.extend(run.note.clone());
        remarks.extend(run.first_error.as_ref().map(|error| format!("first error: {error}")));
    }
    let lag = median(row.runs.iter().filter_map(|run| run.lag).map(|lag| lag as f64));
    remarks.extend(lag.map(|lag| format!("lag {} at the end", counted(lag, "event"))));
    if let Some((without, lacks)) = without {
        let beside =
            |of: fn(&append::Row) -> Option<f64>| Some(of(row)? / of(without)?).filter(|ratio| ratio.is_finite());
        if let (Some(rate), Some(p99)) = (beside(rate), beside(p99)) {
            remarks.push(format!("relative to no {lacks}: rate × {rate:.3}, p99 × {p99:.2}"));
        }
    }
    remarks.dedup();
    remarks.join("; ").replace(['|', '\n'], " ")
}

/// The difference between stored and acknowledged events, if there is one.
fn difference(run: &Appended) -> Option<String> {
    match run.found.cmp(&run.acknowledged) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => {
            Some(format!("**LOST {}**", counted((run.acknowledged - run.found) as f64, "acknowledged event")))
        }
        std::cmp::Ordering::Greater => {
            Some(format!("{} more than acknowledged", counted((run.found - run.acknowledged) as f64, "event")))
        }
    }
}

/// The tables of rebuilds and of live projections.
pub fn rebuild(results: &rebuild::Results) -> String {
    let mut text = String::new();
    if !results.rebuilt.is_empty() {
        let _ = write!(
            text,
            "\n## Rebuild\n\nA count and a sum per account, {} events, 50 per account. *Peak* is the peak memory of the \
             rebuilding process (VmHWM), without PostgreSQL; its tables were vacuumed after they were filled.\n\n\
             | competitor | events/s | total, s | peak MB | × stock | remarks |\n|---|--:|--:|--:|--:|---|\n",
            whole(Some(results.events as f64))
        );
    }
    let rate = |row: &rebuild::Row<_>| median(row.runs.iter().map(speed));
    for row in &results.rebuilt {
        let stock = row.entry.yardsticks().1;
        let stock = results.rebuilt.iter().find(|other| other.entry.name == stock).and_then(rate);
        let mut remarks: Vec<String> = row.missing.iter().cloned().collect();
        for run in &row.runs {
            if !run.whole {
                remarks.push(format!("stopped after {} events: the rest is extrapolated", run.events));
            } else if run.counted != results.events {
                remarks.push(format!("**the view counts {} of {} events**", run.counted, results.events));
            }
        }
        remarks.dedup();
        line(
            &mut text,
            &[
                row.entry.title.to_owned(),
                whole(rate(row)),
                digits(rate(row).map(|rate| results.events as f64 / rate)),
                whole(median(row.runs.iter().map(|run| run.peak_mb))),
                digits(rate(row).zip(stock).map(|(rate, stock)| rate / stock).filter(|ratio| ratio.is_finite())),
                remarks.join("; ").replace(['|', '\n'], " "),
            ],
        );
    }
    if !results.followed.is_empty() {
        text.push_str(
            "\n## Live projections\n\nTime from the receipt of a command until the view shows it, one caller: *read* waits for the receipt in a \
             read; *idle* polls without such a read, at one command per millisecond.\n\n\
             | competitor | writes seen | read: p50 ms | p99 ms | idle: p50 ms | p99 ms | remarks |\n\
             |---|--:|--:|--:|--:|--:|---|\n",
        );
    }
    for row in &results.followed {
        line(
            &mut text,
            &[
                row.entry.title.to_owned(),
                row.runs.iter().map(|run| run.commands).sum::<u64>().to_string(),
                digits(median(row.runs.iter().map(|run| run.p50))),
                digits(median(row.runs.iter().map(|run| run.p99))),
                digits(median(row.runs.iter().map(|run| run.unasked_p50))),
                digits(median(row.runs.iter().map(|run| run.unasked_p99))),
                row.missing.clone().unwrap_or_default().replace(['|', '\n'], " "),
            ],
        );
    }
    text
}

fn speed(run: &annals_bench_driver::Rebuilt) -> f64 {
    run.events as f64 / run.seconds
}

fn line(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// The median, if there are values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

/// A count with its noun: `1 event`, `2 events`.
pub fn counted(count: f64, noun: &str) -> String {
    format!("{count:.0} {noun}{}", if count == 1.0 { "" } else { "s" })
}

/// A whole number with thousands separators.
pub fn whole(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with three significant digits.
pub fn digits(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => whole(Some(value)),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_two_middle_values() {
        assert_eq!(median([9.0, 1.0, 5.0].into_iter()), Some(5.0));
        assert_eq!(median([4.0, 1.0, 2.0, 9.0].into_iter()), Some(3.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(whole(Some(1_234_567.4)), "1,234,567");
        assert_eq!(whole(Some(999.0)), "999");
        assert_eq!(digits(Some(0.344)), "0.34");
        assert_eq!(digits(Some(12.34)), "12.3");
        assert_eq!(digits(None), "–");
    }

    #[test]
    fn a_lost_acknowledged_event_is_reported() {
        let run = |found| Appended { acknowledged: 10, found, ..Appended::default() };
        assert_eq!(difference(&run(10)), None);
        assert!(difference(&run(9)).unwrap().contains("LOST 1 acknowledged event*"));
        assert!(difference(&run(12)).unwrap().contains("2 events more"));
    }
}
