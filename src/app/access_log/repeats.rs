//! [`Repeats`]: counts reads that are recorded already, until the minutes of their record are over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::ReadsInMinute;
use super::commands::{RecordRead, RecordRepeats};
use super::recorder::WINDOW;
use crate::commands::Context;

/// The most reads that are counted at a time. Further ones are recorded one by one.
const MAX: usize = 10_000;

const MINUTE: i64 = 60;

/// The counts, by the id of the record and the grants that allowed the read.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<(Uuid, Vec<Uuid>), Repeat>>);

/// How often something was read again.
pub(super) struct Repeat {
    /// The second in which the minutes of its record begin.
    begin: i64,
    pub record: RecordRepeats,
    pub context: Context,
}

impl Repeats {
    /// Counts a read at this time that the record with the context's id covers. Returns the count, to be recorded at once, if there
    /// is no room for it.
    pub(super) fn count(&self, read: &RecordRead, context: &Context, at: Timestamp, begin: i64) -> Option<Repeat> {
        let key = (context.id().unwrap_or_default(), context.grants().to_vec());
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repeat) = counted.get_mut(&key) {
            repeat.add(at);
            return None;
        }
        let RecordRead { log, what, of, asked, to, .. } = read.clone();
        let record = RecordRepeats { log, what, of, asked, to, minutes: Vec::new() };
        let mut repeat = Repeat { begin, record, context: context.clone() };
        repeat.add(at);
        if counted.len() >= MAX {
            return Some(repeat);
        }
        counted.insert(key, repeat);
        None
    }

    /// Takes the counts whose minutes are over at this time, or all of them.
    pub(super) fn due(&self, now: Timestamp, all: bool) -> Vec<Repeat> {
        let over = |repeat: &Repeat| !(0..WINDOW).contains(&now.as_second().saturating_sub(repeat.begin));
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due: Vec<Repeat> =
            counted.extract_if(|_, repeat| all || over(repeat)).map(|(_, repeat)| repeat).collect();
        drop(counted);
        due.sort_by_key(|repeat| repeat.record.minutes.first().map(|minute| minute.first));
        due
    }
}

impl Repeat {
    fn add(&mut self, at: Timestamp) {
        let minute_of = |time: Timestamp| time.as_second().div_euclid(MINUTE);
        let minutes = &mut self.record.minutes;
        match minutes.iter_mut().find(|minute| minute_of(minute.first) == minute_of(at)) {
            Some(minute) => {
                minute.times = minute.times.saturating_add(1);
                (minute.first, minute.last) = (minute.first.min(at), minute.last.max(at));
            }
            None => minutes.push(ReadsInMinute { times: 1, first: at, last: at }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AccessLogId;
    use super::*;
    use crate::commands::internal_id;
    use crate::events::Ref;
    use crate::projections::audit::RecordedFilters;

    fn read() -> RecordRead {
        let log = AccessLogId::new("2026-01-01");
        RecordRead { log, what: "w".into(), of: Vec::new(), asked: RecordedFilters::new(), left: None, to: None }
    }

    fn by(id: Uuid) -> Context {
        Context::by(Ref::unchecked("user", "bob")).internal(id)
    }

    #[test]
    fn reads_are_counted_by_minute_until_the_window_is_over() {
        let (repeats, id) = (Repeats::default(), internal_id::random());
        let at = |second| Timestamp::from_second(second).unwrap();
        for second in [601, 605, 659, 660, 1_199] {
            assert!(repeats.count(&read(), &by(id), at(second), 600).is_none());
        }
        assert!(repeats.due(at(1_199), false).is_empty(), "the window is not over");
        let [repeat] = &repeats.due(at(1_200), false)[..] else { panic!("one count") };
        let counted: Vec<(u64, i64, i64)> = repeat
            .record
            .minutes
            .iter()
            .map(|minute| (minute.times, minute.first.as_second(), minute.last.as_second()))
            .collect();
        assert_eq!(counted, [(3, 601, 659), (1, 660, 660), (1, 1_199, 1_199)]);
        assert!(repeats.due(at(1_200), true).is_empty(), "each is counted once");
    }

    /// A read by another grant is another count. What there is no room for is not lost.
    #[test]
    fn more_reads_than_fit_in_memory_are_recorded_one_by_one() {
        let (repeats, now) = (Repeats::default(), Timestamp::UNIX_EPOCH);
        for n in 0..MAX as u128 {
            let context = by(Uuid::from_u128(1)).allowed_by(vec![Uuid::from_u128(n)]);
            assert!(repeats.count(&read(), &context, now, 0).is_none());
        }
        let full = repeats.count(&read(), &by(Uuid::from_u128(2)), now, 0).expect("there is no room");
        assert_eq!(full.record.minutes[0].times, 1);
        assert_eq!(repeats.due(now, true).len(), MAX);
    }
}
