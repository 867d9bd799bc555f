//! The byte scan: no file of a store, its views, its write-ahead log or its database cluster has ever had a personal value, and no file
//! of keys has a destroyed key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use annals::app::Detail;
use annals::personal::{Keys, StoredKey};
use annals::prelude::*;
use annals::projections::audit::AuditQuery;
use annals_test_postgres::{Place, Server};

use crate::people::*;

/// A file in which a needle was found.
fn find(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    let is_in = finder(needle);
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        // A file of a running server may go at any time.
        let Ok(kind) = std::fs::symlink_metadata(&path) else { continue };
        if kind.is_dir() {
            open.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if kind.is_file() && std::fs::read(&path).is_ok_and(|bytes| is_in(&bytes)) {
            return Some(path);
        }
    }
    None
}

/// Finds these bytes.
fn finder(needle: &[u8]) -> impl Fn(&[u8]) -> bool {
    let pattern: String = needle.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let pattern = regex::bytes::Regex::new(&format!("(?-u){pattern}")).unwrap();
    move |bytes| pattern.is_match(bytes)
}

/// 32 random bytes, as letters and digits.
fn needle() -> String {
    let random = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    random[..32].to_owned()
}

/// What the program logs, at every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a value by every way that there is.
async fn write_everywhere(annals: &Annals, secret: &str, marker: &str) {
    let op = by("user:op");
    annals.execute(name("7", secret), &op).await.unwrap();
    let with_id = by("user:op").command_id(uuid::Uuid::new_v4());
    annals.execute(name("7", &format!("{secret} the second")), &with_id).await.unwrap();
    annals.execute(name("7", &format!("{secret} the second")), &with_id).await.unwrap();
    annals.execute(name("7", &format!("{secret}!")), &op).await.unwrap_err();
    let own = Introduce { user: user("8"), friend: user("7"), called: secret.to_owned(), own: marker.to_owned() };
    annals.execute(own, &op).await.unwrap();
    // Snapshots of aggregates.
    for number in 0..300 {
        annals.execute(name("7", &format!("{secret} {number}")), &op).await.unwrap();
    }
    for _ in 0..4 {
        let _ = annals.execute(Greet { user: user("7") }, &op).await;
    }
    let head = annals.store().head().await.unwrap();
    annals.reading("shown").unwrap().caught_up(head, None).await.unwrap();
    annals.rebuild("shown").unwrap().await.unwrap();
    annals.rebuild("audit").unwrap().await.unwrap();
    // Reads by an actor that knows the value: the filter is recorded.
    let reader = annals.read_as(&by("user:auditor"));
    let text = |query: AuditQuery| query.text(secret).limit(1);
    let _ = text(reader.audit()).page().await;
    let _ = text(reader.audit()).detail(Detail::Metadata).page().await;
    let said = sentences(annals).await;
    assert!(said.iter().any(|sentence| sentence.contains(secret)), "it is shown before the erasure");
}

async fn scan(annals: Annals, keys: &Path, folder: &Path, flush: impl Fn()) {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let (secret, marker) = (needle(), needle());
    write_everywhere(&annals, &secret, &marker).await;

    let key = async |subject: &str| {
        let found = annals.key_store().unwrap().find(&[reference(subject)]).await.unwrap().remove(0);
        let Some(StoredKey::Key(key)) = found else { panic!("{subject} has no key") };
        key.secret().to_vec()
    };
    let (destroyed, kept) = (key("user:7").await, key("user:8").await);
    assert!(find(keys, &destroyed).is_some() && find(keys, &kept).is_some(), "the scan finds keys");

    let reason = needle();
    annals.erase(&reference("user:7"), &reason, &by("user:op")).await.unwrap();
    flush();
    assert!(find(folder, reason.as_bytes()).is_some(), "the scan finds a text that is not sealed");
    assert!(find(folder, b"user:7").is_some());
    assert_eq!(find(folder, secret.as_bytes()), None, "a personal value was written");
    assert_eq!(find(folder, marker.as_bytes()), None, "a personal value of another subject was written");
    assert_eq!(find(keys, &destroyed), None, "a destroyed key is in a file of keys");
    assert!(find(keys, &kept).is_some());
    for bytes in [&destroyed, &kept] {
        assert_eq!(find(folder, bytes), None, "a key is in the store");
    }

    let said = sentences(&annals).await;
    assert!(said.iter().any(|sentence| sentence.contains("[erased]")));
    let document = annals.json_view("shown").unwrap().get("7").await.unwrap().unwrap();
    let state = annals.json_state(&reference("user:7"), None).await.unwrap();
    let presented = annals.presenter().present_at(&(1..=300).collect::<Vec<u64>>()).await.unwrap();
    let presented: Vec<String> =
        presented.iter().map(annals::projections::presenter::Presentation::plain).collect();
    let answers = format!("{said:?} {document} {} {presented:?} {}", state.state, log_text(&annals).await);
    assert!(!answers.contains(&secret), "an answer has it");
    assert!(said.iter().any(|sentence| sentence.contains(&marker)), "the other subject is as it was");
    annals.close().await;
    let logged = logged.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(logged.len() > 1_000, "something was logged");
    for text in [&secret, &marker] {
        assert!(!finder(text.as_bytes())(&logged), "a personal value was logged");
    }
}

