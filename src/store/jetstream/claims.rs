//! [`Claims`]: whose turn it is to append.
//!
//! The fence alone is safe, but not fair: the process that reads fastest wins each time. So a process that was refused once claims a
//! turn, by a message of the stream. The claims are a queue that every process sees alike. The first one has its turn until it says that
//! it ends, or until its claim has lived for its time: the process may be gone. Only the waiting depends on it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::message::Message;
use super::stream::At;

/// How long a claim lives once it is the first, if its process does nothing.
pub(super) const LIVES: Duration = Duration::from_millis(250);
/// How long a process appends in its turn.
pub(super) const TURN: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Claim {
    process: Uuid,
    lives: Duration,
    /// Since when it is the first.
    first: Option<Instant>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody's: the fence decides.
    Free,
    Mine,
    Other,
}

/// The claims of all processes, as this one has read them.
#[derive(Debug)]
pub(super) struct Claims {
    me: Uuid,
    queue: VecDeque<Claim>,
    /// The sequence of the last message that was considered.
    seen: u64,
}

impl Claims {
    pub(super) fn new(me: Uuid) -> Self {
        Self { me, queue: VecDeque::new(), seen: 0 }
    }

    /// Forgets everything up to a sequence: claims of long ago.
    pub(super) fn begin_after(&mut self, sequence: u64) {
        self.queue.clear();
        self.seen = sequence;
    }

    /// The sequence of the last message that was considered.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Considers messages.
    pub(super) fn read(&mut self, messages: &[At]) {
        for (sequence, message) in messages {
            self.read_one(*sequence, message);
        }
    }

    pub(super) fn read_one(&mut self, sequence: u64, message: &Message) {
        if sequence <= self.seen {
            return;
        }
        self.seen = sequence;
        match message {
            Message::Claim { process, lives } => {
                self.queue.push_back(Claim { process: *process, lives: *lives, first: None });
            }
            Message::Release { process } => self.end(*process),
            Message::Batch(batch) if batch.ends_turn => self.end(batch.process),
            _ => {}
        }
    }

    /// Ends the turn of a process, or withdraws its claim.
    fn end(&mut self, process: Uuid) {
        if let Some(at) = self.queue.iter().position(|claim| claim.process == process) {
            self.queue.remove(at);
        }
    }

    pub(super) fn turn(&mut self) -> Turn {
        let now = Instant::now();
        loop {
            let Some(claim) = self.queue.front_mut() else { return Turn::Free };
            let first = *claim.first.get_or_insert(now);
            if now.duration_since(first) < claim.lives {
                return if claim.process == self.me { Turn::Mine } else { Turn::Other };
            }
            self.queue.pop_front();
        }
    }

    /// Withdraws the claim of this process, before the message about it is read.
    pub(super) fn release_mine(&mut self) {
        self.end(self.me);
    }

    /// Since when this process has its turn.
    pub(super) fn mine_since(&self) -> Option<Instant> {
        self.queue.front().filter(|claim| claim.process == self.me).and_then(|claim| claim.first)
    }

    /// Whether this process has a claim.
    pub(super) fn has_mine(&self) -> bool {
        self.queue.iter().any(|claim| claim.process == self.me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::jetstream::message::BatchMessage;

    fn claim(process: Uuid, lives: u64) -> Message {
        Message::Claim { process, lives: Duration::from_millis(lives) }
    }

    fn batch(process: Uuid, ends_turn: bool) -> Message {
        let id = Uuid::new_v4();
        Message::Batch(BatchMessage { id, previous: id, process, ends_turn, rows: Vec::new() })
    }

    #[test]
    fn turns_are_in_the_order_of_claims_and_end_with_a_batch_that_says_so() {
        let [me, other] = [1, 2].map(Uuid::from_u128);
        let mut claims = Claims::new(me);
        assert_eq!(claims.turn(), Turn::Free);
        claims.read(&[(1, claim(other, 60_000)), (2, claim(me, 60_000))]);
        assert_eq!(claims.turn(), Turn::Other);
        claims.read(&[(3, batch(other, false)), (2, batch(other, true))]);
        assert_eq!(claims.turn(), Turn::Other, "its turn continues, and messages seen before do not count");
        claims.read(&[(4, batch(other, true))]);
        assert_eq!(claims.turn(), Turn::Mine);
        claims.read(&[(5, Message::Release { process: me })]);
        assert!(claims.turn() == Turn::Free && !claims.has_mine());
    }

    #[test]
    fn a_claim_whose_process_does_nothing_dies_and_delays_the_next_one_by_its_life() {
        let [me, gone] = [1, 2].map(Uuid::from_u128);
        let mut claims = Claims::new(me);
        claims.read(&[(1, claim(gone, 30)), (2, claim(me, 60_000))]);
        assert_eq!(claims.turn(), Turn::Other);
        std::thread::sleep(Duration::from_millis(40));
        assert_eq!(claims.turn(), Turn::Mine);
        assert!(claims.mine_since().is_some());
    }
}
