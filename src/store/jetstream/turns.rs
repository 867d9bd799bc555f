//! Whose turn it is to append, and what a process does in its turn: the part of [`StreamLog`] that waits for others.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::claims::{TURN, Turn};
use super::message::{BatchMessage, Message};
use super::settle::Placed;
use super::stream::Published;
use super::stream_log::{PAUSE, StreamLog, WAIT};
use crate::store::StoreError;

/// How long a process that has the turn for a write lock may need to bring its copy to the end of the stream.
const REACHING: Duration = Duration::from_secs(2);
/// The pause before a claim that the stream did not accept is sent again.
const CLAIM_AGAIN: Duration = Duration::from_millis(50);

impl StreamLog {
    /// Waits until no other process has its turn. A process that met another one claims its turn first.
    pub(super) async fn take_turn(&mut self, lives: Duration, until: Instant) -> Result<(), StoreError> {
        match self.claims.turn() {
            Turn::Mine => return Ok(()),
            Turn::Free if !self.contended => return Ok(()),
            _ => {}
        }
        self.claim(lives).await;
        while self.claims.turn() == Turn::Other {
            if Instant::now() >= until {
                return Err(StoreError::Busy(WAIT));
            }
            if self.patient_step(until).await? == 0 {
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Claims a turn, unless there is a claim of this process, and reads it. Without an answer there is none: the fence is enough.
    async fn claim(&mut self, lives: Duration) {
        if self.claims.has_mine() {
            return;
        }
        let claim = Message::Claim { process: self.me, lives }.encode();
        if let Ok(Published::Stored(at)) = self.stream.publish(&claim).await
            && let Err(error) = self.catch_up(at).await
        {
            tracing::debug!(%error, "a claim was not read");
        }
    }

    /// Ends the turn of this process, or withdraws its claim.
    pub(super) async fn release(&mut self) {
        let release = Message::Release { process: self.me };
        // Without it the claim dies by itself.
        if let Ok(Published::Stored(_)) = self.stream.publish(&release.encode()).await {
            self.claims.release_mine();
        }
    }

    /// Takes the turn for a write lock that is held for at most this time, and brings the copy to the end of the stream: what is
    /// loaded under the lock is all that there is.
    pub(super) async fn take_lock(&mut self, hold: Duration, until: Instant) -> Result<(), StoreError> {
        let lives = REACHING + hold + TURN;
        if self.claims.has_mine() {
            self.release().await;
        }
        loop {
            // Others count from when they read the claim.
            self.claim(lives).await;
            if !self.claims.has_mine() {
                if Instant::now() >= until {
                    return Err(self.stream.location().unusable("the stream does not accept a claim for the lock"));
                }
                sleep(CLAIM_AGAIN).await;
                continue;
            }
            self.take_turn(lives, until).await?;
            let began = Instant::now();
            self.reach_end(until).await?;
            if began.elapsed() < REACHING {
                return Ok(());
            }
            // For the others, the claim would end before the lock does.
            self.release().await;
        }
    }

    /// Brings the copy to the end of the stream.
    async fn reach_end(&mut self, until: Instant) -> Result<(), StoreError> {
        loop {
            match self.confirm(until).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // It does not matter whether it is stored later: the next one finds it.
                Err(StoreError::OutcomeUnknown(_)) if Instant::now() < until => {}
                Err(StoreError::OutcomeUnknown(_)) => return Err(StoreError::Busy(WAIT)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts an empty batch after the copy. Returns whether it is there, so that the copy has everything: a server that lags answers each
    /// other question as if there were nothing new. Otherwise another message is there: it is applied.
    pub(super) async fn confirm(&mut self, until: Instant) -> Result<bool, StoreError> {
        let tip = self.tip()?;
        let (previous, process) = (tip.batch, self.me);
        let empty = BatchMessage { id: Uuid::new_v4(), previous, process, ends_turn: false, rows: Vec::new() };
        // One that is given up may be stored later: it changes nothing.
        let placed = timeout_at(until, self.place_on_chain(tip, &empty)).await;
        let (next, mut is_ours) = (tip.sequence + 1, false);
        let found = match placed.map_err(|_| StoreError::Busy(WAIT))? {
            Placed::Ours => {
                is_ours = true;
                Message::Batch(empty)
            }
            Placed::Other(other) => other,
            Placed::Diverged => {
                self.remake().await?;
                return Ok(false);
            }
            // What closed the question is read by the next attempt.
            Placed::Closed(_) => {
                self.unsettled = false;
                return Ok(false);
            }
            Placed::NotSent(why) => return Err(self.stream.location().unusable(why)),
            Placed::Unknown(why) => return Err(StoreError::OutcomeUnknown(why.into())),
            Placed::TooLarge => return Err(self.too_large(0)),
        };
        self.unsettled = false;
        self.absorb(vec![(next, found)]).await?;
        Ok(is_ours)
    }
}
