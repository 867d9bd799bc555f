//! Behind a pooler in transaction mode: a real pgbouncer.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Bed, open_at, until};
use crate::store::conformance::bench::{aggregate, append, batch, commit, committed, duplicate, log};
use crate::store::{Interest, Outcome, Store};

/// A pgbouncer with two connections, on a port of its own.
struct Bouncer {
    child: Child,
    _directory: TempDir,
    address: String,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bouncer {
    fn start(bed: &Bed) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let Some(program) = program.into_iter().find(|path| Path::new(path).exists()) else {
            annals_test_postgres::skip("there is no pgbouncer");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (host, server) = bed.address().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let user = bed.user();
        let config = format!(
            "[databases]\n* = host={host} port={server} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 2\nmax_client_conn = 100\nserver_reset_query_always = 0\n"
        );
        let file = directory.path().join("pgbouncer.ini");
        std::fs::write(&file, config).unwrap();
        // pgbouncer refuses to run as root.
        let mut command = Command::new("setpriv");
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]);
        } else {
            command = Command::new(program);
        }
        let child = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Some(Self { child, _directory: directory, address: format!("127.0.0.1:{port}") })
    }
}

async fn opened(url: &str, bouncer: &Bouncer) -> Arc<dyn Store> {
    until("pgbouncer listens", async || tokio::net::TcpStream::connect(&bouncer.address).await.is_ok()).await;
    open_at(url, true).await.unwrap()
}

/// Guarantee 11: with more clients than connections, so that each connection serves several clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pooler_in_transaction_mode() {
    let bed = Bed::new();
    let Some(bouncer) = Bouncer::start(&bed) else { return };
    let url = format!("{}&pooler=transaction", bed.url(bed.user(), &bouncer.address));
    let stores = [opened(&url, &bouncer).await, opened(&url, &bouncer).await, opened(&url, &bouncer).await];
    let writers = stores.iter().zip(0..).map(|(store, writer): (_, u64)| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..30 {
                let id = u128::from(writer * 1_000 + number);
                committed(&*store, commit(id).on(&format!("tally:{writer}"), number, 1)).await;
                assert_eq!(
                    store.load(&aggregate(&format!("tally:{writer}")), 0, 100).await.unwrap().len() as u64,
                    number + 1
                );
                store.read(0, 10, &Interest::EventTypes(vec!["tally.counted".to_owned()])).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let [store, other, _] = &stores;
    assert_eq!(log(&**store).await.len(), 90);
    duplicate(append(&**store, [commit(5).on("tally:0", 5, 1)]).await[0]);
    let session = store.write_lock(Duration::from_secs(5), Duration::from_secs(5)).await.unwrap();
    let outcomes = session.append(batch([commit(9_999).on("tally:x", 0, 1)])).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Committed(_)));
    let mut watch = other.watch();
    let notified = tokio::time::timeout(Duration::from_secs(10), watch.wait_for(|head| head.position == 91)).await;
    notified.unwrap().unwrap();
    assert_eq!(store.find_commands(&[crate::store::conformance::bench::id(9_999)]).await.unwrap().len(), 1);
    assert_eq!(store.check_integrity().await.unwrap(), []);
    let (generation_id, at) = store.views().live("roster", 1).await.unwrap();
    let head = store.head().await.unwrap();
    store.views().begin(&generation_id, at, head).await.unwrap().unwrap().commit().await.unwrap();
    assert_eq!(other.views().checkpoint(&generation_id).await.unwrap(), Some(head));
    for store in &stores {
        store.close().await;
    }
}
