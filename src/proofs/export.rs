//! Writes the proofs of a log to a folder, in the layout of C2SP's `tlog-tiles`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::SignedCheckpoint;
use super::error::ProofError;
use super::handle::Proofs;
use super::snapshot::TreeSnapshot;
use super::tile::{TILE_HASHES, TileId, entries_path};

/// The file with the checkpoint, in a folder and below the log's address.
pub(super) const CHECKPOINT: &str = "checkpoint";

impl Proofs {
    /// Writes the last checkpoint, the tiles and the entries of its log to a folder, as C2SP's `tlog-tiles` lays them out: `checkpoint`,
    /// `tile/…`, `tile/entries/…`. A web server may serve the folder as it is. If the folder has an earlier export of this log, only what
    /// is new is written. The checkpoint is written last: a killed export leaves a folder that can be used as before. Returns the
    /// checkpoint.
    ///
    /// The entries are leaves, which hold no values.
    ///
    /// # Errors
    /// When there is no checkpoint, the folder has something else, or a file cannot be written.
    pub async fn export(
        &self,
        folder: &Path,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<SignedCheckpoint, ProofError> {
        let checkpoint = self.last_checkpoint().await?;
        let (at, origin, size) = (folder.to_owned(), checkpoint.origin.clone(), checkpoint.size);
        let before = spawn_blocking(move || earlier(&at, &origin)).await??;
        let before = before.map_or(0, |before| before.size).min(size);
        let mut tree = TreeSnapshot::open(&self.0).await?;
        for (tile, width) in TileId::more_than(before, size) {
            if tile.level == 0 {
                progress((tile.index * TILE_HASHES).min(size), size);
                let entries = self.entries(tile.index, width).await?;
                write(folder, entries_path(tile.index, width), entries).await?;
            }
            let hashes = tree.tile(tile, width).await?;
            write(folder, tile.path(width), hashes).await?;
        }
        write(folder, CHECKPOINT.to_owned(), checkpoint.to_string().into_bytes()).await?;
        progress(size, size);
        Ok(checkpoint)
    }
}

/// The checkpoint of an earlier export of this log to a folder.
fn earlier(folder: &Path, origin: &str) -> Result<Option<SignedCheckpoint>, ProofError> {
    let failed = |path: &Path, source| ProofError::Folder { path: path.to_owned(), source };
    fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let other = || ProofError::OtherFolder { path: folder.to_owned(), origin: origin.to_owned() };
    let path = folder.join(CHECKPOINT);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let before: SignedCheckpoint = text.parse().map_err(|_| other())?;
            if before.origin == origin { Ok(Some(before)) } else { Err(other()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let names = fs::read_dir(folder).map_err(|source| failed(folder, source))?;
            for name in names {
                // A killed first export left it.
                if name.map_err(|source| failed(folder, source))?.file_name() != "tile" {
                    return Err(other());
                }
            }
            Ok(None)
        }
        Err(source) => Err(failed(&path, source)),
    }
}

async fn write(folder: &Path, name: String, content: Vec<u8>) -> Result<(), ProofError> {
    let path = folder.join(name);
    spawn_blocking(move || write_whole(&path, &content).map_err(|source| ProofError::Folder { path, source }))
        .await?
}

/// A file appears whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut part = path.to_owned().into_os_string();
    part.push(".new");
    let part = PathBuf::from(part);
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(part, path)
}
