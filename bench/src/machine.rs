//! The description of the machine and of the databases.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use annals_bench_driver::BoxError;
use sqlx::PgConnection;

use crate::arguments::Arguments;
use crate::competitors;
use crate::session::Session;

/// The head of the report, with warnings about settings that make the results meaningless.
pub async fn header(session: &Session, arguments: &Arguments) -> String {
    let mut lines = vec![
        ("measured", format!("{}, annals {}", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"), revision())),
        ("machine", processor()),
        ("runs", format!("{} of {} s each, after 1 s of warm-up", arguments.runs, arguments.seconds)),
    ];
    let mut warnings = Vec::new();
    let disk = file_system(session.directory());
    if disk.contains("tmpfs") {
        warnings
            .push(format!("the SQLite files are on {disk}, which is not durable: give a disk with --sqlite-dir"));
    }
    lines.push(("SQLite", sqlite(session).await.unwrap_or_else(|error| format!("unknown: {error}"))));
    lines.push(("SQLite files on", disk));
    match postgres(session, &mut warnings).await {
        Ok(words) => lines.push(("PostgreSQL", words)),
        Err(error) => lines.push(("PostgreSQL", format!("none: {error}"))),
    }
    let mut text = "# annals-bench\n\n".to_owned();
    for (name, value) in lines {
        let _ = writeln!(text, "- {name}: {value}");
    }
    for warning in warnings {
        let _ = writeln!(text, "\n**WARNING: {warning}.**");
    }
    text
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        let words = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(words)
    };
    let version = env!("CARGO_PKG_VERSION");
    match git(&["rev-parse", "--short=10", "HEAD"]) {
        Some(revision) => {
            let clean =
                git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
            format!("{version} at {revision}{}", if clean { "" } else { " with uncommitted changes" })
        }
        None => version.to_owned(),
    }
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{cores} cores, {model}, load {load} before the start, {}", std::env::consts::OS)
}

/// The description of the store by annals, and the linked version of SQLite.
async fn sqlite(session: &Session) -> Result<String, BoxError> {
    let directory = tempfile::tempdir_in(session.directory())?;
    let described = competitors::describe(&format!("sqlite://{}/described.db", directory.path().display())).await?;
    let described = described.split(',').take(2).collect::<Vec<_>>().join(",");
    Ok(format!("{}, {described}; all others with journal_mode=WAL, synchronous=FULL too", rusqlite::version()))
}

async fn postgres(session: &Session, warnings: &mut Vec<String>) -> Result<String, BoxError> {
    let mut connection = session.connect().await?;
    let mut words = show(&mut connection, "server_version").await?;
    for name in
        ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_connections"]
    {
        let value = show(&mut connection, name).await?;
        if matches!(name, "fsync" | "synchronous_commit" | "full_page_writes") && value != "on" {
            warnings.push(format!("PostgreSQL runs with {name}={value}: acknowledged commits are not durable"));
        }
        let _ = write!(words, ", {name}={value}");
    }
    // Only a superuser can read it, and it is meaningful only on this machine.
    if let Ok(directory) = show(&mut connection, "data_directory").await
        && Path::new(&directory).exists()
    {
        let disk = file_system(Path::new(&directory));
        if disk.contains("tmpfs") {
            warnings.push(format!("the data of PostgreSQL is on {disk}, which is not durable"));
        }
        let _ = write!(words, ", on {disk}");
    }
    Ok(words)
}

async fn show(connection: &mut PgConnection, name: &str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(connection).await
}

/// The file system of a directory: that of the longest mount point above it.
fn file_system(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut words = line.split_whitespace();
        let (device, point, kind) = (words.next()?, PathBuf::from(words.next()?), words.next()?);
        directory.starts_with(&point).then(|| (point.components().count(), format!("{kind} ({device})")))
    };
    // Of several file systems on one mount point, the last one is visible.
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map_or("unknown".to_owned(), |(_, kind)| kind)
}
