//! [`Policy`]: which logs and witnesses are trusted, as C2SP's `tlog-policy` writes it.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;

use super::note::{KeyType, NoteError, VerifierKey};
use super::{InvalidCheckpoint, InvalidVerifierKey, SignedCheckpoint};

/// The most lines of a policy that name something.
const MAX_NAMES: usize = 1_000;

/// Which logs and witnesses are trusted: a file of lines.
///
/// - `log VKEY [URL]`: a log, by its public key. Several may be given.
/// - `witness NAME VKEY [URL]`: a witness; cosignatures are asked for at the URL.
/// - `group NAME all|any|NUMBER NAME…`: witnesses and groups, of which all, one, or that many must have cosigned.
/// - `quorum NAME`: the witness or group that must have cosigned a checkpoint; `quorum none` if nobody must.
///
/// Empty lines, and lines that begin with `#`, say nothing.
///
/// ```
/// use annals::proofs::{Policy, ProofKey};
///
/// # let folder = tempfile::tempdir()?;
/// let key = ProofKey::create(folder.path().join("proofs.key"), "example.org/job_server")?;
/// let policy: Policy = format!("log {}\nquorum none\n", key.public()).parse()?;
/// assert!(policy.check(&key.last()?)?.witnesses.is_empty());
/// # Ok::<(), annals::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    groups: BTreeMap<String, (usize, Vec<String>)>,
    quorum: Option<String>,
}

/// A witness: it cosigns checkpoints that go on from the last one that it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its name in the policy.
    pub name: String,
    /// Its public key.
    pub key: VerifierKey,
    /// Where cosignatures are asked for.
    pub url: Option<String>,
}

/// Who vouches for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Trusted {
    /// The public key of the log.
    pub log: VerifierKey,
    /// The names of the witnesses that cosigned it, with the times at which they did.
    pub witnesses: Vec<(String, Timestamp)>,
}

/// A line of a policy is wrong, or one is missing.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    /// A line is wrong.
    #[error("line {line} of the policy is wrong: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The fault.
        problem: String,
    },
    /// A public key cannot be read.
    #[error("line {line} of the policy is wrong")]
    Key {
        /// Its number, from 1.
        line: usize,
        /// The fault.
        source: InvalidVerifierKey,
    },
    /// There is no quorum.
    #[error("the policy has no line `quorum NAME`: write `quorum none` if no witness is needed")]
    NoQuorum,
}

/// A policy does not trust a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No log of the policy signed it.
    #[error("the checkpoint of {origin} is not signed by a log of the policy")]
    UnknownLog {
        /// The origin that the checkpoint names.
        origin: String,
    },
    /// A signature of a known key does not hold.
    #[error("the checkpoint was forged")]
    Forged(#[from] NoteError),
    /// The checkpoint is not signed.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
    /// Too few witnesses cosigned it.
    #[error("the checkpoint lacks the quorum `{quorum}`: {}", given(.cosigned))]
    NoQuorum {
        /// The name of the quorum.
        quorum: String,
        /// The names of the witnesses that cosigned it.
        cosigned: Vec<String>,
    },
}

fn given(cosigned: &[String]) -> String {
    match cosigned {
        [] => "no witness of the policy cosigned it".to_owned(),
        names => format!("only {} cosigned it", names.join(", ")),
    }
}

