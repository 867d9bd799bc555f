//! A key store in two files: an SQLite database of its own, which says which subject has which slot, and beside it a file of slots with
//! the secrets, of 32 bytes each.
//!
//! A destroyed secret is overwritten with zeros where it is. A database alone could not promise that: even with `secure_delete`, a page
//! that is split keeps stale copies of the rows that moved, and a journal has the page as it was. What the disk below
//! keeps of overwritten blocks is beyond this program: put the files on an encrypted disk.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::key_store::{KeyInfo, KeyStore, KeyStoreError, StoredKey, SubjectKey};
use crate::BoxError;
use crate::events::Ref;
use crate::private_file;

/// How long to wait for another process.
const BUSY: Duration = Duration::from_secs(5);

/// The most subjects in one transaction.
const BATCH: usize = 1_000;

const SECRET_BYTES: u64 = 32;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS subject_keys (
    slot INTEGER PRIMARY KEY, log TEXT NOT NULL, subject TEXT NOT NULL, id TEXT NOT NULL,
    created_at INTEGER NOT NULL, erased_at INTEGER, UNIQUE (log, subject))";

/// The keys of one log in a file, which may have the keys of others too.
pub(super) struct KeyFile {
    path: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    log: String,
    files: Mutex<Option<Files>>,
    waiting: Mutex<Waiting>,
}

/// The open files.
struct Files {
    index: Connection,
    secrets: File,
}

/// The keys of the subjects of one caller, or why there are none.
type Created = Result<Vec<StoredKey>, String>;

/// Callers that wait for new keys share transactions: each one waits for the disk.
#[derive(Default)]
struct Waiting {
    callers: Vec<(Vec<Ref>, oneshot::Sender<Created>)>,
    running: bool,
}

impl KeyFile {
    /// Opens the files, and creates them if they do not exist. `log` is the id of the log.
    pub(super) async fn open(path: PathBuf, log: String) -> Result<Self, BoxError> {
        let opened = path.clone();
        let files = spawn_blocking(move || Files::open(&opened)).await??;
        let inner = Inner { log, files: Mutex::new(Some(files)), waiting: Mutex::default() };
        Ok(Self { path, inner: Arc::new(inner) })
    }

    /// Runs a function on the files.
    async fn with<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Files, &str) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        let inner = self.inner.clone();
        let done = spawn_blocking(move || inner.with(run)).await.map_err(|error| KeyStoreError(error.into()))?;
        done.map_err(KeyStoreError)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn with<T>(&self, run: impl FnOnce(&mut Files, &str) -> Result<T, BoxError>) -> Result<T, BoxError> {
        run(lock(&self.files).as_mut().ok_or("the key file is closed")?, &self.log)
    }

    /// Answers the callers that wait for new keys, until there are none.
    fn create_all(&self) {
        loop {
            let callers = {
                let mut waiting = lock(&self.waiting);
                let mut count = 0;
                let mut fits = |(subjects, _): &(Vec<Ref>, _)| {
                    count += subjects.len();
                    count <= BATCH
                };
                let taken = waiting.callers.iter().take_while(|caller| fits(caller)).count().max(1);
                let taken = taken.min(waiting.callers.len());
                if taken == 0 {
                    waiting.running = false;
                    return;
                }
                waiting.callers.drain(..taken).collect::<Vec<_>>()
            };
            let subjects: Vec<Ref> = callers.iter().flat_map(|(subjects, _)| subjects.clone()).collect();
            let created = self.with(|files, log| files.find_or_create(log, &subjects));
            let mut created = created.map_err(|error| crate::text::error_chain(&*error)).map(Vec::into_iter);
            for (subjects, answer) in callers {
                let found = match &mut created {
                    Ok(created) => Ok(created.by_ref().take(subjects.len()).collect()),
                    Err(error) => Err(error.clone()),
                };
                // The caller may have given up.
                let _ = answer.send(found);
            }
        }
    }
}

/// The file of the secrets.
fn secrets_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-secrets");
    name.into()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    private_file::private(options);
    options
}

/// Creates a file that only its owner can read, unless it exists; then checks that it is such a file.
fn ensure_private(path: &Path) -> Result<(), BoxError> {
    match private(OpenOptions::new().write(true).create_new(true)).open(path) {
        Ok(_) => sync_directory(path)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("the key file {} cannot be created: {error}", path.display()).into()),
    }
    match private_file::find_untrusted(path, None)?.or(private_file::find_shared_at(path)?) {
        Some(reason) => Err(format!("the key file {} is not used: {reason}", path.display()).into()),
        None => Ok(()),
    }
}

/// A new file is there after a power failure only if its directory is written.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// What the index has of a subject.
struct Entry {
    slot: i64,
    id: String,
    is_erased: bool,
}

