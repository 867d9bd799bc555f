//! [`History`]: the first-parent history, one commit at a time, and [`Parser`], which parses the output of git.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ChildStdout;

use jiff::Timestamp;

use super::process::Running;
use super::{Commit, GitError, Row};

/// The arguments of `git log`, without the commit. With `-z` each field ends with NUL, so that any path can be parsed. The
/// options after `--format` override configuration.
///
/// `-l1000` is git's default limit for the detection of renames: beyond it the rows of a commit are `A` and `D`. Submodules are
/// always included, whatever `.gitmodules` says, because they are in the tree.
const LOG: [&str; 16] = [
    "--first-parent",
    "--reverse",
    "-m",
    "-z",
    "--name-status",
    "-M",
    "-l1000",
    "--format=commit%x00%H%x00%ae%x00%at%x00%ct",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--no-color",
    "--no-show-signature",
    "--no-notes",
    "--no-mailmap",
    "--ignore-submodules=none",
];

/// Options that also detect copies of any file of the tree, as `git log --follow` does.
const COPIES: [&str; 2] = ["-C", "--find-copies-harder"];

/// The first-parent history of a repository, oldest commit first. One commit is in memory at a time.
#[derive(Debug)]
pub struct History {
    // Declared before `git`, so that the pipe is closed first on drop.
    parser: Parser<BufReader<ChildStdout>>,
    git: Running,
    ended: bool,
}

impl History {
    pub(super) fn start(path: &Path, head: &str, copies: bool) -> Result<Self, GitError> {
        let copies = COPIES.into_iter().filter(|_| copies);
        let arguments: Vec<&str> = LOG.into_iter().chain(copies).chain([head, "--"]).collect();
        let (git, output) = Running::start(path, "log", &arguments)?;
        Ok(Self { parser: Parser::new(BufReader::with_capacity(1 << 16, output)), git, ended: false })
    }
}

impl Iterator for History {
    type Item = Result<Commit, GitError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let commit = self.parser.next();
        // If git failed, the last commit may be incomplete.
        if self.parser.at_end() {
            self.ended = true;
            if let Err(error) = self.git.finish() {
                return Some(Err(error));
            }
        }
        self.ended |= !matches!(commit, Some(Ok(_)));
        commit
    }
}

/// Parses commits from the output of `git log`: `commit`, four fields, then rows; each field ends with NUL.
#[derive(Debug)]
pub struct Parser<R> {
    from: R,
    /// Whether the word `commit` of the next commit has been read.
    started: bool,
    ended: bool,
    last: String,
}

impl<R: BufRead> Parser<R> {
    /// Parses the output that `from` returns.
    pub fn new(from: R) -> Self {
        Self { from, started: false, ended: false, last: "none".to_owned() }
    }

    fn at_end(&self) -> bool {
        self.ended
    }

    /// The next field; `None` at the end.
    fn field(&mut self) -> Result<Option<Vec<u8>>, GitError> {
        let mut field = Vec::new();
        self.from.read_until(0, &mut field)?;
        match field.pop() {
            None => {
                self.ended = true;
                Ok(None)
            }
            Some(0) => Ok(Some(field)),
            Some(other) => {
                self.ended = true;
                field.push(other);
                Err(self.unexpected(&field, "the end of a field"))
            }
        }
    }

    fn required(&mut self, expected: &'static str) -> Result<Vec<u8>, GitError> {
        match self.field()? {
            Some(field) => Ok(field),
            None => Err(self.unexpected(b"the end of the output", expected)),
        }
    }

    fn unexpected(&self, found: &[u8], expected: &'static str) -> GitError {
        let found = String::from_utf8_lossy(&found[..found.len().min(200)]).into_owned();
        GitError::Unexpected { found, expected, after: self.last.clone() }
    }

