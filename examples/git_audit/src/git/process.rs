//! Runs `git` independently of its configuration and environment.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::GitError;

/// Number of bytes of git's stderr that are kept.
const MAX_STDERR: usize = 4_096;

/// Variables that make git read another repository or change its output. A hook, for example, sets some of them.
const UNSET: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_TRACE",
];

/// Configuration that changes the output of `git log` and cannot be overridden by an option.
const PINNED: [&str; 6] = [
    "log.showSignature=false",
    "log.showRoot=true",
    "log.diffMerges=separate",
    "log.follow=false",
    "i18n.logOutputEncoding=UTF-8",
    "diff.orderFile=/dev/null",
];

fn git(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).arg("--no-pager");
    for pinned in PINNED {
        command.args(["-c", pinned]);
    }
    command.args(arguments.iter().map(OsStr::new));
    UNSET.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C signals a whole process group. With its own group, git is not interrupted: this program ends it in order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Runs git to its end. Returns its stdout if it succeeds, otherwise the message on its stderr.
pub(super) fn run(directory: &Path, arguments: &[&str]) -> Result<Result<Vec<u8>, String>, GitError> {
    let output = git(directory, arguments).output().map_err(GitError::NoGit)?;
    Ok(match output.status.success() {
        true => Ok(output.stdout),
        false => Err(message(&output.stderr)),
    })
}

fn message(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.trim().trim_start_matches("fatal: ");
    if text.is_empty() { "no message".to_owned() } else { text.to_owned() }
}

/// A running git process, killed on drop.
#[derive(Debug)]
pub(super) struct Running {
    command: &'static str,
    child: Child,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts git. The caller reads its output while it runs.
    pub(super) fn start(
        directory: &Path,
        command: &'static str,
        arguments: &[&str],
    ) -> Result<(Self, ChildStdout), GitError> {
        let all: Vec<&str> = std::iter::once(command).chain(arguments.iter().copied()).collect();
        let mut child = git(directory, &all).spawn().map_err(GitError::NoGit)?;
        let stdout = child.stdout.take();
        // A thread reads stderr, so that git never blocks on a full pipe.
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(move || beginning(stderr)));
        let running = Self { command, child, stderr };
        match stdout {
            Some(stdout) => Ok((running, stdout)),
            None => Err(GitError::Io(io::Error::other("git has no output"))),
        }
    }

    /// Waits for git to end. If it fails, its output may be incomplete.
    pub(super) fn finish(&mut self) -> Result<(), GitError> {
        let status = self.child.wait()?;
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status.success() {
            true => Ok(()),
            false => Err(GitError::Failed { command: self.command, status, stderr: message(&stderr) }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if the process has already ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end and returns the beginning.
fn beginning(mut from: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = from.by_ref().take(MAX_STDERR as u64).read_to_end(&mut kept);
    let _ = io::copy(&mut from, &mut io::sink());
    kept
}