impl Policy {
    /// A policy that trusts one log and needs no witness.
    #[must_use]
    pub fn of_log(key: VerifierKey) -> Self {
        Self { logs: vec![key], witnesses: Vec::new(), groups: BTreeMap::new(), quorum: None }
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Checks that a log of the policy signed the checkpoint, and that the quorum of witnesses cosigned it.
    ///
    /// # Errors
    /// When one of them is missing, or a signature of a known key does not hold.
    pub fn check(&self, checkpoint: &SignedCheckpoint) -> Result<Trusted, PolicyError> {
        let mut log = None;
        for key in self.logs.iter().filter(|key| key.name() == checkpoint.origin) {
            if checkpoint.note.verify(key)?.is_some() {
                log = Some(key.clone());
            }
        }
        let log = log.ok_or_else(|| PolicyError::UnknownLog { origin: checkpoint.origin.clone() })?;
        let mut witnesses = Vec::new();
        for witness in &self.witnesses {
            if let Some(seconds) = checkpoint.note.verify(&witness.key)? {
                let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
                let at = at.ok_or_else(|| NoteError::Forged(witness.name.clone()))?;
                witnesses.push((witness.name.clone(), at));
            }
        }
        match &self.quorum {
            Some(quorum) if !self.has(quorum, &witnesses) => Err(PolicyError::NoQuorum {
                quorum: quorum.clone(),
                cosigned: witnesses.into_iter().map(|(name, _)| name).collect(),
            }),
            _ => Ok(Trusted { log, witnesses }),
        }
    }

    /// Whether a witness or a group has cosigned. A group names what is defined before it, so this ends.
    fn has(&self, name: &str, cosigned: &[(String, Timestamp)]) -> bool {
        match self.groups.get(name) {
            Some((needed, members)) => {
                members.iter().filter(|member| self.has(member, cosigned)).count() >= *needed
            }
            None => cosigned.iter().any(|(witness, _)| witness == name),
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.groups.contains_key(name) || self.witnesses.iter().any(|witness| witness.name == name)
    }

    /// Reads a line. `used`: the names that are members of a group.
    fn line(&mut self, number: usize, words: &[&str], used: &mut Vec<String>) -> Result<(), InvalidPolicy> {
        let wrong = |problem: String| InvalidPolicy::Line { line: number, problem };
        let key = |text: &str, key_type| match text.parse::<VerifierKey>() {
            Ok(key) if key.key_type() == key_type => Ok(key),
            Ok(_) => Err(wrong(
                "the key is not of the right type: Ed25519 (1) for logs, cosignatures (4) for witnesses".into(),
            )),
            Err(source) => Err(InvalidPolicy::Key { line: number, source }),
        };
        let twice = |known: &VerifierKey, other: &VerifierKey| match known.bytes() == other.bytes() {
            true => Err(wrong("the key was given before".to_owned())),
            false => Ok(()),
        };
        match words {
            ["log", vkey] | ["log", vkey, _] => {
                let log = key(vkey, KeyType::Ed25519)?;
                self.logs.iter().try_for_each(|known| twice(known, &log))?;
                self.logs.push(log);
            }
            ["witness", name, vkey, url @ ..] if url.len() <= 1 => {
                let key = key(vkey, KeyType::Cosignature)?;
                self.witnesses.iter().try_for_each(|known| twice(&known.key, &key))?;
                if *name == "none" || self.is_known(name) {
                    return Err(wrong(format!("the name `{}` is taken", name.escape_debug())));
                }
                let url = url.first().map(|url| (*url).to_owned());
                self.witnesses.push(Witness { name: (*name).to_owned(), key, url });
            }
            ["group", name, count, members @ ..] if !members.is_empty() => {
                if *name == "none" || self.is_known(name) {
                    return Err(wrong(format!("the name `{}` is taken", name.escape_debug())));
                }
                for member in members {
                    if !self.is_known(member) || used.iter().any(|one| one == member) {
                        let problem = "is not defined before, or is in a group already";
                        return Err(wrong(format!("`{}` {problem}", member.escape_debug())));
                    }
                    used.push((*member).to_owned());
                }
                let needed = match *count {
                    "all" => Some(members.len()),
                    "any" => Some(1),
                    number => number.parse().ok().filter(|needed| (1..=members.len()).contains(needed)),
                };
                let needed =
                    needed.ok_or_else(|| wrong("expected `all`, `any`, or a number of the members".to_owned()))?;
                let members = members.iter().map(|member| (*member).to_owned()).collect();
                self.groups.insert((*name).to_owned(), (needed, members));
            }
            ["quorum", name] if *name == "none" || self.is_known(name) => self.quorum = Some((*name).to_owned()),
            ["quorum", name] => return Err(wrong(format!("`{}` is not defined before", name.escape_debug()))),
            _ => {
                let expected =
                    "`log VKEY [URL]`, `witness NAME VKEY [URL]`, `group NAME COUNT NAME…` or `quorum NAME`";
                return Err(wrong(format!("expected {expected}")));
            }
        }
        Ok(())
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let mut policy = Self { logs: Vec::new(), witnesses: Vec::new(), groups: BTreeMap::new(), quorum: None };
        let mut used = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            let is_second = words.first() == Some(&"quorum") && policy.quorum.is_some();
            if is_second || policy.logs.len() + policy.witnesses.len() + policy.groups.len() > MAX_NAMES {
                return Err(InvalidPolicy::Line {
                    line: number,
                    problem: "there is a quorum already, or too many lines".to_owned(),
                });
            }
            policy.line(number, &words, &mut used)?;
        }
        match policy.quorum.take() {
            None => Err(InvalidPolicy::NoQuorum),
            Some(name) => Ok(Self { quorum: (name != "none").then_some(name), ..policy }),
        }
    }
}
