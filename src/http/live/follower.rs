//! [`Follower`]: one who follows the audit log: what is stored at his own pace, then what all share.

use std::sync::Arc;

use futures::stream::{self, BoxStream, ReadyChunks};
use futures::{FutureExt, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::batch::{Batch, place_of};
use super::hub::{Hub, Subscription};
use super::step::Rows;
use super::{Closing, Ending, Reason, Step, Steps};
use crate::events::LogPosition;
use crate::http::Problem;
use crate::projections::audit::{Asked, AuditError, AuditLog, AuditQuery, AuditRow, Cursor, Sieve};
use crate::projections::presenter::{PresentError, Words};
use crate::projections::{QueryError, ReadError};
use crate::store::StoreError;

/// The most rows that are read at a time, and kept for one who is slow, and about how many bytes they may have as JSON.
const ROWS: usize = 100;
const BYTES: usize = 256 * 1024;

pub(super) struct Follower {
    hub: Arc<Hub>,
    query: AuditQuery,
    /// How sentences are told; none: as they are declared, which all share.
    words: Option<Words>,
    sieve: Sieve,
    closing: Closing,
    /// How many rows are read at a time, by what those before took.
    most: usize,
    /// How many rows may still come.
    left: u64,
    /// The last place that was looked at.
    place: LogPosition,
    /// What was read when it was opened.
    first: Option<Rows>,
    stage: Stage,
}

enum Stage {
    /// What is stored is not all read yet; what comes meanwhile is kept.
    Stored(Subscription),
    /// All that was stored is read.
    Live(Subscription),
    /// A range with an end follows the log for itself, since it has to know when it is over.
    Alone(ReadyChunks<BoxStream<'static, Result<AuditRow, AuditError>>>),
}

impl Follower {
    /// Reads the first page, so that what is wrong is said before anything else.
    pub(super) async fn open(
        hub: Arc<Hub>,
        query: AuditQuery,
        asked: &Asked,
        words: Words,
        closing: Closing,
    ) -> Result<Self, Problem> {
        let (cursor, limit) = (asked.cursor, asked.limit.unwrap_or(u64::MAX));
        if limit == 0 {
            return Err(QueryError::NoLimit.into());
        }
        let as_declared = words.of(hub.annals().presenter())?.tells_as_declared();
        let words = Some(words).filter(|_| !as_declared);
        let query = cursor.into_iter().fold(query, AuditQuery::cursor);
        let sieve = query.sieve()?;
        let place = cursor.map(|cursor| cursor.last()).unwrap_or_default();
        let stage = Stage::Stored(hub.subscribe());
        let mut follower =
            Self { hub, query, words, sieve, closing, most: ROWS / 10, left: limit, place, first: None, stage };
        if follower.sieve.has_end() {
            // Whether it is denied, or the cursor another log's, a page says; the stream reads it again.
            follower.query.clone().limit(1).page().await?;
            let rows = follower.query.clone().limit(limit).follow();
            follower.stage = Stage::Alone(rows.ready_chunks(ROWS / 10));
        } else {
            follower.first = follower.page(false).await.map_err(Stop::into_problem)?;
        }
        Ok(follower)
    }

    /// What comes, up to the end.
    pub(super) fn steps(self) -> Steps {
        stream::unfold(Some(self), async |follower| {
            let mut follower = follower?;
            match follower.next().await {
                step @ Step::End(_) => Some((step, None)),
                step => Some((step, Some(follower))),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Step {
        loop {
            let mut closing = self.closing.clone();
            let news = tokio::select! {
                biased;
                reason = closing.closed() => return self.end(reason),
                news = self.news() => news,
            };
            match news {
                Ok(News::Rows(rows)) => return Step::Rows(rows),
                Ok(News::Nothing) => {}
                Ok(News::Over) => return self.end(self.why_over()),
                Err(Stop::Closed) => return self.end(Reason::Shutdown),
                Err(Stop::Failed(problem)) => return Step::End(Ending::failed(*problem, self.cursor())),
            }
        }
    }

    fn end(&self, reason: Reason) -> Step {
        Step::End(Ending::new(reason, self.cursor()))
    }

    /// Where to go on.
    fn cursor(&self) -> Option<Cursor> {
        (self.place.position > 0).then(|| self.sieve.cursor(self.place))
    }

    fn why_over(&self) -> Reason {
        let reading = self.hub.annals().reading(AuditLog::NAME);
        let closed = reading.is_ok_and(|reading| reading.closed().now_or_never().is_some());
        if closed && self.left > 0 { Reason::Shutdown } else { Reason::Done }
    }

    async fn news(&mut self) -> Result<News, Stop> {
        if let Some(rows) = self.first.take() {
            return Ok(News::Rows(rows));
        }
        if self.left == 0 {
            return Ok(News::Over);
        }
        match &mut self.stage {
            Stage::Stored(_) => Ok(self.page(true).await?.map_or(News::Nothing, News::Rows)),
            Stage::Live(subscription) => match subscription.batches.recv().await {
                Ok(batch) => self.take(batch).await,
                // Too slow for what all share, or nothing is shared any more: what was missed is stored.
                Err(RecvError::Lagged(_) | RecvError::Closed) => {
                    self.catch_up();
                    Ok(News::Nothing)
                }
            },
            Stage::Alone(rows) => match rows.next().await {
                None => Ok(News::Over),
                Some(rows) => {
                    let rows: Vec<AuditRow> = rows.into_iter().collect::<Result<_, _>>()?;
                    let to = rows.last().map_or(self.place, place_of);
                    self.choose(self.place, to, rows).await
                }
            },
        }
    }

    /// From here on, what is stored is read first.
    fn catch_up(&mut self) {
        self.stage = Stage::Stored(self.hub.subscribe());
    }

    /// The next rows of what is stored, if there are any. `patiently`: the audit log may have to catch up first.
    async fn page(&mut self, patiently: bool) -> Result<Option<Rows>, Stop> {
        let Stage::Stored(subscription) = &self.stage else { return Ok(None) };
        let at = subscription.at;
        let mut query = self.cursor().into_iter().fold(self.query.clone(), AuditQuery::cursor);
        query = query.limit(self.left.min(self.most as u64));
        if patiently {
            query = query.after(at);
        }
        let page = match query.page().await {
            Err(AuditError::Read(ReadError::Late { .. })) => return Ok(None),
            page => page?,
        };
        let from = self.place;
        let to = match page.next {
            Some(next) => next.last(),
            None if page.head.position > from.position => page.head,
            None => from,
        };
        let rows = match self.choose(from, to, page.rows).await? {
            News::Rows(rows) => Some(rows),
            News::Nothing | News::Over => None,
        };
        if page.next.is_none() && page.head.position >= at.position {
            let stage = std::mem::replace(&mut self.stage, Stage::Alone(stream::empty().boxed().ready_chunks(1)));
            if let Stage::Stored(subscription) = stage {
                self.stage = Stage::Live(subscription);
            }
        }
        Ok(rows)
    }

    /// All of these rows, in the words that were asked for.
    async fn choose(&mut self, from: LogPosition, to: LogPosition, mut rows: Vec<AuditRow>) -> Result<News, Stop> {
        if let Some(words) = &self.words {
            words.tell(self.hub.annals().presenter(), &mut rows).await?;
        }
        let batch = Batch::new(from, to, rows).map_err(|error| Problem::internal(&error))?;
        if !batch.rows.is_empty() {
            self.most = batch.rows_in(BYTES).min(ROWS);
        }
        let chosen: Vec<usize> = (0..batch.rows.len()).collect();
        Ok(self.hand_over(Arc::new(batch), &chosen))
    }

    /// What the question lets through of what all share.
    async fn take(&mut self, batch: Arc<Batch>) -> Result<News, Stop> {
        let (from, to) = (batch.from.position, batch.to.position);
        if to <= self.place.position {
            return Ok(News::Nothing);
        }
        if from > self.place.position {
            self.catch_up();
            return Ok(News::Nothing);
        }
        let wanted = |row: &AuditRow| row.position > self.place.position && self.sieve.lets_through(row);
        let rows = batch.rows.iter().enumerate().filter(|(_, row)| wanted(row)).map(|(index, _)| index);
        let chosen: Vec<usize> = rows.take(usize::try_from(self.left).unwrap_or(usize::MAX)).collect();
        match chosen.len() {
            0 => {}
            all if all == batch.rows.len() && self.words.is_none() => self.sieve.tell(&batch.rows).await?,
            _ => {
                let rows: Vec<AuditRow> =
                    chosen.iter().filter_map(|index| batch.rows.get(*index)).cloned().collect();
                self.sieve.tell(&rows).await?;
                if self.words.is_some() {
                    return self.choose(batch.from, batch.to, rows).await;
                }
            }
        }
        Ok(self.hand_over(batch, &chosen))
    }

    /// Moves on to the end of the batch, or, with the last row that may come, to that.
    fn hand_over(&mut self, batch: Arc<Batch>, chosen: &[usize]) -> News {
        self.left -= chosen.len() as u64;
        let with_cursor = |index: &usize| {
            let place = place_of(batch.rows.get(*index)?);
            Some((*index, place, self.sieve.cursor(place)))
        };
        let chosen: Vec<_> = chosen.iter().filter_map(with_cursor).collect();
        self.place = match chosen.last() {
            Some((_, place, _)) if self.left == 0 => *place,
            _ => batch.to,
        };
        match chosen.is_empty() {
            true => News::Nothing,
            false => {
                let chosen = chosen.into_iter().map(|(index, _, cursor)| (index, cursor)).collect();
                News::Rows(Rows { batch, chosen })
            }
        }
    }
}

enum News {
    Rows(Rows),
    Nothing,
    Over,
}

/// Why nothing comes any more.
enum Stop {
    /// The application is closed.
    Closed,
    Failed(Box<Problem>),
}

impl Stop {
    fn into_problem(self) -> Problem {
        match self {
            Self::Closed => StoreError::Closed.into(),
            Self::Failed(problem) => *problem,
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Failed(Box::new(problem))
    }
}

impl From<AuditError> for Stop {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(StoreError::Closed) | AuditError::Read(ReadError::Store(StoreError::Closed)) => {
                Self::Closed
            }
            error => Problem::from(error).into(),
        }
    }
}

impl From<PresentError> for Stop {
    fn from(error: PresentError) -> Self {
        match error {
            PresentError::Store(StoreError::Closed) | PresentError::Read(ReadError::Store(StoreError::Closed)) => {
                Self::Closed
            }
            error => Problem::from(error).into(),
        }
    }
}
