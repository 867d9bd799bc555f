//! Quorum queues of RabbitMQ.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Result};

/// How long a new queue gets before messages are sent to it.
///
/// The broker confirms messages of a new quorum queue up to a second before it has the queue's name on disk: Ra, its library, opens
/// `names.dets` with `auto_save` and does not wait for it. A broker that is killed before starts with another, empty member of the queue,
/// which never elects a leader: what was confirmed is lost, and nothing is confirmed any more. Seen with RabbitMQ 3.10.
const KEPT_AFTER: Duration = Duration::from_secs(2);

/// Whether the queue exists.
pub(crate) async fn exists(connection: &Connection, queue: &str) -> Result<bool> {
    // A refusal ends its channel.
    let asking = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    Ok(asking.queue_declare(queue.into(), passive, FieldTable::default()).await.is_ok())
}

/// Makes the queue, and waits until the broker finds it again whatever happens to it.
pub(crate) async fn make(channel: &Channel, queue: &str) -> Result<()> {
    declare(channel, queue).await?;
    tokio::time::sleep(KEPT_AFTER).await;
    Ok(())
}

/// Makes the queue if it does not exist. It is an error if there is one of another kind.
pub(crate) async fn declare(channel: &Channel, queue: &str) -> Result<()> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(queue.into(), options, arguments).await.map(drop)
}
