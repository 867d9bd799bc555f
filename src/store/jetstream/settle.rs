//! Puts a batch at its sequence, and finds out what became of it whatever happens to the answers.
//!
//! The same bytes with the same expectation can be sent again and again: they exist once. A lost answer is settled only by what the
//! stream has at that sequence. That it has nothing there says nothing: what was proposed may still be stored, or not. After a time an
//! empty batch with the same expectation is sent instead: where that is stored, the other one never will be.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::link::NoAnswer;
use super::local::Tip;
use super::message::{BatchMessage, Message};
use super::stream::{Published, Stream};

/// After this time an empty batch closes the question. An election takes 4 to 9 seconds.
const CLOSING: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 30 });
/// After this time it is given up: the caller gets no answer, and asks again.
const GIVING_UP: Duration = Duration::from_secs(if cfg!(test) { 9 } else { 45 });
/// The same, for a batch that was given up before.
const GIVING_UP_AGAIN: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 8 });
/// A stream that ends before the copy for this long was restored: an election is over by then.
pub(super) const DOUBT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// After this time without a result another server may know more: a leader that was cut off refuses each message for ten seconds after one
/// that it cannot replicate.
const IMPATIENCE: Duration = Duration::from_secs(3);
/// The pauses between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Placed {
    /// It is in the stream, at the sequence after the tip.
    Ours,
    /// Another message is there: it is not in the stream.
    Other(Message),
    /// An empty batch of this process is there: it is not in the stream, which did not accept it, for this reason.
    Closed(String),
    /// The stream is not the one that the copy is of: the batch was decided on events that it does not have.
    Diverged,
    /// It has more bytes than the servers accept. It was not sent.
    TooLarge,
    /// No server could be reached: it was not sent.
    NotSent(String),
    /// It may be in the stream.
    Unknown(String),
}

/// Puts a batch after the tip. `again`: its outcome was unknown before.
pub(super) async fn place(stream: &mut Stream, tip: Tip, batch: &BatchMessage, again: bool) -> Placed {
    let name = stream.location().name.clone();
    let closing = BatchMessage { id: Uuid::new_v4(), ends_turn: true, rows: Vec::new(), ..batch.clone() };
    let encode = |batch: &BatchMessage| Message::Batch(batch.clone()).encode().expecting(&name, tip.sequence);
    let (encoded, empty) = (encode(batch), encode(&closing));
    let (began, next) = (Instant::now(), tip.sequence + 1);
    let mut connected = began;
    let (mut pause, mut sent, mut why) = (FIRST_PAUSE, false, String::new());
    loop {
        let took = began.elapsed();
        let mut behind = false;
        let published = stream.publish(if took < CLOSING { &encoded } else { &empty }).await;
        sent |= !matches!(published, Err(NoAnswer::Unreachable(_) | NoAnswer::TooLarge));
        match published {
            Ok(Published::Stored(at)) if at == next && took < CLOSING => return Placed::Ours,
            Ok(Published::Stored(at)) if at == next => return Placed::Closed(why),
            Ok(Published::Stored(at)) => why = format!("a message that expects {next} was stored at {at}"),
            Ok(Published::WrongLast(last)) => behind = last < tip.sequence,
            Ok(Published::Refused(refused)) => why = refused,
            Err(NoAnswer::TooLarge) => return Placed::TooLarge,
            Err(error) => why = error.to_string(),
        }
        match stream.get(next).await {
            Ok(Some(found)) => {
                return match found.batch_id() {
                    Some(id) if id == batch.id => Placed::Ours,
                    Some(id) if id == closing.id => Placed::Closed(why),
                    _ => Placed::Other(found),
                };
            }
            Ok(None) if behind && took >= DOUBT => {
                if let Ok(Chain::Other | Chain::Nothing) = chain(stream, tip).await {
                    return Placed::Diverged;
                }
            }
            Ok(None) => {}
            Err(error) => why = error.to_string(),
        }
        let limit = if again { GIVING_UP_AGAIN } else { GIVING_UP };
        if !sent && took >= GIVING_UP_AGAIN {
            return Placed::NotSent(why);
        }
        if took >= limit {
            return Placed::Unknown(why);
        }
        if connected.elapsed() >= IMPATIENCE {
            stream.link.leave();
            connected = Instant::now();
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What the stream has where the copy has its last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// That batch.
    Same,
    /// Another message.
    Other,
    /// No message.
    Nothing,
}

/// Compares the stream with the copy.
pub(super) async fn chain(stream: &mut Stream, tip: Tip) -> Result<Chain, NoAnswer> {
    Ok(match stream.get(tip.batch_sequence).await? {
        Some(message) if message.batch_id() == Some(tip.batch) => Chain::Same,
        Some(_) => Chain::Other,
        None => Chain::Nothing,
    })
}
