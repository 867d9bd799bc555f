//! Many commands in order, without waiting for each: decided one after the other on the states that follow from the
//! ones before, appended in batches.
//!
//! All commands in flight form a chain: if one of them meets a conflict, everything decided after it fails with it
//! and is decided again behind it, so that the log's order is the order in which the commands came.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, Stream, StreamExt};

use super::engine::{Completion, Executed, InFlight, Prepared};
use super::received::Received;
use super::{Engine, Envelope, ExecuteError};

static ORDER_GROUPS: AtomicU64 = AtomicU64::new(1);

/// A command that was taken from the input.
enum Slot {
    /// Answered.
    Done(Executed),
    /// To be decided.
    Waiting(Box<Prepared>),
    /// Decided, on its way to the log.
    InFlight(Box<Prepared>, InFlight),
}

struct Pipeline<S> {
    engine: Arc<Engine>,
    input: S,
    ended: bool,
    window: usize,
    order_group: u64,
    /// Commands in order: flying ones first, then waiting ones; answered ones anywhere.
    slots: VecDeque<Slot>,
}

/// Executes commands in the order in which they come, at most `window` at a time; answers in the same order.
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
                            self.take(chunk).await;
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
        self.take(chunk).await;
    }

    /// Prepares a chunk of the input. What the log knows already is answered here, without a decision.
    async fn take(&mut self, chunk: Option<Vec<Envelope>>) {
        let Some(chunk) = chunk else {
            self.ended = true;
            return;
        };
        let receive = |Envelope { command, context }| self.engine.receive(command, &context);
        let received: Vec<_> = chunk.into_iter().map(receive).collect();
        let given: Vec<_> = received.iter().flatten().filter_map(Received::callers_id).collect();
        let known = match given.is_empty() {
            true => Ok(Vec::new()),
            false => self.engine.store.find_commands(&given).await.map_err(Arc::new),
        };
        let mut known = known.map(Vec::into_iter);
        for received in received {
            let slot = match received {
                Err(error) => Slot::Done(Err(error)),
                Ok(received) => match (received.callers_id(), &mut known) {
                    (Some(id), Err(error)) => Slot::Done(Err(ExecuteError::store(id, error.clone()))),
                    (Some(_), Ok(known)) => match known.next().flatten() {
                        Some(known) => Slot::Done(received.recall(known)),
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

    /// Decides and sends what waits, in order.
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

    /// The first command's answer; `None` when it has to be asked for again.
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

    /// After a conflict: everything behind it has failed too, or was answered; a new chain begins.
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
