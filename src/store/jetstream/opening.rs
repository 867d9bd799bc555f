//! Opens the stream and its local copy: creates what is missing, and refuses what is not as it must be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::config::{config, differences};
use super::link::NoAnswer;
use super::local::{LocalCopy, Tip};
use super::location::StreamLocation;
use super::message::{Genesis, Message};
use super::settle::{Chain, DOUBT, chain};
use super::stream::{Stream, StreamInfo};
use super::stream_log::StreamLog;
use super::writer::{ChannelWriter, Health, Request, Writer};
use crate::store::sqlite::database_file::{is_read_only, synchronous};
use crate::store::sqlite::location::StoreLocations;
use crate::store::sqlite::log_end::BoundedClock;
use crate::store::sqlite::log_writer::WriterParts;
use crate::store::sqlite::{CopyOf, SqliteStore};
use crate::store::{OpenOptions, StoreError};

/// How long servers that elect a leader are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// The smallest max_payload with which a log is opened.
const LEAST_PAYLOAD: usize = 64 * 1024;

/// What a stream is, once it is open.
struct OpenStream {
    genesis: Genesis,
    /// The sequence of its last message.
    last: u64,
    max_payload: usize,
    replicas: u64,
}

/// Opens a log.
pub(super) async fn open(
    location: StreamLocation,
    options: OpenOptions,
    health: Arc<Health>,
    send: mpsc::UnboundedSender<Request>,
) -> Result<(SqliteStore, Writer, u64), StoreError> {
    let mut stream = Stream::new(location.clone());
    let OpenStream { genesis, last, max_payload, replicas } = open_stream(&mut stream, &options).await?;
    let mut parts = None;
    let locations = StoreLocations::of_copy(&location.shown, location.file.clone());
    let clock = options.clock.clone();
    let options = OpenOptions { create: true, ..options };
    let writer = Box::new(ChannelWriter(send));
    let opened = SqliteStore::open_with(locations, options, genesis.log_id.clone(), CopyOf::Stream, |given| {
        parts = Some(given);
        Ok(writer)
    });
    let store = opened?;
    let parts: WriterParts = parts.ok_or_else(|| location.unusable("its local file has no writer"))?;
    let WriterParts { location: file, connection, mut file_lock, head, .. } = parts;
    if is_read_only(&file, &connection)? {
        return Err(file.read_only());
    }
    // What a loss of power takes away is read from the stream again.
    synchronous(&file, &connection, "NORMAL")?;
    let local = LocalCopy::new(file.clone(), connection, BoundedClock::new(clock, false), head);
    let mut log = StreamLog::new(stream, local, max_payload);
    {
        let wait = super::stream_log::WAIT;
        let _guard = file_lock.lock(wait).map_err(|why| file.lock_error(why, wait))?;
        adopt(&log.local, &genesis)?;
        continue_copy(&mut log, last).await?;
    }
    Ok((store, Writer::new(log, file_lock, health), replicas))
}

/// Asks until there is an answer. A server that cannot be reached, or refuses, is not asked again.
async fn patiently<T>(
    stream: &mut Stream,
    mut ask: impl AsyncFnMut(&mut Stream) -> Result<T, NoAnswer>,
) -> Result<T, StoreError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask(stream).await {
            Ok(answer) => return Ok(answer),
            Err(NoAnswer::Lost(_)) if Instant::now() < until => sleep(PAUSE).await,
            Err(error @ NoAnswer::Lost(_)) => {
                return Err(stream.location().unusable(format!(
                    "{error}: is JetStream on, has the stream a leader, and has this user the right to publish there?"
                )));
            }
            Err(error) => return Err(stream.location().unusable(error.to_string())),
        }
    }
}

async fn open_stream(stream: &mut Stream, options: &OpenOptions) -> Result<OpenStream, StoreError> {
    let location = stream.location().clone();
    let server = patiently(stream, async |stream| stream.link.server().await).await?;
    if server.max_payload < LEAST_PAYLOAD {
        return Err(location.unusable(format!(
            "the server accepts messages of {} bytes, and a log needs {LEAST_PAYLOAD}: set max_payload to 8 MB",
            server.max_payload
        )));
    }
    let info = open_info(stream, options).await?;
    let differences = differences(&location, &info.config);
    if !differences.is_empty() {
        return Err(location.unusable(format!("the stream cannot be a log: {}", differences.join("; "))));
    }
    let replicas = info.config.get("num_replicas").and_then(serde_json::Value::as_u64).unwrap_or(1);
    if replicas == 1 {
        tracing::warn!(
            store = location.shown,
            "the stream has one replica: if its server is lost, the log is lost"
        );
    }
    if info.state.last_seq > 0 && info.state.first_seq != 1 {
        return Err(location.unusable("its first messages were removed: restore the stream".to_owned()));
    }
    let genesis = match patiently(stream, async |stream| stream.get(1).await).await? {
        Some(first) => first,
        None if !options.create => return Err(StoreError::Missing(location.shown.clone())),
        None => begin(stream, options).await?,
    };
    let genesis = match genesis {
        Message::Genesis(genesis) => genesis,
        Message::Newer(version) => {
            return Err(StoreError::Newer { found: i64::try_from(version).unwrap_or(i64::MAX), known: 1 });
        }
        _ => {
            return Err(
                location.unusable("the stream is not the log of an application: name another stream".to_owned())
            );
        }
    };
    if genesis.app != options.app {
        return Err(location.unusable(format!(
            "it belongs to the application `{}`, and this application is `{}`: name another stream",
            genesis.app, options.app
        )));
    }
    // Shows that this process may publish, and that the fence holds.
    let last = patiently(stream, async |stream| stream.probe().await).await?;
    tracing::info!(
        store = location.shown,
        last,
        replicas,
        "the stream is open; whether its servers sync each message (sync_interval: always) is not verified"
    );
    Ok(OpenStream { genesis, last, max_payload: server.max_payload, replicas })
}