impl Files {
    fn open(path: &Path) -> Result<Self, BoxError> {
        let secrets = secrets_of(path);
        ensure_private(&secrets)?;
        ensure_private(path)?;
        let secrets = OpenOptions::new().read(true).write(true).open(&secrets)?;
        let index = Connection::open(path)?;
        index.busy_timeout(BUSY)?;
        let mode: String = index.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        if mode != "delete" {
            return Err(format!("the key file {} has the journal mode {mode}", path.display()).into());
        }
        index.execute_batch("PRAGMA synchronous = EXTRA; PRAGMA temp_store = MEMORY;")?;
        index.execute_batch(TABLE)?;
        Ok(Self { index, secrets })
    }

    /// Runs a function while no other process changes the files.
    fn transact<T>(&mut self, run: impl FnOnce(&Connection, &File) -> Result<T, BoxError>) -> Result<T, BoxError> {
        let Self { index, secrets } = self;
        let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = run(&transaction, secrets)?;
        transaction.commit()?;
        Ok(done)
    }

    fn find(&self, log: &str, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, BoxError> {
        subjects.iter().map(|subject| find(&self.index, &self.secrets, log, subject)).collect()
    }

    fn find_or_create(&mut self, log: &str, subjects: &[Ref]) -> Result<Vec<StoredKey>, BoxError> {
        self.transact(|index, secrets| {
            let now = Timestamp::now().as_microsecond();
            let mut known: HashMap<&Ref, StoredKey> = HashMap::new();
            let mut is_changed = false;
            for subject in subjects {
                if known.contains_key(subject) {
                    continue;
                }
                let stored = match find(index, secrets, log, subject)? {
                    Some(stored) => stored,
                    None => {
                        let key = SubjectKey::random()?;
                        let sql = "INSERT INTO subject_keys (log, subject, id, created_at) VALUES (?1, ?2, ?3, ?4)";
                        index.prepare_cached(sql)?.execute(params![log, subject.as_str(), key.id(), now])?;
                        write(secrets, index.last_insert_rowid(), key.secret())?;
                        is_changed = true;
                        StoredKey::Key(key)
                    }
                };
                known.insert(subject, stored);
            }
            if is_changed {
                // Before the index says that they are there.
                secrets.sync_all()?;
            }
            let found =
                |subject| known.get(subject).cloned().ok_or_else(|| BoxError::from("a key was not created"));
            subjects.iter().map(found).collect()
        })
    }

    /// Destroys keys, and records that. Returns for each whether there was one.
    fn destroy(&mut self, log: &str, subjects: &[Ref]) -> Result<Vec<bool>, BoxError> {
        self.transact(|index, secrets| {
            let now = Timestamp::now().as_microsecond();
            let mut had_key = Vec::with_capacity(subjects.len());
            for subject in subjects {
                let entry = entry(index, log, subject)?;
                let slot = match &entry {
                    Some(Entry { is_erased: true, .. }) => {
                        had_key.push(false);
                        continue;
                    }
                    Some(Entry { slot, .. }) => *slot,
                    None => {
                        let sql = "INSERT INTO subject_keys (log, subject, id, created_at) VALUES (?1, ?2, '', ?3)";
                        index.prepare_cached(sql)?.execute(params![log, subject.as_str(), now])?;
                        index.last_insert_rowid()
                    }
                };
                had_key.push(entry.is_some() && read(secrets, slot)?.is_some());
                write(secrets, slot, &[0; 32])?;
                index
                    .prepare_cached("UPDATE subject_keys SET erased_at = ?2 WHERE slot = ?1")?
                    .execute(params![slot, now])?;
            }
            // A secret that is overwritten is destroyed, whether or not the index says so.
            secrets.sync_all()?;
            Ok(had_key)
        })
    }

    fn list(&self, log: &str, after: &str, limit: usize) -> Result<Vec<KeyInfo>, BoxError> {
        let sql = "SELECT subject, id, created_at, erased_at FROM subject_keys
            WHERE log = ?1 AND subject > ?2 ORDER BY subject LIMIT ?3";
        let mut statement = self.index.prepare_cached(sql)?;
        let mut rows = statement.query(params![log, after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (subject, id): (String, String) = (row.get(0)?, row.get(1)?);
            let erased_at: Option<i64> = row.get(3)?;
            found.push(KeyInfo {
                subject: subject.parse()?,
                key: erased_at.is_none().then_some(id),
                created_at: Timestamp::from_microsecond(row.get(2)?)?,
                erased_at: erased_at.map(Timestamp::from_microsecond).transpose()?,
            });
        }
        Ok(found)
    }

    /// Copies both files. The secrets come second: they have all that the index knows, and zeros for what was destroyed meanwhile.
    fn backup(&mut self, to: &Path) -> Result<(), BoxError> {
        private(OpenOptions::new().write(true).create_new(true)).open(to)?;
        self.index.execute("VACUUM INTO ?1", params![to.to_string_lossy()])?;
        let secrets = secrets_of(to);
        let mut copy = private(OpenOptions::new().write(true).create_new(true)).open(&secrets)?;
        let mut from = &self.secrets;
        from.seek(SeekFrom::Start(0))?;
        std::io::copy(&mut from, &mut copy)?;
        copy.sync_all()?;
        File::open(to)?.sync_all()?;
        Ok(sync_directory(to)?)
    }
}

fn entry(index: &Connection, log: &str, subject: &Ref) -> Result<Option<Entry>, BoxError> {
    let sql = "SELECT slot, id, erased_at IS NOT NULL FROM subject_keys WHERE log = ?1 AND subject = ?2";
    let mut statement = index.prepare_cached(sql)?;
    let entry = statement.query_row(params![log, subject.as_str()], |row| {
        Ok(Entry { slot: row.get(0)?, id: row.get(1)?, is_erased: row.get(2)? })
    });
    Ok(entry.optional()?)
}

fn find(index: &Connection, secrets: &File, log: &str, subject: &Ref) -> Result<Option<StoredKey>, BoxError> {
    let Some(Entry { slot, id, is_erased }) = entry(index, log, subject)? else { return Ok(None) };
    if is_erased {
        return Ok(Some(StoredKey::Erased));
    }
    let Some(secret) = read(secrets, slot)? else { return Ok(Some(StoredKey::Erased)) };
    let key = SubjectKey::new(&id, *secret);
    Ok(Some(StoredKey::Key(key.ok_or_else(|| format!("the key of {subject} has the id `{id}`, which is no id"))?)))
}

fn place_of(slot: i64) -> Result<SeekFrom, BoxError> {
    let slot = u64::try_from(slot).ok().and_then(|slot| slot.checked_mul(SECRET_BYTES));
    Ok(SeekFrom::Start(slot.ok_or("a key has a slot that no file has")?))
}

/// The secret of a slot; `None` if it was overwritten.
fn read(mut secrets: &File, slot: i64) -> Result<Option<Zeroizing<[u8; 32]>>, BoxError> {
    let mut secret = Zeroizing::new([0; 32]);
    secrets.seek(place_of(slot)?)?;
    secrets
        .read_exact(&mut *secret)
        .map_err(|error| format!("the file of the secrets lacks slot {slot}: {error}"))?;
    Ok((*secret != [0; 32]).then_some(secret))
}

fn write(mut secrets: &File, slot: i64, secret: &[u8; 32]) -> Result<(), BoxError> {
    secrets.seek(place_of(slot)?)?;
    Ok(secrets.write_all(secret)?)
}

#[async_trait]
impl KeyStore for KeyFile {
    async fn find(&self, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, KeyStoreError> {
        let subjects = subjects.to_vec();
        self.with(move |files, log| files.find(log, &subjects)).await
    }

    async fn find_or_create(&self, subjects: &[Ref]) -> Result<Vec<StoredKey>, KeyStoreError> {
        let (answer, created) = oneshot::channel();
        let start = {
            let mut waiting = lock(&self.inner.waiting);
            waiting.callers.push((subjects.to_vec(), answer));
            !std::mem::replace(&mut waiting.running, true)
        };
        if start {
            let inner = self.inner.clone();
            spawn_blocking(move || inner.create_all());
        }
        let created = created.await.map_err(|error| KeyStoreError(error.into()))?;
        created.map_err(|error| KeyStoreError(error.into()))
    }

    async fn destroy(&self, subjects: &[Ref]) -> Result<Vec<bool>, KeyStoreError> {
        let mut destroyed = Vec::with_capacity(subjects.len());
        for subjects in subjects.chunks(BATCH) {
            let subjects = subjects.to_vec();
            destroyed.extend(self.with(move |files, log| files.destroy(log, &subjects)).await?);
        }
        Ok(destroyed)
    }

    async fn list(&self, after: Option<&Ref>, limit: usize) -> Result<Vec<KeyInfo>, KeyStoreError> {
        let after = after.map_or_else(String::new, Ref::to_string);
        self.with(move |files, log| files.list(log, &after, limit)).await
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    async fn backup(&self, to: &Path) -> Result<(), KeyStoreError> {
        let to = to.to_owned();
        self.with(move |files, _| files.backup(&to)).await
    }

    async fn close(&self) {
        let inner = self.inner.clone();
        let close = move || drop(lock(&inner.files).take());
        // The files are closed when this is dropped, at the latest.
        let _ = spawn_blocking(close).await;
    }
}
