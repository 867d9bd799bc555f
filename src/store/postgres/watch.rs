//! Noticing what other processes append: they say so by NOTIFY, and now and then one looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::place::{Place, quoted};
use super::reader::Reader;
use crate::events::Head;

/// While it hears, it looks so often all the same: a message may have been lost with a connection.
const HEARING: Duration = Duration::from_secs(1);
/// While it does not hear, it looks so often when something has just come …
const SHORTEST: Duration = Duration::from_millis(20);
/// … and twice as rarely each time that nothing has, up to this.
const LONGEST: Duration = Duration::from_millis(250);
/// Others are told so often at most, however many batches there are.
const GAP: Duration = Duration::from_millis(10);
/// Between two attempts to listen.
const AGAIN: Duration = Duration::from_secs(1);

/// What this process has to say to others: that the log has grown.
#[derive(Clone, Default)]
pub(super) struct News(Arc<Notify>);

impl News {
    /// Returns at once.
    pub(super) fn spread(&self) {
        self.0.notify_one();
    }
}

/// The tasks that hear, look and tell. Dropping this ends them.
pub(super) struct Watcher(Vec<JoinHandle<()>>);

impl Watcher {
    pub(super) fn start(place: &Place, reader: Arc<Reader>, head: watch::Sender<Head>, news: News) -> Self {
        let heard = Arc::new(Heard::default());
        let mut tasks = vec![tokio::spawn(look(reader, head, heard.clone()))];
        if !place.pooler() {
            tasks.push(tokio::spawn(hear(place.clone(), heard)));
        }
        tasks.push(tokio::spawn(tell(place.clone(), news)));
        Self(tasks)
    }

    pub(super) fn stop(&self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Default)]
struct Heard {
    something: Notify,
    hearing: AtomicBool,
}

/// Looks at the head, whenever something was heard and now and then.
async fn look(reader: Arc<Reader>, sender: watch::Sender<Head>, heard: Arc<Heard>) {
    let mut pause = SHORTEST;
    loop {
        let hearing = heard.hearing.load(Ordering::SeqCst);
        let wait = if hearing { HEARING } else { pause };
        // Either way it is time to look.
        let _ = tokio::time::timeout(wait, heard.something.notified()).await;
        let before = *sender.borrow();
        // A failed look is made up for by the next; readers meet the error themselves.
        let Ok(new) = reader.head().await else { continue };
        // One that is lower is older than what was told in the meantime, or else the log is another.
        let moved = sender.send_if_modified(|old| {
            let news = new != *old && (new.position > old.position || *old == before);
            if news {
                *old = new;
            }
            news
        });
        pause = if moved { SHORTEST } else { (pause * 2).min(LONGEST) };
    }
}

/// Listens, on a connection of its own, which is made again when it is lost.
async fn hear(place: Place, heard: Arc<Heard>) {
    loop {
        let error = match listen(&place, &heard).await {
            Ok(()) => continue,
            Err(error) => error,
        };
        heard.hearing.store(false, Ordering::SeqCst);
        heard.something.notify_one();
        tracing::debug!(%error, "not told of what others append: looking instead");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen(place: &Place, heard: &Heard) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(place.options().clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(&place.channel()).await?;
    loop {
        heard.hearing.store(true, Ordering::SeqCst);
        heard.something.notify_one();
        if listener.try_recv().await?.is_none() {
            return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        }
    }
}

/// Tells other processes: after the commit and on another connection, because a NOTIFY takes a lock that all
/// databases of the server share, and once for what was appended in the meantime.
async fn tell(place: Place, news: News) {
    let sql = format!("NOTIFY {}", quoted(&place.channel()));
    loop {
        news.0.notified().await;
        // Not told: they look for themselves.
        let _ = place.pool().execute(sql.as_str()).await;
        tokio::time::sleep(GAP).await;
    }
}
