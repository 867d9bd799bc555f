//! Fills the log, rebuilds its projections, and measures their sizes.

use std::time::Instant;

use annals::commands::Envelope;
use annals::prelude::*;
use annals_bench_driver::BoxError;
use futures::{StreamExt, stream};
use sqlx::Row as _;

use crate::session::{Place, Session};

/// Number of commands in flight.
const WINDOW: usize = 2_048;

/// Number of commands between two reports of progress.
const SAY: u64 = 250_000;

/// The results of filling and rebuilding.
#[derive(Debug, Default)]
pub struct Filled {
    /// Number of events of the log.
    pub events: u64,
    /// Appended events per second.
    pub appended: f64,
    /// For each projection: events per second of its rebuild, and processor time of this process per event in microseconds.
    pub rebuilt: Vec<(&'static str, f64, f64)>,
    /// Tables and their sizes in bytes.
    pub bytes: Vec<(String, u64)>,
}

/// Fills the log by commands in order, of `together` events each.
pub async fn log(
    annals: &Annals,
    commands: u64,
    together: u64,
    command: impl Fn(u64) -> Result<Envelope, BoxError>,
    filled: &mut Filled,
) -> Result<(), BoxError> {
    let began = Instant::now();
    let mut problem = None;
    let commands = (0..commands).map_while(|number| match command(number) {
        Ok(command) => Some(command),
        Err(error) => {
            problem = Some(error);
            None
        }
    });
    let mut done = 0;
    {
        let mut answers = annals.execute_all(stream::iter(commands), WINDOW).boxed_local();
        while let Some(answer) = answers.next().await {
            answer?;
            done += 1;
            if done % SAY == 0 {
                let rate = (done * together) as f64 / began.elapsed().as_secs_f64();
                eprintln!("  {} events, {rate:.0} a second", done * together);
            }
        }
    }
    if let Some(problem) = problem {
        return Err(problem);
    }
    filled.events = done * together;
    filled.appended = filled.events as f64 / began.elapsed().as_secs_f64();
    let head = annals.store().head().await?.position;
    if head != filled.events {
        return Err(format!("{} events were acknowledged, but the log has {head}", filled.events).into());
    }
    Ok(())
}

/// Rebuilds projections, one after the other.
pub async fn rebuild(annals: &Annals, names: &[&'static str], filled: &mut Filled) -> Result<(), BoxError> {
    for name in names.iter().copied() {
        let (began, worked) = (Instant::now(), worked());
        eprintln!("  rebuilding {name}");
        let rebuild = annals.rebuild(name)?;
        let mut progress = rebuild.progress();
        let mut said = 0;
        tokio::pin!(rebuild);
        loop {
            tokio::select! {
                done = &mut rebuild => {
                    done?;
                    break;
                }
                Ok(()) = progress.changed() => {
                    let position = progress.borrow_and_update().position;
                    if position >= said + SAY * 4 {
                        said = position;
                        let rate = position as f64 / began.elapsed().as_secs_f64();
                        eprintln!("  {name}: {position} events, {rate:.0} a second");
                    }
                }
            }
        }
        let rate = filled.events as f64 / began.elapsed().as_secs_f64();
        let micros = (self::worked() - worked) * 1e6 / filled.events as f64;
        eprintln!("  rebuilt {name}: {rate:.0} events per second, {micros:.1} us of processor time per event");
        filled.rebuilt.push((name, rate, micros));
    }
    Ok(())
}

/// Processor time of this process in seconds, which is reliable on a shared machine too.
fn worked() -> f64 {
    // Ticks of 10 ms, after the name of the program in parentheses.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .rsplit(") ")
        .next()
        .map(|rest| rest.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>());
    ticks.unwrap_or_default() as f64 / 100.0
}

/// The sizes of tables with their indexes.
pub async fn bytes(session: &Session, place: &Place) -> Result<Vec<(String, u64)>, BoxError> {
    let mut tables = match place {
        Place::Schema { name, .. } => {
            let sql = "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class \
                       WHERE relnamespace = $1::regnamespace AND relkind = 'r'";
            let mut connection = session.connect().await?;
            let rows = sqlx::query(sql).bind(name).fetch_all(&mut connection).await?;
            let size =
                |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.cast_unsigned()));
            rows.iter().map(size).collect::<Result<Vec<(String, u64)>, sqlx::Error>>()?
        }
        Place::Directory(directory) => {
            let mut tables = Vec::new();
            for entry in std::fs::read_dir(directory.path())? {
                let path = entry?.path();
                if path.extension().is_none_or(|extension| extension != "db") {
                    continue;
                }
                let connection = rusqlite::Connection::open(&path)?;
                // An index is counted with its table.
                let sql = "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_schema s ON s.name = d.name \
                           WHERE d.aggregate = 1 GROUP BY s.tbl_name";
                let mut statement = connection.prepare(sql)?;
                let size = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                tables.extend(statement.query_map([], size)?.collect::<Result<Vec<(String, u64)>, _>>()?);
            }
            tables
        }
        // Its servers have them.
        Place::Stream { .. } => Vec::new(),
    };
    tables.retain(|(_, bytes)| *bytes > 1 << 16);
    tables.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(tables)
}
