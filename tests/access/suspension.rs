//! A log that was restored from an older backup has rights that were withdrawn since. What a program remembers of them beside its
//! key file suspends all grants, until an owner confirms them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use annals::access::{Access, AccessError, ConfirmAccess, GrantAccess, NameOwner, RemoveOwner};
use annals::events::LogPosition;
use annals::prelude::*;
use annals::projections::audit::{AuditError, AuditRow};
use annals_test_postgres::Place;
use futures::{Stream, StreamExt};
use tempfile::TempDir;

use crate::bank::{by, deposit};
use crate::older::Older;
use crate::support::*;

annals_test_postgres::both_stores!(
    after_a_restored_backup_no_grant_counts_until_an_owner_confirms,
    a_restart_and_another_log_suspend_nothing,
    a_log_that_is_replaced_under_running_programs_suspends_rights_and_ends_streams,
    two_programs_share_what_they_remember,
    what_another_program_has_seen_ends_the_streams_of_this_one,
    what_a_killed_program_did_not_remember_is_remembered_at_the_next_opening,
    the_removal_of_an_owner_and_a_revoked_token_are_remembered_too,
    a_memory_that_cannot_be_trusted_is_refused_and_one_that_cannot_be_written_is_reported,
);

/// A second, and what a busy machine needs.
const SOON: Duration = Duration::from_millis(1_500);
const DEPOSIT: &str = "execute deposit account:*";

/// The place of a key file, and of what is remembered beside it.
struct Memory(TempDir);

impl Memory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("tokens.keys.withdrawn")
    }

    async fn open(&self, place: &Place) -> Annals {
        self.try_open(place).await.unwrap()
    }

    async fn try_open(&self, place: &Place) -> Result<Annals, annals::app::OpenError> {
        let access = Access::new().owner(party("alice")).remember_beside(self.0.path().join("tokens.keys"));
        crate::bank::app().access(access).open(place.url()).await
    }

    /// The line of the file about the only log.
    fn remembered(&self) -> Option<LogPosition> {
        let text = fs::read_to_string(self.file()).ok()?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), 1, "{text}");
        let words: Vec<&str> = lines[0].split(' ').collect();
        Some(LogPosition { position: words[1].parse().unwrap(), event_id: words[2].parse().unwrap() })
    }
}

async fn pay(annals: &Annals, who: &str) -> Result<annals::store::Receipt, String> {
    annals.execute(deposit("a", 1), &by(who)).await.map_err(|error| error.to_string())
}

async fn is_suspended(annals: &Annals, who: &str) {
    let denied = pay(annals, who).await.unwrap_err();
    assert!(denied.contains("the log is older") && denied.contains("`access confirm`"), "{who}: {denied}");
}

