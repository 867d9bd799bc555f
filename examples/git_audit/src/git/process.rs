//! `git` run with everything pinned that a configuration or the environment could turn.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::GitError;

/// How much of what git says on stderr is kept.
const SAID: usize = 4_096;

/// What an environment (a hook's, say) could set to make git read another repository than the one it is told to, or
/// print in another form.
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

/// What a configuration could turn in the output of `git log` and has no option against it.
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
    // Ctrl-C goes to a whole process group: git has one of its own, so that it is stopped by us, in order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Runs git to its end: what it prints, if it succeeds, else what it says.
pub(super) fn run(directory: &Path, arguments: &[&str]) -> Result<Result<Vec<u8>, String>, GitError> {
    let output = git(directory, arguments).output().map_err(GitError::NoGit)?;
    Ok(match output.status.success() {
        true => Ok(output.stdout),
        false => Err(said(&output.stderr)),
    })
}

fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.trim().trim_start_matches("fatal: ");
    if text.is_empty() { "it does not say why".to_owned() } else { text.to_owned() }
}

/// A git that is running. Dropped before its end, it is killed.
#[derive(Debug)]
pub(super) struct Running {
    command: &'static str,
    child: Child,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts git; its output is read while it runs, and never kept whole.
    pub(super) fn start(
        directory: &Path,
        command: &'static str,
        arguments: &[&str],
    ) -> Result<(Self, ChildStdout), GitError> {
        let all: Vec<&str> = std::iter::once(command).chain(arguments.iter().copied()).collect();
        let mut child = git(directory, &all).spawn().map_err(GitError::NoGit)?;
        let stdout = child.stdout.take();
        // Git must never wait for somebody to read what it complains about.
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(move || beginning(stderr)));
        let running = Self { command, child, stderr };
        match stdout {
            Some(stdout) => Ok((running, stdout)),
            None => Err(GitError::Io(io::Error::other("git has no output"))),
        }
    }

    /// Waits for the end, which must be a good one: output that ended early is not output.
    pub(super) fn finish(&mut self) -> Result<(), GitError> {
        let status = self.child.wait()?;
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status.success() {
            true => Ok(()),
            false => Err(GitError::Failed { command: self.command, status, said: said(&stderr) }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended and been waited for, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end, and keeps the beginning.
fn beginning(mut from: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = from.by_ref().take(SAID as u64).read_to_end(&mut kept);
    let _ = io::copy(&mut from, &mut io::sink());
    kept
}
