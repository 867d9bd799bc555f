//! [`Denials`]: merges the denials of one actor within a time window, so that a flood of them causes few events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::recorder::WINDOW;
use crate::commands::Context;
use crate::events::Ref;

/// The most different denials of one actor that are recorded singly in a window. Further ones are counted by reason.
const DISTINCT: usize = 16;

/// The most reasons that are counted separately for one actor. A reason may contain text from the request.
const REASONS: usize = 16;

/// The reason for all further ones.
const OTHER_REASONS: &str = "various reasons";

/// The most actors in memory.
const ACTORS: usize = 10_000;

/// The delay until the first count of a window is recorded. It doubles with each further count.
const FIRST_COUNT: Duration = Duration::from_secs(1);

/// An actor and its principal.
type Party = (Ref, Option<Ref>);

#[derive(Default)]
pub(super) struct Denials(Mutex<HashMap<Party, Window>>);

/// The denials of one actor in one window.
struct Window {
    begin: i64,
    /// The digests of denials that are recorded singly.
    recorded: HashSet<[u8; 32]>,
    /// The number of others, by reason, since the last count was recorded.
    counted: BTreeMap<String, u64>,
    /// The context of the last counted denial.
    context: Context,
    /// When the next count is due, and the delay of the one after it.
    due: Instant,
    pause: Duration,
}

/// What to do with a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Record it: it is the first of its kind.
    First,
    /// Nothing: it was counted.
    Counted,
    /// There are more denied actors than fit in memory.
    TooManyActors,
}

/// A count that is due.
pub(super) struct Count {
    pub context: Context,
    pub reason: String,
    pub denials: u64,
}

impl Denials {
    /// Adds a denial whose record has this digest, in the window that began at `begin`.
    pub(super) fn merge(&self, context: &Context, digest: [u8; 32], reason: &str, begin: i64) -> Merged {
        let mut actors = self.lock();
        let who = who(context);
        if !actors.contains_key(&who) && actors.len() >= ACTORS {
            actors.retain(|_, window| window.begin >= begin || !window.counted.is_empty());
            if actors.len() >= ACTORS {
                return Merged::TooManyActors;
            }
        }
        let window = actors.entry(who).or_insert_with(|| Window::new(begin, context));
        if window.begin != begin {
            let counted = std::mem::take(&mut window.counted);
            // Keep what the last window counted: it is recorded with the next count.
            *window = Window { counted, ..Window::new(begin, context) };
        }
        if !window.recorded.contains(&digest) && window.recorded.len() < DISTINCT {
            window.recorded.insert(digest);
            return Merged::First;
        }
        window.count(context, reason);
        Merged::Counted
    }

    /// Counts a denial that is already recorded.
    pub(super) fn count(&self, context: &Context, reason: &str) {
        if let Some(window) = self.lock().get_mut(&who(context)) {
            window.count(context, reason);
        }
    }

    /// Takes the counts that are due by now, or all of them.
    pub(super) fn due(&self, now: Instant, all: bool) -> Vec<Count> {
        let mut due = Vec::new();
        for window in self.lock().values_mut().filter(|window| all || window.due <= now) {
            let counted = std::mem::take(&mut window.counted);
            let count = |(reason, denials)| Count { context: window.context.clone(), reason, denials };
            due.extend(counted.into_iter().map(count));
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Party, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn new(begin: i64, context: &Context) -> Self {
        Self {
            begin,
            recorded: HashSet::new(),
            counted: BTreeMap::new(),
            context: context.clone(),
            due: Instant::now(),
            pause: FIRST_COUNT,
        }
    }

    fn count(&mut self, context: &Context, reason: &str) {
        if self.counted.is_empty() {
            self.due = Instant::now() + self.pause;
            self.pause *= 2;
        }
        self.context = context.clone();
        let known = self.counted.contains_key(reason) || self.counted.len() < REASONS;
        let reason = if known { reason } else { OTHER_REASONS };
        *self.counted.entry(reason.to_owned()).or_default() += 1;
    }
}

fn who(context: &Context) -> Party {
    (context.actor().clone(), context.metadata().on_behalf_of.clone())
}

/// Returns the beginning of the window of this second.
pub(super) fn window_of(second: i64) -> i64 {
    second - second.rem_euclid(WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(id: &str) -> Context {
        Context::by(Ref::unchecked("user", id))
    }

    /// A flood of one actor's denials, each of another thing and for another reason, causes few records and counts.
    #[test]
    fn a_flood_of_different_denials_causes_few_records_and_counts() {
        let denials = Denials::default();
        let mallory = by("mallory");
        let merged: Vec<Merged> = (0..5_000u64)
            .map(|n| {
                let mut digest = [0; 32];
                digest[..8].copy_from_slice(&n.to_be_bytes());
                denials.merge(&mallory, digest, &format!("no {n}"), 0)
            })
            .collect();
        assert_eq!(merged.iter().filter(|merged| **merged == Merged::First).count(), DISTINCT);
        assert!(denials.due(Instant::now(), false).is_empty(), "no count is due yet");
        let counts = denials.due(Instant::now() + FIRST_COUNT, false);
        assert_eq!(counts.len(), REASONS + 1);
        assert_eq!(counts.iter().map(|count| count.denials).sum::<u64>(), 5_000 - DISTINCT as u64);
        assert!(denials.due(Instant::now(), true).is_empty(), "each is counted once");
        assert_eq!(denials.merge(&mallory, [9; 32], "no", 600), Merged::First, "a later window");
        assert_eq!(denials.merge(&by("eve"), [9; 32], "no", 0), Merged::First, "another actor");
    }

    /// Another process recorded the same denial first.
    #[test]
    fn a_denial_that_the_log_has_already_is_counted_once() {
        let denials = Denials::default();
        let mallory = by("mallory");
        assert_eq!(denials.merge(&mallory, [1; 32], "no", 0), Merged::First);
        denials.count(&mallory, "no");
        let counts = denials.due(Instant::now(), true);
        assert_eq!(counts.iter().map(|count| (&*count.reason, count.denials)).collect::<Vec<_>>(), [("no", 1)]);
    }

    /// The delay between counts of one window grows; no count is lost when the window ends.
    #[test]
    fn counts_are_recorded_less_and_less_often_and_outlive_their_window() {
        let denials = Denials::default();
        let mallory = by("mallory");
        let one = |begin| denials.merge(&mallory, [1; 32], "no", begin);
        assert_eq!((one(0), one(0)), (Merged::First, Merged::Counted));
        assert_eq!(denials.due(Instant::now() + FIRST_COUNT, false).len(), 1);
        assert_eq!(one(0), Merged::Counted);
        assert!(denials.due(Instant::now() + FIRST_COUNT, false).is_empty());
        assert_eq!((one(600), one(600)), (Merged::First, Merged::Counted));
        let counts = denials.due(Instant::now(), true);
        assert_eq!(counts.iter().map(|count| count.denials).sum::<u64>(), 2);
    }

    #[test]
    fn more_actors_than_fit_in_memory_are_reported_and_old_ones_are_forgotten() {
        let denials = Denials::default();
        for n in 0..ACTORS {
            assert_eq!(denials.merge(&by(&n.to_string()), [1; 32], "no", 0), Merged::First);
        }
        assert_eq!(denials.merge(&by("x"), [1; 32], "no", 0), Merged::TooManyActors);
        assert_eq!(denials.merge(&by("x"), [1; 32], "no", 600), Merged::First);
    }
}
