//! A disk that can lose power: the writes of a process to its store, and the files after a power cut.
//!
//! `disk.c`, loaded into the process, records every write and every sync in order. Unsynced writes may be lost
//! completely or partly, in any order; a file name is durable once its directory was synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::processes::Process;

/// The library, compiled once for all tests of this process.
static LIBRARY: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let library = directory.path().join("disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&library).arg(source).args(["-ldl", "-lpthread"]);
    let compiled = compiler.status().expect("a C compiler, which SQLite needs too");
    assert!(compiled.success());
    (directory, library)
});

/// The files of a store on a recorded disk.
pub struct Disk {
    directory: TempDir,
    beside: TempDir,
}

impl Disk {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), beside: TempDir::new().unwrap() }
    }

    pub fn url(&self) -> String {
        url(self.directory.path())
    }

    fn fault(&self) -> PathBuf {
        self.beside.path().join("fault")
    }

    fn trace(&self) -> PathBuf {
        self.beside.path().join("trace")
    }

    /// Starts a process whose writes are recorded.
    pub fn start(&self, role: &str) -> Process {
        let directory = self.directory.path().canonicalize().unwrap();
        Process::start_with(&self.url(), role, |command| {
            command
                .env("LD_PRELOAD", &LIBRARY.1)
                .env("DISK_DIRECTORY", directory)
                .env("DISK_TRACE", self.trace())
                .env("DISK_FAULT", self.fault());
        })
    }

    /// Fails the next `times` operations (`write` or `sync`) on the log's -wal file, for ever if that is -1.
    pub fn fail(&self, operation: &str, error: i32, times: i32) {
        self.fail_in_turn(&[(operation, error, times)]);
    }

    /// As [`fail`](Self::fail): each fault begins when the one before it has ended.
    pub fn fail_in_turn(&self, faults: &[(&str, i32, i32)]) {
        let line = |(operation, error, times): &(&str, i32, i32)| format!("{operation:<8}{error:8}{times:7}\n");
        let lines: String = faults.iter().map(line).collect();
        assert_eq!(lines.len(), faults.len() * 24, "the length of a line in disk.c");
        std::fs::write(self.fault(), lines).unwrap();
    }

    /// Ends the faults. Returns whether the first failed as often as requested.
    pub fn mend(&self) -> bool {
        let left = std::fs::read_to_string(self.fault()).unwrap();
        std::fs::remove_file(self.fault()).unwrap();
        left.split_whitespace().nth(2) == Some("0")
    }

    /// Returns all operations recorded so far.
    pub fn operations(&self) -> Vec<Operation> {
        let trace = std::fs::read(self.trace()).unwrap();
        let mut rest = trace.as_slice();
        let mut operations = Vec::new();
        while rest.len() >= 32 {
            let number = |index: usize| u64::from_ne_bytes(rest[index * 8..index * 8 + 8].try_into().unwrap());
            let (kind, name, size, at) = (number(0) as u8, number(1) as usize, number(2) as usize, number(3));
            // The process was killed while it wrote a record.
            let Some(body) = rest.get(32..32 + name + size) else { break };
            let text = || String::from_utf8(body[..name].to_vec()).unwrap();
            let data = || body[name..].to_vec();
            operations.push(match kind {
                b'W' => Operation::Change(text(), Change::Write(at as usize, data())),
                b'T' => Operation::Change(text(), Change::Truncate(at as usize)),
                b'S' => Operation::Sync(text()),
                b'F' => Operation::FailedSync(text()),
                b'U' => Operation::Remove(text()),
                _ => Operation::Said(String::from_utf8_lossy(&data()).into_owned()),
            });
            rest = &rest[32 + name + size..];
        }
        operations
    }
}

fn url(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("store.db").display())
}

#[derive(Clone)]
pub enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

pub enum Operation {
    Change(String, Change),
    Sync(String),
    FailedSync(String),
    Remove(String),
    Said(String),
}

impl Operation {
    /// Returns the lines that the process printed.
    pub fn said(&self) -> Vec<String> {
        let Self::Said(text) = self else { return Vec::new() };
        text.lines().filter_map(|line| Some(line.split_once("> ")?.1.to_owned())).collect()
    }
}

/// The writes that are durable.
#[derive(Clone, Default)]
struct Content {
    kept: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Content {
    fn apply(kept: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write(at, data) => {
                kept.resize(kept.len().max(at + data.len()), 0);
                kept[*at..at + data.len()].copy_from_slice(data);
            }
            Change::Truncate(size) => kept.resize(*size, 0),
        }
    }

    /// Returns the content of the disk; `luck` decides for each change whether it was written.
    fn settle(&mut self, luck: &mut dyn FnMut() -> Fate) {
        for change in std::mem::take(&mut self.unsynced) {
            match (luck(), change) {
                (Fate::Lost, _) => {}
                (Fate::Torn, Change::Write(at, mut data)) => {
                    data.truncate(data.len() / 2 / 512 * 512);
                    Self::apply(&mut self.kept, &Change::Write(at, data));
                }
                (_, change) => Self::apply(&mut self.kept, &change),
            }
        }
    }
}

/// The fate of an unsynced write.
#[derive(Clone, Copy, PartialEq)]
pub enum Fate {
    Kept,
    Lost,
    Torn,
}

/// Returns the files after a power cut following `operations`. `luck` decides the fate of unsynced writes.
pub fn after_power_cut(operations: &[Operation], mut luck: impl FnMut() -> Fate) -> Image {
    let mut contents: Vec<Content> = Vec::new();
    let (mut named, mut kept_names): (BTreeMap<&str, usize>, BTreeMap<&str, usize>) = Default::default();
    for operation in operations {
        match operation {
            Operation::Change(name, change) => {
                let index = *named.entry(name).or_insert_with(|| {
                    contents.push(Content::default());
                    contents.len() - 1
                });
                contents[index].unsynced.push(change.clone());
            }
            Operation::Sync(name) if name == "." => kept_names.clone_from(&named),
            Operation::Sync(name) => {
                let synced = named.get(name.as_str()).map(|index| &mut contents[*index]);
                synced.into_iter().for_each(|content| content.settle(&mut || Fate::Kept));
            }
            // The system marks a page that it failed to write as written: it does not try again.
            Operation::FailedSync(name) => {
                let failed = named.get(name.as_str()).map(|index| &mut contents[*index]);
                failed.into_iter().for_each(|content| content.settle(&mut luck));
            }
            Operation::Remove(name) => drop(named.remove(name.as_str())),
            Operation::Said(_) => {}
        }
    }
    let directory = TempDir::new().unwrap();
    let names: std::collections::BTreeSet<&str> = named.keys().chain(kept_names.keys()).copied().collect();
    for name in names {
        let (now, before) = (named.get(name), kept_names.get(name));
        let there = if now == before || luck() == Fate::Kept { now } else { before };
        if let Some(index) = there {
            let mut content = contents[*index].clone();
            content.settle(&mut luck);
            std::fs::write(directory.path().join(name), content.kept).unwrap();
        }
    }
    Image(directory)
}

/// The files after a power cut.
pub struct Image(TempDir);

impl Image {
    pub fn url(&self) -> String {
        url(self.0.path())
    }
}
