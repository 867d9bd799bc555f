//! [`Lanes`]: the order of messages about the same subject.

use std::collections::{HashMap, VecDeque};

use super::source::IncomingMessage;

/// Messages by subject: of each one is executed, and the others wait.
#[derive(Default)]
pub(super) struct Lanes {
    waiting: HashMap<String, VecDeque<IncomingMessage>>,
    count: usize,
}

impl Lanes {
    /// How many messages there are: those that are executed, and those that wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds a message. Returns it if it can be executed at once.
    pub(super) fn add(&mut self, subject: &str, message: IncomingMessage) -> Option<IncomingMessage> {
        self.count += 1;
        match self.waiting.get_mut(subject) {
            Some(lane) => {
                lane.push_back(message);
                None
            }
            None => {
                self.waiting.insert(subject.to_owned(), VecDeque::new());
                Some(message)
            }
        }
    }

    /// The message of a subject that was executed is settled. Returns the next one.
    pub(super) fn settled(&mut self, subject: &str) -> Option<IncomingMessage> {
        self.count = self.count.saturating_sub(1);
        let next = self.waiting.get_mut(subject)?.pop_front();
        if next.is_none() {
            self.waiting.remove(subject);
        }
        next
    }

    /// Forgets what waits: it is not settled, so it is delivered again.
    pub(super) fn forget_waiting(&mut self) {
        for lane in self.waiting.values_mut() {
            self.count -= lane.len();
            lane.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_subject_one_message_is_executed_at_a_time_in_order() {
        let message = |tag| IncomingMessage { tag, ..IncomingMessage::default() };
        let mut lanes = Lanes::default();
        assert_eq!(lanes.add("a", message(1)).map(|message| message.tag), Some(1));
        assert_eq!(lanes.add("a", message(2)), None);
        assert_eq!(lanes.add("b", message(3)).map(|message| message.tag), Some(3));
        assert_eq!(lanes.add("a", message(4)), None);
        assert_eq!(lanes.count(), 4);
        assert_eq!(lanes.settled("a").map(|message| message.tag), Some(2));
        assert_eq!(lanes.settled("b"), None);
        assert_eq!(lanes.settled("a").map(|message| message.tag), Some(4));
        assert_eq!((lanes.settled("a"), lanes.count()), (None, 0));
        assert_eq!(lanes.add("a", message(5)).map(|message| message.tag), Some(5));
        assert_eq!(lanes.add("a", message(6)), None);
        lanes.forget_waiting();
        assert_eq!((lanes.count(), lanes.settled("a")), (1, None));
    }
}
