//! Progress: a bar with rate and time left on a terminal, a plain line now and then otherwise. All of it on stderr.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::stderr;

/// How often a plain line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(2);

/// The progress of a long piece of work.
pub struct Bar {
    what: String,
    bar: Option<ProgressBar>,
    begun: Instant,
    said: Instant,
    done: u64,
    total: u64,
}

impl Bar {
    /// A bar for `what`, of `total` steps.
    #[must_use]
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} ETA {eta}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what.clone())
        });
        let now = Instant::now();
        Self { what, bar, begun: now, said: now, done: 0, total }
    }

    /// So much is done, of so much.
    pub fn at(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done, total);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None if self.said.elapsed() >= EVERY => {
                self.said = Instant::now();
                let rate = self.rate();
                let left = total.saturating_sub(done) as f64 / rate.max(1.0);
                stderr::say(format_args!("{}: {done} of {total}, {rate:.0}/s, about {left:.0} s left", self.what));
            }
            None => {}
        }
    }

    /// All done, or given up: the bar goes; how much was done in what time stays.
    pub fn finish(self) {
        let rate = self.rate();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        stderr::say(format_args!(
            "{}: {} in {:.1} s, {rate:.0}/s",
            self.what,
            self.done,
            self.begun.elapsed().as_secs_f64()
        ));
    }

    fn rate(&self) -> f64 {
        self.done as f64 / self.begun.elapsed().as_secs_f64().max(0.001)
    }
}
