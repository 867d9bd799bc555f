//! Noticing what other processes append: they say so by NOTIFY, and now and then one looks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Executor;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::connections::Purpose;
use super::listener::{Heard, Hearing};
use super::place::{Place, quoted};
use super::reader::Reader;
use crate::events::LogPosition;

/// While it hears, it looks so often all the same: a message may have been lost with a connection.
const HEARING: Duration = Duration::from_secs(1);
/// While it does not hear, it looks so often when something has just come …
const SHORTEST: Duration = Duration::from_millis(20);
/// … and twice as rarely each time that nothing has, up to this.
const LONGEST: Duration = Duration::from_millis(250);
/// Others are told so often at most, however many batches there are.
const GAP: Duration = Duration::from_millis(10);

/// What this process has to say to others: that the log has grown.
#[derive(Clone, Default)]
pub(super) struct News(Arc<Notify>);

impl News {
    /// Returns at once.
    pub(super) fn spread(&self) {
        self.0.notify_one();
    }
}

/// The tasks that look and tell, and what is heard. Dropping this ends them.
pub(super) struct Watcher {
    tasks: Vec<JoinHandle<()>>,
    _hearing: Option<Hearing>,
}

impl Watcher {
    pub(super) fn start(place: &Place, reader: Arc<Reader>, head: watch::Sender<LogPosition>, news: News) -> Self {
        let hearing = place.hear();
        let heard = hearing.as_ref().map(|hearing| hearing.heard.clone()).unwrap_or_default();
        let tasks = vec![tokio::spawn(look(reader, head, heard)), tokio::spawn(tell(place.clone(), news))];
        Self { tasks, _hearing: hearing }
    }

    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks at the head, whenever something was heard and now and then.
async fn look(reader: Arc<Reader>, sender: watch::Sender<LogPosition>, heard: Arc<Heard>) {
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

/// Tells other processes: after the commit and on another connection, because a NOTIFY takes a lock that all
/// databases of the server share, and once for what was appended in the meantime.
async fn tell(place: Place, news: News) {
    let sql = format!("NOTIFY {}", quoted(&place.channel()));
    loop {
        news.0.notified().await;
        // Not told: they look for themselves.
        if let Ok(mut loan) = place.lend(Purpose::Views).await
            && place.attend(loan.origin(), loan.execute(sql.as_str())).await.is_ok()
        {
            loan.give_back();
        }
        tokio::time::sleep(GAP).await;
    }
}
