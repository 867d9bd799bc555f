//! [`ProgressBar`]: on a terminal a bar with rate and remaining time, otherwise a line every two seconds; on stderr.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;

use super::stderr;

/// Interval between lines if stderr is not a terminal.
const INTERVAL: Duration = Duration::from_secs(2);

/// The progress of a long task, on stderr.
pub struct ProgressBar {
    what: String,
    bar: Option<indicatif::ProgressBar>,
    started: Instant,
    reported: Instant,
    done: u64,
    total: u64,
}

impl ProgressBar {
    /// Starts the progress of `what`, which has `total` steps; 0 if that is not known yet.
    #[must_use]
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} ETA {eta}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            indicatif::ProgressBar::new(total).with_style(style).with_message(what.clone())
        });
        let now = Instant::now();
        Self { what, bar, started: now, reported: now, done: 0, total }
    }

    /// Reports that `done` of `total` steps are done.
    pub fn at(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done, total);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None if self.reported.elapsed() >= INTERVAL => {
                self.reported = Instant::now();
                let rate = self.rate();
                let left = total.saturating_sub(done) as f64 / rate.max(1.0);
                stderr::print(format_args!(
                    "{}: {done} of {total}, {rate:.0}/s, about {left:.0} s left",
                    self.what
                ));
            }
            None => {}
        }
    }

    /// Removes the bar and prints how many steps were done, in what time and at which rate.
    pub fn finish(self) {
        let rate = self.rate();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        stderr::print(format_args!(
            "{}: {} in {:.1} s, {rate:.0}/s",
            self.what,
            self.done,
            self.started.elapsed().as_secs_f64()
        ));
    }

    fn rate(&self) -> f64 {
        self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001)
    }
}