async fn confirm(annals: &Annals) {
    annals.execute(ConfirmAccess::new("I have looked at them"), &by("alice")).await.unwrap();
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Mission X61, Guarantee 29.
async fn after_a_restored_backup_no_grant_counts_until_an_owner_confirms(place: &Place) {
    let memory = Memory::new();
    let annals = memory.open(place).await;
    let bobs = grant(&annals, "bob", &[DEPOSIT]).await;
    let dean = GrantAccess::new(party("dean"), rights([DEPOSIT]), "a deputy").delegable();
    annals.execute(dean, &by("alice")).await.unwrap();
    pay(&annals, "bob").await.unwrap();
    let older = Older::keep(&annals, place).await;
    assert_eq!(memory.remembered(), None);
    let revoked = revoke(&annals, "bob", bobs).await;
    assert_eq!(memory.remembered(), Some(revoked.head), "before the answer is given");
    assert_eq!(fs::metadata(memory.file()).unwrap().permissions().mode() & 0o777, 0o600);
    pay(&annals, "bob").await.unwrap_err();
    annals.close().await;

    for _ in 0..2 {
        older.put_back(place);
        let annals = memory.open(place).await;
        assert!(annals.rights_suspended().is_some_and(|reason| reason.contains("`access confirm`")));
        assert!(
            annals.access_of(&party("bob")).await.unwrap().grants().contains_key(&bobs),
            "it is in the log again"
        );
        for _ in 0..2 {
            is_suspended(&annals, "bob").await;
            is_suspended(&annals, "dean").await;
        }
        let denied = pay(&annals, "mallory").await.unwrap_err();
        assert!(denied.contains("no right"), "who has no grant reads the usual reason: {denied}");
        let pass = GrantAccess::new(party("eve"), rights([DEPOSIT]), "on");
        assert_eq!(refusal(annals.execute(pass, &by("dean")).await), AccessError::Suspended);
        pay(&annals, "alice").await.unwrap();

        let confirming = ConfirmAccess::new("let me in");
        let refused = refusal(annals.execute(confirming, &by("bob")).await);
        assert_eq!(refused, AccessError::NotOwner(party("bob")));
        is_suspended(&annals, "bob").await;
        annals.close().await;
        let annals = memory.open(place).await;
        is_suspended(&annals, "bob").await;
        confirm(&annals).await;
        assert_eq!(annals.rights_suspended(), None);
        pay(&annals, "dean").await.unwrap();
        pay(&annals, "bob").await.expect("what is in the log counts again");
        let log = log_after(&annals, 0).await;
        let confirmed = log.iter().rfind(|event| event.event_type == "annals_access.confirmed").unwrap();
        assert_eq!(memory.remembered(), Some(confirmed.head()), "the confirmation takes its place");
        annals.close().await;
        let annals = memory.open(place).await;
        pay(&annals, "bob").await.expect("it stays confirmed");
        annals.close().await;
    }

    // Without a key file there is no memory.
    older.put_back(place);
    let without = open(place).await;
    pay(&without, "bob").await.unwrap();
    without.close().await;
}

async fn a_restart_and_another_log_suspend_nothing(place: &Place) {
    let memory = Memory::new();
    for _ in 0..3 {
        let annals = memory.open(place).await;
        let bobs = grant(&annals, "bob", &[DEPOSIT]).await;
        grant(&annals, "carol", &[DEPOSIT]).await;
        revoke(&annals, "bob", bobs).await;
        annals.close().await;
        let annals = memory.open(place).await;
        assert_eq!(annals.rights_suspended(), None);
        pay(&annals, "carol").await.unwrap();
        annals.close().await;
    }
    let before = fs::read_to_string(memory.file()).unwrap();
    let other = Place::sqlite();
    let annals = memory.open(&other).await;
    let bobs = grant(&annals, "bob", &[DEPOSIT]).await;
    pay(&annals, "bob").await.expect("another log, with keys that remember one");
    revoke(&annals, "bob", bobs).await;
    annals.close().await;
    let after = fs::read_to_string(memory.file()).unwrap();
    assert!(before.lines().all(|line| after.contains(line)), "{before}{after}");
    assert_eq!(after.lines().count(), before.lines().count() + 1, "a line for each log");
}

/// Guarantee 29: two programs, and the log is replaced under both.
async fn a_log_that_is_replaced_under_running_programs_suspends_rights_and_ends_streams(place: &Place) {
    let (memory, own) = (Memory::new(), Memory::new());
    let annals = memory.open(place).await;
    let other = own.open(place).await;
    grant(&annals, "bob", &[DEPOSIT, "audit full observe"]).await;
    let carols = grant(&annals, "carol", &[DEPOSIT]).await;
    let older = Older::keep(&annals, place).await;
    let revoked = revoke(&annals, "carol", carols).await;
    until("the other one has followed", || own.remembered() == Some(revoked.head)).await;
    let reader = annals.read_as(&by("bob"));
    let mut stream = reader.audit().after(revoked).follow();
    pay(&annals, "bob").await.unwrap();
    stream.next().await.unwrap().unwrap();

    older.put_back(place);
    until("rights are suspended", || annals.rights_suspended().is_some() && other.rights_suspended().is_some())
        .await;
    is_suspended(&other, "carol").await;
    // Its writer finds once that what it appended is gone.
    pay(&annals, "bob").await.unwrap_err();
    is_suspended(&annals, "bob").await;
    let end = end_of(&mut stream).await;
    assert!(matches!(end, AuditError::Denied { .. } | AuditError::Read(_) | AuditError::Store(_)), "{end:?}");

    // The confirmation is in the log: all programs see it.
    confirm(&other).await;
    until("it counts everywhere", || annals.rights_suspended().is_none() && other.rights_suspended().is_none())
        .await;
    pay(&annals, "bob").await.unwrap();
    pay(&other, "carol").await.unwrap();
    annals.close().await;
    other.close().await;
}

async fn two_programs_share_what_they_remember(place: &Place) {
    let memory = Memory::new();
    let (one, two) = (memory.open(place).await, memory.open(place).await);
    let mut grants = Vec::new();
    for number in 0..6 {
        let name = format!("p{number}");
        grants.push((grant(&one, &name, &[DEPOSIT]).await, name));
    }
    grant(&one, "carol", &[DEPOSIT]).await;
    let older = Older::keep(&one, place).await;
    let revoking = grants.iter().enumerate().map(|(number, (id, name))| {
        let (annals, memory) = (if number % 2 == 0 { &one } else { &two }, &memory);
        async move {
            let revoked = revoke(annals, name, *id).await;
            let remembered = memory.remembered().expect("something");
            assert!(remembered.position >= revoked.head.position, "{remembered:?} {revoked:?}");
        }
    });
    futures::future::join_all(revoking).await;
    let last = log_after(&one, 0).await.last().unwrap().head();
    assert_eq!(memory.remembered(), Some(last));
    one.close().await;
    two.close().await;
    let left = fs::read_dir(memory.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(left.iter().all(|name| name != "tokens.keys.withdrawn.new"), "{left:?}");

    older.put_back(place);
    let three = memory.open(place).await;
    is_suspended(&three, "carol").await;
    is_suspended(&three, "p5").await;
    three.close().await;
}

/// The end of a stream, after its rows.
async fn end_of(stream: &mut (impl Stream<Item = Result<AuditRow, AuditError>> + Unpin)) -> AuditError {
    loop {
        match tokio::time::timeout(SOON, stream.next()).await.expect("an end") {
            Some(Ok(_)) => {}
            Some(Err(end)) => return end,
            None => panic!("it ends without a reason"),
        }
    }
}

/// Another program, which shares the memory, has seen a withdrawal that this log has lost.
async fn what_another_program_has_seen_ends_the_streams_of_this_one(place: &Place) {
    let memory = Memory::new();
    let annals = memory.open(place).await;
    let carols = grant(&annals, "carol", &[DEPOSIT]).await;
    let revoked = revoke(&annals, "carol", carols).await;
    grant(&annals, "bob", &[DEPOSIT, "audit full observe"]).await;
    let mut stream = annals.read_as(&by("bob")).audit().follow();
    stream.next().await.unwrap().unwrap();
    let text = fs::read_to_string(memory.file()).unwrap();
    let lost = text.replace(&revoked.head.event_id.to_string(), "ffffffff-ffff-7fff-bfff-ffffffffffff");
    assert_ne!(text, lost);
    fs::write(memory.file(), lost).unwrap();
    match end_of(&mut stream).await {
        AuditError::Denied { reason, .. } => assert!(reason.contains("`access confirm`"), "{reason}"),
        end => panic!("{end:?}"),
    }
    is_suspended(&annals, "bob").await;
    // The clock of the other program was years ahead: the confirmation names what it confirms.
    confirm(&annals).await;
    pay(&annals, "bob").await.unwrap();
    annals.close().await;
}

/// A program that is killed after the commit leaves the same as one that remembers nothing.
async fn what_a_killed_program_did_not_remember_is_remembered_at_the_next_opening(place: &Place) {
    let memory = Memory::new();
    let killed = open(place).await;
    let bobs = grant(&killed, "bob", &[DEPOSIT]).await;
    let older = Older::keep(&killed, place).await;
    let revoked = revoke(&killed, "bob", bobs).await;
    killed.close().await;
    assert_eq!(memory.remembered(), None);
    let next = memory.open(place).await;
    assert_eq!(memory.remembered(), Some(revoked.head));
    next.close().await;
    older.put_back(place);
    let annals = memory.open(place).await;
    is_suspended(&annals, "bob").await;
    confirm(&annals).await;

    // The bound: what nobody with this memory has seen is not missed.
    if let Some(log) = place.url().strip_prefix("sqlite://") {
        fs::remove_file(format!("{log}.backup")).unwrap();
    }
    let older = Older::keep(&annals, place).await;
    annals.close().await;
    let killed = open(place).await;
    revoke(&killed, "bob", bobs).await;
    killed.close().await;
    older.put_back(place);
    let annals = memory.open(place).await;
    pay(&annals, "bob").await.expect("nobody has seen the revocation");
    annals.close().await;
}

async fn the_removal_of_an_owner_and_a_revoked_token_are_remembered_too(place: &Place) {
    let memory = Memory::new();
    let annals = memory.open(place).await;
    annals.execute(NameOwner::new(party("bob"), "two are better"), &by("alice")).await.unwrap();
    grant(&annals, "carol", &[DEPOSIT]).await;
    let removed = annals.execute(RemoveOwner::new(party("bob"), "he left"), &by("alice")).await.unwrap();
    assert_eq!(memory.remembered(), Some(removed.head));
    let older = Older::keep(&annals, place).await;
    let token = annals::access::RevokeToken::new(party("carol"), "ab".repeat(64), "lost");
    let revoked = annals.execute(token.clone(), &by("alice")).await.unwrap();
    assert_eq!(memory.remembered(), Some(revoked.head));
    // Nothing is written by the same again.
    annals.execute(token, &by("alice")).await.unwrap();
    pay(&annals, "carol").await.unwrap();
    assert_eq!(memory.remembered(), Some(revoked.head));
    annals.close().await;
    older.put_back(place);
    let annals = memory.open(place).await;
    is_suspended(&annals, "carol").await;
    annals.close().await;
}

async fn a_memory_that_cannot_be_trusted_is_refused_and_one_that_cannot_be_written_is_reported(place: &Place) {
    let memory = Memory::new();
    let annals = memory.open(place).await;
    let bobs = grant(&annals, "bob", &[DEPOSIT]).await;
    grant(&annals, "carol", &[DEPOSIT]).await;
    revoke(&annals, "bob", bobs).await;
    annals.close().await;
    let good = fs::read_to_string(memory.file()).unwrap();
    let refused = async || {
        let error = memory.try_open(place).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("tokens.keys.withdrawn") && error.contains("cannot be read"), "{error}");
    };
    fs::set_permissions(memory.file(), fs::Permissions::from_mode(0o666)).unwrap();
    refused().await;
    fs::set_permissions(memory.file(), fs::Permissions::from_mode(0o600)).unwrap();
    for bad in ["one two three\n", "log 1\n", &good.replace(' ', "  x ")] {
        fs::write(memory.file(), bad).unwrap();
        refused().await;
    }
    fs::write(memory.file(), &good).unwrap();
    let annals = memory.open(place).await;
    // A directory in its place cannot be replaced by a file.
    fs::create_dir(memory.0.path().join("tokens.keys.withdrawn.new")).unwrap();
    let carols = *annals.access_of(&party("carol")).await.unwrap().grants().keys().next().unwrap();
    revoke(&annals, "carol", carols).await;
    assert_eq!(fs::read_to_string(memory.file()).unwrap(), good, "the withdrawal counts, but is not remembered");
    fs::remove_dir(memory.0.path().join("tokens.keys.withdrawn.new")).unwrap();
    until("it is stored", || fs::read_to_string(memory.file()).unwrap() != good).await;
    annals.close().await;
}