    fn commit(&mut self) -> Result<Option<Commit>, GitError> {
        if !std::mem::take(&mut self.started) {
            match self.field()? {
                None => return Ok(None),
                Some(word) if word == b"commit" => {}
                Some(other) => return Err(self.unexpected(&other, "a commit")),
            }
        }
        let hash = self.required("a commit's hash")?;
        if !matches!(hash.len(), 40 | 64) || !hash.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.unexpected(&hash, "a commit's hash"));
        }
        self.last = String::from_utf8_lossy(&hash).into_owned();
        let email = self.required("the author's address")?;
        let (authored, committed) = (self.required("the author date")?, self.required("the commit date")?);
        let authored = time(&authored).or_else(|| time(&committed)).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut rows = Vec::new();
        while let Some(status) = self.field()? {
            if status == b"commit" {
                self.started = true;
                break;
            }
            // A newline separates the head of a commit from its rows.
            let status = if rows.is_empty() { status.trim_ascii_start() } else { &status };
            rows.push(self.row(status)?);
        }
        Ok(Some(Commit { hash: self.last.clone(), email, authored, rows }))
    }

    fn row(&mut self, status: &[u8]) -> Result<Row, GitError> {
        let [letter, score @ ..] = status else { return Err(self.unexpected(status, "a status")) };
        if !score.iter().all(u8::is_ascii_digit) {
            return Err(self.unexpected(status, "a status"));
        }
        match letter {
            b'A' => Ok(Row::Added(self.path()?)),
            b'M' => Ok(Row::Changed(self.path()?)),
            b'D' => Ok(Row::Deleted(self.path()?)),
            b'T' => Ok(Row::TypeChanged(self.path()?)),
            b'R' => Ok(Row::Renamed { from: self.path()?, to: self.path()? }),
            b'C' => Ok(Row::Copied { from: self.path()?, to: self.path()? }),
            _ => Err(self.unexpected(status, "one of the statuses A, M, D, T, R and C")),
        }
    }

    fn path(&mut self) -> Result<Vec<u8>, GitError> {
        let path = self.required("a path")?;
        if path.is_empty() {
            return Err(self.unexpected(&path, "a path"));
        }
        Ok(path)
    }
}

impl<R: BufRead> Iterator for Parser<R> {
    type Item = Result<Commit, GitError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.commit().transpose()
    }
}

/// Parses seconds since 1970. Returns `None` for text that is not a number; clamps a number out of range.
fn time(seconds: &[u8]) -> Option<Timestamp> {
    let seconds: i128 = std::str::from_utf8(seconds).ok()?.trim().parse().ok()?;
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let seconds = i64::try_from(seconds.clamp(first.into(), last.into())).ok()?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(output: &[u8]) -> Result<Vec<Commit>, GitError> {
        Parser::new(output).collect()
    }

    fn head(email: &str, at: &str) -> Vec<u8> {
        format!("commit\0{HASH}\0{email}\0{at}\07\0").into_bytes()
    }

    #[test]
    fn a_commit_is_a_head_and_any_number_of_rows() {
        let mut output = head("a@b", "1700000000");
        output.extend(b"\nA\0a b\n\0R075\0x\0\xff\0C100\0x\0commit\0T\0t\0D\0d\0M\0m\0");
        output.extend(head("", "junk"));
        output.extend(head("é", "99999999999999999"));
        let commits = read(&output).unwrap();
        assert_eq!(commits.len(), 3);
        assert_eq!(commits[0].authored.as_second(), 1_700_000_000);
        let path = |path: &[u8]| path.to_vec();
        assert_eq!(
            commits[0].rows,
            [
                Row::Added(path(b"a b\n")),
                Row::Renamed { from: path(b"x"), to: path(b"\xff") },
                Row::Copied { from: path(b"x"), to: path(b"commit") },
                Row::TypeChanged(path(b"t")),
                Row::Deleted(path(b"d")),
                Row::Changed(path(b"m")),
            ]
        );
        assert!(commits[1].rows.is_empty() && commits[1].email.is_empty());
        assert_eq!(commits[1].authored.as_second(), 7, "an invalid author date is replaced by the commit date");
        assert_eq!(commits[2].authored.as_second(), Timestamp::MAX.as_second());
    }

    #[test]
    fn output_that_is_cut_short_or_unexpected_is_an_error() {
        let whole = [head("a@b", "1"), b"\nR100\0x\0y\0".to_vec()].concat();
        assert!(read(&whole).is_ok());
        let row = head("a@b", "1").len();
        for cut in (1..whole.len()).filter(|cut| *cut != row) {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for strange in [&b"\nX\0a\0"[..], b"\nA\0\0", b"\nRx\0a\0b\0", b"\n\0a\0"] {
            let output = [head("a@b", "1"), strange.to_vec()].concat();
            assert!(matches!(read(&output), Err(GitError::Unexpected { .. })), "{strange:?}");
        }
        assert!(read(b"A\0a\0").is_err());
    }
}
