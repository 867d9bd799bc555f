//! Pipelined execution of many commands in order: each is decided on the states after the ones before it, without waiting
//! for their commits, and the commits are appended in batches.
//!
//! All commands in flight form an order group: when one conflicts, everything decided after it conflicts too and is decided
//! again behind it. So the log has the commands in the order in which they came.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, Stream, StreamExt};

use super::command_id_lookup::find_confirmed;
use super::engine::{Completion, Executed, InFlight};
use super::prepared::Prepared;
use super::received::Received;
use super::{Engine, Envelope, ExecuteError};

static ORDER_GROUPS: AtomicU64 = AtomicU64::new(1);

/// A command that was read from the input.
enum Slot {
    /// Answered.
    Done(Executed),
    /// Prepared, to be decided.
    Waiting(Box<Prepared>),
    /// Decided; its commit is queued.
    InFlight(Box<Prepared>, InFlight),
}

struct Pipeline<S> {
    engine: Arc<Engine>,
    input: S,
    ended: bool,
    window: usize,
    order_group: u64,
    /// Commands in order: those in flight first, then those that wait; answered ones anywhere.
    slots: VecDeque<Slot>,
}

/// Executes commands in input order, at most `window` at a time, and yields their answers in the same order.
pub(crate) fn execute_all<S>(engine: Arc<Engine>, input: S, window: usize) -> impl Stream<Item = Executed>
where
    S: Stream<Item = Envelope> + Unpin,
{
    let window = window.max(1);
    let pipeline = Pipeline {
        engine,
        input: input.ready_chunks(window),
        ended: false,
        window,
        order_group: ORDER_GROUPS.fetch_add(1, Ordering::Relaxed),
        slots: VecDeque::new(),
    };
    stream::unfold(pipeline, |mut pipeline| async move {
        let executed = pipeline.next().await?;
        Some((executed, pipeline))
    })
}

impl<S: Stream<Item = Vec<Envelope>> + Unpin> Pipeline<S> {
    async fn next(&mut self) -> Option<Executed> {
        loop {
            self.submit_waiting().await;
            let full = self.slots.len() >= self.window;
            let Some(front) = self.slots.front_mut() else {
                if self.ended {
                    return None;
                }
                self.read_input().await;
                continue;
            };
            if let Slot::InFlight(_, in_flight) = front {
                if self.ended || full {
                    in_flight.ready().await;
                } else {
                    tokio::select! {
                        biased;
                        chunk = self.input.next() => {
                            self.receive(chunk).await;
                            continue;
                        }
                        () = in_flight.ready() => {}
                    }
                }
            }
            if let Some(executed) = self.complete_front().await {
                return Some(executed);
            }
        }
    }

    async fn read_input(&mut self) {
        let chunk = self.input.next().await;
        self.receive(chunk).await;
    }

    /// Prepares a chunk of the input. A command whose id the log already has is answered without a decision.
    async fn receive(&mut self, chunk: Option<Vec<Envelope>>) {
        let Some(chunk) = chunk else {
            self.ended = true;
            return;
        };
        let receive = |Envelope { command, context }| self.engine.receive(command, &context);
        let mut received: Vec<_> = chunk.into_iter().map(receive).collect();
        for one in &mut received {
            if let Ok(command) = one
                && let Err(error) = self.engine.digest_with_keys(command).await
            {
                *one = Err(error);
            }
        }
        let given: Vec<_> = received.iter().flatten().filter_map(Received::caller_id).collect();
        let known = match given.is_empty() {
            true => Ok(Vec::new()),
            false => find_confirmed(&*self.engine.store, &given).await,
        };
        let mut known = known.map(Vec::into_iter);
        for received in received {
            let slot = match received {
                Err(error) => Slot::Done(Err(error)),
                Ok(received) => match (received.caller_id(), &mut known) {
                    (Some(id), Err(error)) => Slot::Done(Err(ExecuteError::store(id, error.clone()))),
                    (Some(_), Ok(known)) => match known.next().flatten() {
                        Some(known) => Slot::Done(self.engine.answer_known(&received, known).await),
                        None => self.prepare(received).await,
                    },
                    (None, _) => self.prepare(received).await,
                },
            };
            self.slots.push_back(slot);
        }
    }

    async fn prepare(&self, received: Received) -> Slot {
        match self.engine.prepare(received).await {
            ControlFlow::Continue(prepared) => Slot::Waiting(Box::new(prepared)),
            ControlFlow::Break(executed) => Slot::Done(executed),
        }
    }

    /// Decides the waiting commands in order, and queues their commits.
    async fn submit_waiting(&mut self) {
        for index in 0..self.slots.len() {
            let Slot::Waiting(_) = &self.slots[index] else { continue };
            let Slot::Waiting(prepared) =
                std::mem::replace(&mut self.slots[index], Slot::Done(Err(ExecuteError::NotExecuted)))
            else {
                continue;
            };
            self.slots[index] = match self.engine.submit(&prepared, Some(self.order_group)).await {
                Ok(in_flight) => Slot::InFlight(prepared, in_flight),
                Err(error) => Slot::Done(Err(error)),
            };
        }
    }

    /// Returns the first command's answer, or `None` if the command still waits.
    async fn complete_front(&mut self) -> Option<Executed> {
        match self.slots.pop_front()? {
            Slot::Done(executed) => Some(executed),
            Slot::Waiting(prepared) => {
                self.slots.push_front(Slot::Waiting(prepared));
                None
            }
            Slot::InFlight(prepared, in_flight) => match self.engine.complete(&prepared, in_flight).await {
                Completion::Done(executed) => Some(executed),
                Completion::Conflict => {
                    self.drain().await;
                    Some(self.engine.run(&prepared).await)
                }
            },
        }
    }

    /// After a conflict: collects the answers of all commands in flight, which conflicted too or completed, and starts a new
    /// order group.
    async fn drain(&mut self) {
        for slot in &mut self.slots {
            *slot = match std::mem::replace(slot, Slot::Done(Err(ExecuteError::NotExecuted))) {
                Slot::InFlight(prepared, in_flight) => match self.engine.complete(&prepared, in_flight).await {
                    Completion::Done(executed) => Slot::Done(executed),
                    Completion::Conflict => Slot::Waiting(prepared),
                },
                other => other,
            };
        }
        self.engine.queue.end_order_group(self.order_group);
        self.order_group = ORDER_GROUPS.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S> Drop for Pipeline<S> {
    fn drop(&mut self) {
        self.engine.queue.end_order_group(self.order_group);
    }
}
