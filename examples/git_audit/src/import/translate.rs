//! Translates rows of commits to commands.

use std::sync::Arc;

use annals::commands::Envelope;
use annals::events::{MAX_ID_BYTES, Origin};
use annals::prelude::*;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::files::{AddFile, ChangeFile, ChangeFileType, CopyFile, DeleteFile, FileId, RenameFile};
use crate::git::text::{escaped, text};
use crate::git::{Commit, GitError, Row};

/// The actor of an author's e-mail address: `user:EMAIL`.
///
/// Without an address it is `user:unknown`. Bytes that are not valid UTF-8 become `%` and two digits. An address that is too long
/// for a reference becomes its beginning, `…`, and the SHA-256 of the whole address.
///
/// # Errors
/// When the address contains NUL, which git does not print.
pub fn actor(email: &[u8]) -> Result<Ref, annals::events::InvalidRef> {
    let email = escaped(email);
    if email.is_empty() {
        return Ref::new("user", "unknown");
    }
    if email.len() <= MAX_ID_BYTES {
        return Ref::new("user", &email);
    }
    let hash = format!("{:x}", Sha256::digest(&email));
    let room = MAX_ID_BYTES - hash.len() - "…".len();
    Ref::new("user", &format!("{}…{hash}", &email[..email.floor_char_boundary(room)]))
}

/// The id of the command for a row: a UUIDv5 of the commit, the old path and the new path. A path occurs in a commit at most
/// once as an old path and once as a new path, so each row has a unique id, which is the same in each import.
#[must_use]
pub fn command_id(commit: &str, row: &Row) -> Uuid {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"annals:git_audit");
    let paths = [row.departs().unwrap_or_default(), row.arrives().unwrap_or_default()];
    Uuid::new_v5(&namespace, &[commit.as_bytes(), paths[0], paths[1]].join(&0))
}

/// The command for a row, with its context.
pub(super) fn envelope(row: Row, commit: &CommitContext) -> Envelope {
    let context = commit.context.clone().command_id(command_id(&commit.hash, &row));
    let hash = || commit.hash.to_string();
    let id = |path: Vec<u8>| FileId::of(&text(&path));
    match row {
        Row::Added(path) => {
            let (file, path) = id(path);
            Envelope::new(AddFile { file, commit: hash(), path }, context)
        }
        Row::Changed(path) => {
            let (file, path) = id(path);
            Envelope::new(ChangeFile { file, path }, context)
        }
        Row::TypeChanged(path) => {
            let (file, path) = id(path);
            Envelope::new(ChangeFileType { file, path }, context)
        }
        Row::Deleted(path) => {
            let (file, path) = id(path);
            Envelope::new(DeleteFile { file, path }, context)
        }
        Row::Renamed { from, to } => {
            let ((from, from_path), (to, to_path)) = (id(from), id(to));
            Envelope::new(RenameFile { from, to, commit: hash(), from_path, to_path }, context)
        }
        Row::Copied { from, to } => {
            let ((file, path), (from, _)) = (id(to), id(from));
            Envelope::new(CopyFile { file, from, commit: hash(), path }, context)
        }
    }
}

/// The hash of a commit and the context of its commands.
pub(super) struct CommitContext {
    pub(super) hash: Arc<str>,
    context: Context,
}

impl CommitContext {
    pub(super) fn from_commit(commit: &Commit) -> Result<Self, GitError> {
        let actor = actor(&commit.email).map_err(|error| GitError::Unexpected {
            found: error.to_string(),
            expected: "an author's address",
            after: commit.hash.clone(),
        })?;
        let origin = Origin { method: Some("git".to_owned()), ..Origin::default() };
        let context =
            Context::by(actor).correlation(commit.hash.as_str()).occurred_at(commit.authored).origin(origin);
        Ok(Self { hash: commit.hash.as_str().into(), context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_gives_an_actor() {
        assert_eq!(actor(b"ann@example.org").unwrap().as_str(), "user:ann@example.org");
        assert_eq!(actor(b"").unwrap().as_str(), "user:unknown");
        assert_eq!(actor(b" a b:c ").unwrap().as_str(), "user: a b:c ");
        assert_eq!(actor(b"jos\xe9@x").unwrap().as_str(), "user:jos%E9@x");
        let long =
            ["é".repeat(MAX_ID_BYTES), "é".repeat(MAX_ID_BYTES + 1)].map(|email| actor(email.as_bytes()).unwrap());
        assert!(long[0] != long[1] && long[0].id().len() <= MAX_ID_BYTES);
    }

    #[test]
    fn a_command_id_depends_on_commit_and_path_alone() {
        let renamed = |from: &str, to: &str| Row::Renamed { from: from.into(), to: to.into() };
        let rows = [
            renamed("a", "b"),
            renamed("b", "a"),
            Row::Deleted("a".into()),
            Row::Added("a".into()),
            renamed("ab", ""),
        ];
        let mut ids: Vec<Uuid> =
            rows.iter().flat_map(|row| ["c1", "c2"].map(|commit| command_id(commit, row))).collect();
        assert_eq!(ids[0], command_id("c1", &rows[0]));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2 * rows.len());
    }
}
