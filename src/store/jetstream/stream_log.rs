//! [`StreamLog`]: the stream and its local copy: appends to the first, and applies what it has to the second.
//!
//! The caller holds the file lock of the copy.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::claims::{Claims, LIVES, TURN};
use super::link::NoAnswer;
use super::local::{Applied, LocalCopy, Staged, Tip};
use super::message::{BatchMessage, Message};
use super::settle::{Chain, DOUBT, Placed, chain, place};
use super::stream::{At, Stream};
use crate::events::LogPosition;
use crate::store::{Batch, Outcome, StoreError};

/// How long a process waits for its turn.
pub(super) const WAIT: Duration = Duration::from_secs(30);
/// How long a message that the leader has may be missing on another server.
const LAG: Duration = Duration::from_secs(10);
/// After this time without it, the leader is asked.
const PATIENCE: Duration = Duration::from_millis(50);
/// The pause before a server is asked again for messages that it must have soon.
pub(super) const PAUSE: Duration = Duration::from_millis(2);
/// How old the last sign may be that the stream has the last batch of the copy. A batch that is confirmed later is answered only
/// after a look: a stream that was restored confirms what it never had a place for.
const SIGN: Duration = Duration::from_millis(250);
/// What headers and names add to a batch, at most.
const OVERHEAD: usize = 2_048;

pub(super) struct StreamLog {
    pub(super) stream: Stream,
    pub(super) local: LocalCopy,
    pub(super) claims: Claims,
    pub(super) me: Uuid,
    /// The most bytes of a message.
    max_payload: usize,
    /// When the stream was last seen to have the last batch of the copy, and how often the connection had been disturbed by then.
    sign: Option<(Instant, u64)>,
    /// Whether another process's batch was there first.
    pub(super) contended: bool,
    /// Whether the outcome of a batch of this process is unknown.
    pub(super) unsettled: bool,
    /// The head that the log has lost, until a caller gets the error for it.
    lost: Option<LogPosition>,
    /// Whether a message may have been sent whose transaction is still open.
    pub(super) sending: bool,
}

impl StreamLog {
    pub(super) fn new(stream: Stream, local: LocalCopy, max_payload: usize) -> Self {
        let me = Uuid::new_v4();
        Self {
            stream,
            local,
            claims: Claims::new(me),
            me,
            max_payload,
            sign: None,
            contended: false,
            unsettled: false,
            lost: None,
            sending: false,
        }
    }

    fn unusable(&self, error: &NoAnswer) -> StoreError {
        self.stream.location().unusable(error.to_string())
    }

    pub(super) fn tip(&self) -> Result<Tip, StoreError> {
        self.local.tip()?.ok_or_else(|| self.stream.location().unusable("its local file is no copy any more"))
    }

