//! The report, in Markdown.

use std::fmt::Write;

use super::{Results, shape};
use crate::table::{digits, whole};

/// Formats all results.
pub fn report(results: &[Results]) -> String {
    let mut text = format!("\n## The log\n\n{}\n", shape::WORDS);
    for result in results {
        let filled = &result.filled;
        let events = filled.events.max(1) as f64;
        let _ = writeln!(text, "\n## {}\n", result.title);
        if let Some(missing) = &result.missing {
            let _ = writeln!(text, "**{}**\n", missing.replace('\n', " "));
        }
        let _ = writeln!(
            text,
            "{} events, appended by commands at {} events/s.\n\n| projection | rebuild, events/s | processor time of this process, µs per event |\n|---|--:|--:|",
            whole(Some(filled.events as f64)),
            whole(Some(filled.appended))
        );
        for (name, rate, micros) in &filled.rebuilt {
            let _ = writeln!(text, "| {name} | {} | {} |", whole(Some(*rate)), digits(Some(*micros)));
        }
        let _ = writeln!(text, "\n| table, with its indexes | bytes per event |\n|---|--:|");
        for (name, bytes) in &filled.bytes {
            let _ = writeln!(text, "| {name} | {} |", digits(Some(*bytes as f64 / events)));
        }
        let _ = writeln!(
            text,
            "\nPages of 50 rows, p50 / p99 in ms; *deep* starts at a random cursor between a tenth and nine tenths of \
             the log. *Short* pages came with fewer rows and a cursor to go on.\n\n\
             | query | newest first | deep | oldest first | deep | rows | short | runs |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|"
        );
        for row in &result.pages {
            let [a, b, c, d] =
                row.times.map(|times| format!("{} / {}", digits(Some(times.p50)), digits(Some(times.p99))));
            let runs: u64 = row.times.iter().map(|times| times.runs).sum();
            let _ = writeln!(
                text,
                "| {} | {a} | {b} | {c} | {d} | {:.0} | {} | {runs} |",
                row.title, row.rows, row.short
            );
        }
        let _ = writeln!(text, "\n| numbers | p50 ms | p99 ms | runs |\n|---|--:|--:|--:|");
        for (title, times) in &result.numbers {
            let (p50, p99) = (digits(Some(times.p50)), digits(Some(times.p99)));
            let _ = writeln!(text, "| {title} | {p50} | {p99} | {} |", times.runs);
        }
    }
    text
}