fn recorded() -> App {
    app().record_reads().record_refusals()
}

fn keys_in(folder: &Path) -> Keys {
    Keys::at(format!("sqlite://{}/people.keys.db", folder.display()))
}

/// Guarantee 37.
#[tokio::test(flavor = "current_thread")]
async fn no_file_of_an_sqlite_store_ever_has_a_personal_value() {
    let (store, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = format!("sqlite://{}/people.db", store.path().display());
    let annals = recorded().keys(keys_in(keys.path())).open(&url).await.unwrap();
    scan(annals, keys.path(), store.path(), || {}).await;
}

/// Guarantee 37, Mission X7. The whole cluster with its write-ahead log and the archive of that log, from its first byte on.
#[tokio::test(flavor = "current_thread")]
async fn no_file_of_a_postgres_cluster_ever_has_a_personal_value() {
    let server = Server::with(&[
        "wal_keep_size=4GB",
        "full_page_writes=on",
        "log_statement=all",
        "log_min_duration_statement=0",
        "archive_mode=on",
        "archive_command='mkdir -p ../archive && cp %p ../archive/%f'",
    ]);
    let keys = tempfile::tempdir().unwrap();
    let annals = recorded().keys(keys_in(keys.path())).open(&server.url()).await.unwrap();
    let folder = server.folder();
    scan(annals, keys.path(), &folder, || {
        ["CHECKPOINT", "VACUUM", "CHECKPOINT"].iter().for_each(|sql| _ = server.sql(sql));
        let last = server.sql("SELECT pg_walfile_name(pg_switch_wal())");
        let archived = folder.join("archive").join(last.trim());
        let began = std::time::Instant::now();
        while !archived.exists() {
            assert!(began.elapsed() < std::time::Duration::from_secs(60), "{} is not archived", archived.display());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(find(&folder.join("archive"), b"user:7").is_some(), "the archive has the log");
    })
    .await;
}

/// Keys in PostgreSQL: what the table says, and that the cluster keeps more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_a_database_are_destroyed_and_the_weakness_is_recorded() {
    let place = Place::sqlite();
    let fresh = Place::postgres();
    let keys = Keys::at(fresh.url());
    let annals = app().keys(keys.clone()).open(place.url()).await.unwrap();
    for (id, given) in [("7", "Adelheid"), ("8", "Berta")] {
        annals.execute(name(id, given), &by("user:op")).await.unwrap();
    }
    let erasure = annals.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap();
    assert!(erasure.weak.is_some_and(|weak| weak.contains("write-ahead log")), "it is recorded");
    let kept = annals.subjects(None, 10).await.unwrap();
    let is = |number: usize| {
        (kept[number].subject.to_string(), kept[number].key.is_some(), kept[number].erased_at.is_some())
    };
    assert_eq!((is(0), is(1)), (("user:7".to_owned(), false, true), ("user:8".to_owned(), true, false)));
    annals.close().await;

    let annals = app().keys(keys).open(place.url()).await.unwrap();
    let said = sentences(&annals).await;
    assert_eq!(said[0], "user:op registered user:7 as [erased]");
    assert_eq!(said[1], "user:op registered user:8 as Berta");
    annals.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_the_cluster_of_the_log_need_a_word_of_the_operator() {
    let (place, keys) = (Place::postgres(), Place::postgres());
    let nowhere = app().open(place.url()).await.unwrap_err();
    assert!(format!("{nowhere:?}").contains("Missing"), "{nowhere:?}");
    let same = app().keys(Keys::at(keys.url())).open(place.url()).await.unwrap_err();
    assert!(format!("{same:?}").contains("SameCluster"), "{same:?}");
    let separator = if keys.url().contains('?') { '&' } else { '?' };
    let weak = Keys::at(format!("{}{separator}keys=weak", keys.url()));
    let annals = app().keys(weak).open(place.url()).await.unwrap();
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let weakness = annals.key_store().unwrap().weakness().unwrap();
    assert!(weakness.contains("same PostgreSQL cluster"), "{weakness}");
    annals.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/people.db", folder.path().display());
    let annals = app().open(&url).await.unwrap();
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let copy = folder.path().join("copy.keys.db");
    let secrets = |file: &Path| PathBuf::from(format!("{}-secrets", file.display()));
    annals.key_store().unwrap().backup(&copy).await.unwrap();
    annals.close().await;
    let file = folder.path().join("people.keys.db");
    for file in [&file, &copy, &secrets(&file), &secrets(&copy)] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = app().open(&url).await.unwrap_err();
    let text = format!("{refused:?}");
    assert!(text.contains("other users may read or write it"), "{text}");
    std::fs::rename(&copy, &file).unwrap();
    std::fs::rename(secrets(&copy), secrets(&file)).unwrap();
    let annals = app().open(&url).await.unwrap();
    assert_eq!(sentences(&annals).await, ["user:op registered user:7 as Adelheid"], "the copy has the keys");
    annals.close().await;
}