    /// Appends a batch.
    pub(super) async fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let bytes: usize = batch.commits().iter().map(|commit| commit.bytes()).sum();
        if bytes + OVERHEAD > self.max_payload {
            return Err(self.too_large(bytes));
        }
        let until = Instant::now() + WAIT;
        loop {
            self.take_turn(LIVES, until).await?;
            if let Some(lost) = self.lost.take() {
                self.local.forget();
                return Err(StoreError::Diverged(lost));
            }
            let staged = match self.local.stage(batch) {
                Ok(staged) => staged,
                // A batch whose answer was lost may be in the stream and not yet in the copy: the error says nothing before that is known.
                Err(error) if self.unsettled => {
                    self.confirm(until).await?;
                    if self.unsettled {
                        return Err(error);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let ends_turn = self.claims.mine_since().is_some_and(|since| since.elapsed() >= TURN);
            let message = self.message(&staged, ends_turn);
            if let Some(outcomes) = self.send(batch, staged, message).await? {
                return Ok(outcomes);
            }
            if Instant::now() >= until {
                return Err(StoreError::Busy(WAIT));
            }
        }
    }

    fn message(&self, staged: &Staged, ends_turn: bool) -> BatchMessage {
        let (previous, process) = (staged.tip.batch, self.me);
        BatchMessage { id: Uuid::new_v4(), previous, process, ends_turn, rows: staged.rows.clone() }
    }

    pub(super) fn too_large(&self, bytes: usize) -> StoreError {
        let reason = format!(
            "{bytes} bytes do not fit in one message: the servers accept {} (their setting max_payload, 8 MB is advised)",
            self.max_payload
        );
        StoreError::Rejected { doing: "appending", source: reason.into() }
    }

    /// Sends a staged batch. Returns `None` if another message was there first: it is applied.
    async fn send(
        &mut self,
        batch: &Batch,
        staged: Staged,
        message: BatchMessage,
    ) -> Result<Option<Vec<Outcome>>, StoreError> {
        let bytes = message.rows.len();
        self.sending = true;
        let placed = self.place_on_chain(staged.tip, &message).await;
        self.sending = false;
        let next = staged.tip.sequence + 1;
        if !matches!(placed, Placed::Ours) {
            self.local.roll_back();
        }
        match placed {
            Placed::Ours => {
                self.local.commit(batch, &staged, staged.tip.after(message.id))?;
                self.claims.read_one(next, &Message::Batch(message));
                (self.contended, self.unsettled) = (false, false);
                Ok(Some(staged.outcomes))
            }
            Placed::Other(other) => {
                self.contended = matches!(&other, Message::Batch(other) if other.process != self.me);
                self.unsettled = false;
                self.absorb(vec![(next, other)]).await?;
                Ok(None)
            }
            Placed::Closed(why) => {
                self.unsettled = false;
                Err(self
                    .stream
                    .location()
                    .unusable(format!("the stream did not accept a batch; nothing was written: {why}")))
            }
            Placed::Diverged => {
                self.remake().await?;
                Ok(None)
            }
            Placed::TooLarge => Err(self.too_large(bytes)),
            Placed::NotSent(why) => Err(self.stream.location().unusable(why)),
            Placed::Unknown(why) => {
                self.unsettled = true;
                Err(StoreError::OutcomeUnknown(why.into()))
            }
        }
    }

    /// Puts a batch after the tip. One that is confirmed after a stream that was restored is void.
    pub(super) async fn place_on_chain(&mut self, tip: Tip, message: &BatchMessage) -> Placed {
        let began = Instant::now();
        let placed = place(&mut self.stream, tip, message, self.unsettled).await;
        let disturbances = self.stream.link.disturbances();
        let seen = self.sign.is_some_and(|(sign, then)| sign.elapsed() < SIGN && then == disturbances);
        if seen || !matches!(placed, Placed::Ours) {
            return placed;
        }
        loop {
            match chain(&mut self.stream, tip).await {
                Ok(Chain::Same) => {
                    self.signed();
                    return placed;
                }
                Ok(Chain::Other) => return Placed::Diverged,
                Ok(Chain::Nothing) if began.elapsed() < DOUBT => sleep(PAUSE).await,
                Ok(Chain::Nothing) => return Placed::Diverged,
                Err(_) if began.elapsed() < WAIT => sleep(PAUSE).await,
                Err(error) => return Placed::Unknown(error.to_string()),
            }
        }
    }

    /// The stream was seen to have the last batch of the copy.
    fn signed(&mut self) {
        self.sign = Some((Instant::now(), self.stream.link.disturbances()));
    }

    /// This process has appended nothing that the log could have lost.
    pub(super) fn begin(&mut self) {
        self.lost = None;
    }

    /// Reads and applies the stream up to a message that it has.
    pub(super) async fn catch_up(&mut self, to: u64) -> Result<(), StoreError> {
        let mut moved = Instant::now();
        while self.claims.seen() < to {
            let mut read = self.patient_step(moved + LAG).await?;
            let next = self.claims.seen() + 1;
            // The server that answered lags, and the leader does not.
            if read == 0
                && moved.elapsed() >= PATIENCE
                && let Ok(Some(message)) = self.stream.get(next).await
            {
                read = self.absorb(vec![(next, message)]).await?;
            }
            if read > 0 {
                moved = Instant::now();
            } else if moved.elapsed() >= LAG {
                let reason = format!("no server returns its message {next}, which it must have");
                return Err(self.stream.location().unusable(reason));
            } else {
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// The same as [`step`](Self::step), where an answer that is lost is asked for again.
    pub(super) async fn patient_step(&mut self, until: Instant) -> Result<usize, StoreError> {
        loop {
            match self.stream.after(self.claims.seen()).await {
                Ok(messages) => return self.absorb(messages).await,
                Err(NoAnswer::Lost(_) | NoAnswer::Unreachable(_)) if Instant::now() < until => sleep(PAUSE).await,
                Err(error) => return Err(self.unusable(&error)),
            }
        }
    }

    /// Compares the stream with the copy, also while a leader is elected.
    async fn patient_chain(&mut self, tip: Tip) -> Result<Chain, StoreError> {
        let until = Instant::now() + WAIT;
        loop {
            match chain(&mut self.stream, tip).await {
                Err(NoAnswer::Lost(_) | NoAnswer::Unreachable(_)) if Instant::now() < until => sleep(PAUSE).await,
                chain => return chain.map_err(|error| self.unusable(&error)),
            }
        }
    }

    /// Reads and applies some messages. Returns their number.
    pub(super) async fn step(&mut self) -> Result<usize, StoreError> {
        let messages = self.stream.after(self.claims.seen()).await.map_err(|error| self.unusable(&error))?;
        self.absorb(messages).await
    }

    /// Applies messages that follow those that were read. Returns their number.
    pub(super) async fn absorb(&mut self, messages: Vec<At>) -> Result<usize, StoreError> {
        if messages.is_empty() {
            return Ok(0);
        }
        let before = self.tip()?;
        match self.local.apply(&messages, false)? {
            Applied::Done(tip) if tip.batch != before.batch => self.signed(),
            Applied::Done(_) => {}
            Applied::Behind(tip) => {
                self.claims.begin_after(tip);
                return Ok(messages.len());
            }
            // Either the message is void, or the stream is not the one that the copy is of.
            Applied::Misfit(_) => match self.patient_chain(before).await? {
                Chain::Same => _ = self.local.apply(&messages, true)?,
                Chain::Other => {
                    self.remake().await?;
                    return Ok(messages.len());
                }
                Chain::Nothing => {
                    let reason =
                        "it lacks a message that it had: another server may have it, or the stream was restored";
                    return Err(self.stream.location().unusable(reason));
                }
            },
        }
        self.claims.read(&messages);
        Ok(messages.len())
    }

    /// Makes the copy again from the stream, which no longer has all that the copy has: it was restored. The old copy is kept beside it.
    pub(super) async fn remake(&mut self) -> Result<(), StoreError> {
        let tip = self.tip()?;
        let first = self.stream.get(1).await.map_err(|error| self.unusable(&error))?;
        if first.and_then(|first| first.batch_id()) != Some(tip.incarnation) {
            let reason = format!(
                "the stream is another one than before: restore it, or remove {} to begin with this one",
                self.local.location.path().display()
            );
            return Err(self.stream.location().unusable(reason));
        }
        let head = self.local.head()?;
        let kept = self.local.empty(Tip::genesis(tip.incarnation))?;
        tracing::error!(
            position = head.position,
            %kept,
            "the stream was restored and lacks events: the local file is made again, a backup of the old one is kept"
        );
        self.claims.begin_after(1);
        loop {
            let messages = self.stream.after(self.claims.seen()).await.map_err(|error| self.unusable(&error))?;
            let Some((last, _)) = messages.last() else { break };
            self.local.apply(&messages, true)?;
            self.claims.begin_after(*last);
        }
        self.signed();
        if !self.local.has(head)? {
            self.lost = Some(head);
        }
        Ok(())
    }
}