/// Returns the stream; creates it if there is none.
async fn open_info(stream: &mut Stream, options: &OpenOptions) -> Result<StreamInfo, StoreError> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(info) = patiently(stream, async |stream| stream.info().await).await? {
            return Ok(info);
        }
        if !options.create {
            return Err(StoreError::Missing(stream.location().shown.clone()));
        }
        let wanted = config(stream.location());
        let created = stream.create(&wanted).await;
        if Instant::now() >= until {
            let why = created.err().map_or_else(|| "it has no leader".to_owned(), |error| error.to_string());
            return Err(stream.location().unusable(format!("the stream cannot be created: {why}")));
        }
        match created {
            Ok(()) => {}
            Err(NoAnswer::Lost(_)) => sleep(PAUSE).await,
            Err(error) => return Err(stream.location().unusable(error.to_string())),
        }
    }
}

/// Puts the first message into an empty stream. Another process may be faster.
async fn begin(stream: &mut Stream, options: &OpenOptions) -> Result<Message, StoreError> {
    let name = stream.location().name.clone();
    let genesis =
        Genesis { log_id: Uuid::new_v4().to_string(), app: options.app.clone(), incarnation: Uuid::new_v4() };
    let encoded = Message::Genesis(genesis).encode().expecting(&name, 0);
    patiently(stream, async |stream| {
        let sent = stream.publish(&encoded).await;
        match (stream.get(1).await, sent) {
            (Ok(Some(first)), _) => Ok(first),
            (Ok(None), Ok(answer)) => Err(NoAnswer::Lost(format!("the stream has no first message: {answer:?}"))),
            (Ok(None), Err(error)) | (Err(error), _) => Err(error),
        }
    })
    .await
}

/// Makes a new file the copy of the stream. A file that is something else is refused.
fn adopt(local: &LocalCopy, genesis: &Genesis) -> Result<(), StoreError> {
    let refuse = |what: &str| {
        let name = local.location.path().display();
        local.location.unusable(format!(
            "the local file {name} {what}: name another one with `?file=…`, or remove it to have it made again"
        ))
    };
    let log_id = local.log_id()?;
    if log_id.as_deref() != Some(genesis.log_id.as_str()) {
        return Err(refuse("is of another log"));
    }
    match local.tip()? {
        Some(tip) if tip.incarnation == genesis.incarnation => Ok(()),
        Some(_) => Err(refuse("is a copy of another stream of this log")),
        None if local.is_empty()? => local.set_tip(Tip::genesis(genesis.incarnation)),
        None => Err(refuse("is a log of its own, not the copy of a stream")),
    }
}

async fn remade(log: &mut StreamLog) -> Result<(), StoreError> {
    log.remake().await?;
    log.begin();
    Ok(())
}

/// Brings the copy to the end of the stream. One that has what the stream has not is made again.
async fn continue_copy(log: &mut StreamLog, last: u64) -> Result<(), StoreError> {
    let tip = log.local.tip()?.ok_or_else(|| log.stream.location().unusable("its local file is no copy"))?;
    log.claims.begin_after(tip.sequence);
    let began = Instant::now();
    let mut last = last;
    loop {
        let found = patiently(&mut log.stream, async |stream| chain(stream, tip).await).await?;
        match found {
            Chain::Same if last >= tip.sequence => break,
            Chain::Other => return remade(log).await,
            // A leader that was elected just now may not have everything yet.
            _ if began.elapsed() >= DOUBT => return remade(log).await,
            _ => sleep(PAUSE).await,
        }
        last = patiently(&mut log.stream, async |stream| stream.probe().await).await?;
    }
    let from = log.claims.seen();
    if last > from + 10_000 {
        tracing::info!(messages = last - from, "the local file is brought to the end of the stream");
    }
    log.catch_up(last).await?;
    // Claims of before are over.
    log.claims.begin_after(log.claims.seen());
    Ok(())
}
