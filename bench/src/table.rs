//! What is printed: Markdown.

use std::fmt::Write;

use annals_bench_driver::Appended;

use crate::{append, rebuild};

const LEGEND: &str = "
Medians of all runs, and the lowest and highest rate. **× floor**: beside one INSERT a command on the same database, the
same callers and workload. **× stock**: beside cqrs-es on the same database without a view (postgres-es or sqlite-es).
*Retries* and *errors* are sums over all runs. Every competitor's table was counted at the end: a remark says where it
does not hold exactly what was acknowledged.

| workload | competitor | callers | commands/s | low – high | events/s | p50 ms | p99 ms | × floor | × stock | retries | errors | remarks |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
";

/// Commands.
pub fn append(results: &append::Results) -> String {
    if results.rows().is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = results.rows().iter().collect();
    // Runs are in the order of time, the table in the order of what is compared.
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
                    row.entry.without_following().and_then(|name| results.beside(row.workload, row.callers, name)),
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

/// `without`: the same with nothing following.
fn remarks(row: &append::Row, without: Option<&append::Row>) -> String {
    let mut remarks: Vec<String> = row.missing.iter().cloned().collect();
    for run in &row.runs {
        remarks.extend(difference(run));
        remarks.extend(run.note.clone());
        remarks.extend(run.first_error.as_ref().map(|error| format!("first error: {error}")));
    }
    let lag = median(row.runs.iter().filter_map(|run| run.lag).map(|lag| lag as f64));
    remarks.extend(lag.map(|lag| format!("{lag:.0} events behind at the end")));
    let beside =
        |of: fn(&append::Row) -> Option<f64>| Some(of(row)? / of(without?)?).filter(|ratio| ratio.is_finite());
    if let (Some(rate), Some(p99)) = (beside(rate), beside(p99)) {
        remarks.push(format!("beside nothing following: rate × {rate:.2}, p99 × {p99:.2}"));
    }
    remarks.dedup();
    remarks.join("; ").replace(['|', '\n'], " ")
}

/// What the table holds beside what was acknowledged, if that differs.
fn difference(run: &Appended) -> Option<String> {
    match run.found.cmp(&run.acknowledged) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(format!("**{} acknowledged events LOST**", run.acknowledged - run.found)),
        std::cmp::Ordering::Greater => {
            Some(format!("{} events more than acknowledged", run.found - run.acknowledged))
        }
    }
}

/// Rebuilds and live following.
pub fn rebuild(results: &rebuild::Results) -> String {
    let mut text = String::new();
    if !results.rebuilt.is_empty() {
        let _ = write!(
            text,
            "\n## Rebuild\n\nA count and a sum per account, {} events, 50 an account. *Peak* is the most memory that the \
             rebuilding process held (VmHWM), PostgreSQL's own not counted; its tables were vacuumed after they were filled.\n\n\
             | competitor | events/s | all of it, s | peak MB | × stock | remarks |\n|---|--:|--:|--:|--:|---|\n",
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
                remarks.push(format!("stopped after {} events: the rest extrapolated", run.events));
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
            "\n## Live following\n\nFrom a command's answer until the view shows it, one caller: to who asks for it with the \
             receipt, and without anybody who asks, a command a millisecond.\n\n\
             | competitor | writes seen | asked: p50 ms | p99 ms | unasked: p50 ms | p99 ms | remarks |\n\
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

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

/// With thousands apart.
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

/// With as many decimals as say something.
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
    fn the_median_is_the_middle_one_or_between_the_two_middle_ones() {
        assert_eq!(median([9.0, 1.0, 5.0].into_iter()), Some(5.0));
        assert_eq!(median([4.0, 1.0, 2.0, 9.0].into_iter()), Some(3.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(whole(Some(1_234_567.4)), "1,234,567");
        assert_eq!(whole(Some(999.0)), "999");
        assert_eq!(digits(Some(0.344)), "0.34");
        assert_eq!(digits(Some(12.34)), "12.3");
        assert_eq!(digits(None), "–");
    }

    #[test]
    fn an_acknowledged_event_that_is_not_there_is_said_loudly() {
        let run = |found| Appended { acknowledged: 10, found, ..Appended::default() };
        assert_eq!(difference(&run(10)), None);
        assert!(difference(&run(9)).unwrap().contains("1 acknowledged events LOST"));
        assert!(difference(&run(12)).unwrap().contains("2 events more"));
    }
}
