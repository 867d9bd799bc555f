//! Versions of views side by side, unused versions, and projections that break the rules.

use super::*;

/// A view with another version.
struct Version(Arc<dyn Projection>, u64);

#[async_trait]
impl Projection for Version {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn version(&self) -> u64 {
        self.1
    }

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.setup(transaction).await
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.apply(batch, transaction).await
    }
}

/// Issue 4, part 3: a rolling deploy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_programs_view_is_kept_until_it_ends_and_pruned_then() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [file(directory.path()).await, file(directory.path()).await];
    let writer = Writer::new(&stores[0]);
    writer.append(medley(1, 200)).await;
    let old = engine(&stores[0], vec![balances()]).await;
    let new = engine(&stores[1], vec![Arc::new(Version(balances(), 2))]).await;
    writer.append(medley(2, 200)).await;
    compare(&stores[0], &old).await;
    compare(&stores[1], &new).await;
    assert_eq!((new.unused().await.unwrap(), old.unused().await.unwrap()), (vec![], vec![]), "both are used");
    assert_eq!(new.prune().await.unwrap(), []);
    writer.append(medley(3, 50)).await;
    compare(&stores[0], &old).await;
    old.close().await;

    let head = stores[0].head().await.unwrap().position;
    let gone =
        UnusedVersion { name: "balance".to_owned(), version: balances().version(), generations: 1, position: head };
    assert_eq!(new.unused().await.unwrap(), std::slice::from_ref(&gone));
    assert_eq!(new.prune().await.unwrap(), [gone]);
    let left: Vec<_> = stores[1].views().generations().await.unwrap();
    assert_eq!(left.iter().map(|generation| generation.id.version).collect::<Vec<_>>(), [2]);
    compare(&stores[1], &new).await;
    // Rolled back: the old program rebuilds its view.
    let old = engine(&stores[0], vec![balances()]).await;
    compare(&stores[0], &old).await;
    old.close().await;
    new.close().await;
}

/// Executes a forbidden statement.
struct Rude(&'static str);

#[async_trait]
impl Projection for Rude {
    fn name(&self) -> &str {
        "rude"
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let sql = format!("CREATE TABLE {} (number BIGINT)", transaction.table("rude"));
        transaction.execute(&sql, vec![]).await?;
        Ok(())
    }

    async fn apply(&self, _: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let table = transaction.table("rude");
        transaction.execute(&format!("INSERT INTO {table} VALUES (1)"), vec![]).await?;
        transaction.execute(&self.0.replace("TABLE", &table), vec![]).await?;
        Ok(())
    }
}

/// Issue 4, invalid input: a projection that writes outside its transaction stops, and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_ends_its_transaction_or_runs_two_statements_stops_and_says_so() {
    for (sql, said) in [
        ("COMMIT", "COMMIT ends the transaction"),
        ("/* now */ rollback", "ROLLBACK ends the transaction"),
        ("INSERT INTO TABLE VALUES (2); INSERT INTO TABLE VALUES (3)", "several statements"),
    ] {
        let store = memory().await;
        let projections = engine(&store, vec![Arc::new(Rude(sql)), comets()]).await;
        let receipt = Writer::new(&store).append(vec![comet()]).await;
        projections.reading("comets").unwrap().caught_up(receipt.head, None).await.unwrap();
        let status = async || projections.statuses().await.unwrap().pop().unwrap();
        until("it stops", async || status().await.is_stopped()).await;
        let words = status().await.state.to_string();
        assert!(words.contains(said), "{sql}: {words}");
        let mut snapshot = projections.reading("rude").unwrap().snapshot().await.unwrap();
        let written = format!("SELECT count(*) FROM {}", snapshot.table("rude"));
        let written = snapshot.query(&written, vec![]).await.unwrap();
        assert_eq!((snapshot.head().position, written[0][0].integer()), (0, Some(0)), "{sql}: nothing of it stays");
        drop(snapshot);
        projections.close().await;
    }
}

/// Issue 4, invalid input: a stored document that no longer has the declared shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_whose_stored_shape_no_longer_fits_asks_for_a_raised_version() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        colour: String,
    }
    impl DocumentView for Other {
        const NAME: &'static str = "balance";
        type Key = AccountId;
        type Events = (AccountEvent, GateEvent);
    }
    impl On<GateEvent> for Other {
        fn keys(_: &Recorded<GateEvent>) -> Vec<AccountId> {
            Vec::new()
        }
        fn apply(_: &mut Option<Self>, _: &AccountId, _: &Recorded<GateEvent>) {}
    }
    impl On<AccountEvent> for Other {
        fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
            event.id().into_iter().collect()
        }
        fn apply(document: &mut Option<Self>, _: &AccountId, _: &Recorded<AccountEvent>) {
            document.get_or_insert(Other { colour: "red".to_owned() });
        }
    }
    let store = memory().await;
    let writer = Writer::new(&store);
    writer.append(vec![deposit(1, 1)]).await;
    let before = engine(&store, vec![balances()]).await;
    compare(&store, &before).await;
    before.close().await;
    let after = engine(&store, vec![Arc::new(Documents::<Other>::new())]).await;
    let read = ViewQuery::<Other>::new(after.reading("balance"), &AccountId::new("1")).await;
    assert!(read.unwrap_err().to_string().contains("raise the projection's version to rebuild it"));
    writer.append(vec![deposit(1, 1)]).await;
    until("it stops", async || after.statuses().await.unwrap()[0].is_stopped()).await;
    let words = after.statuses().await.unwrap()[0].state.to_string();
    assert!(words.contains("raise the projection's version to rebuild it"), "{words}");
    // Fixed as the error says.
    after.rebuild("balance").unwrap().await.unwrap();
    let read = ViewQuery::<Other>::new(after.reading("balance"), &AccountId::new("1")).await.unwrap();
    assert_eq!(read.unwrap().colour, "red");
    after.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    an_old_programs_view_is_kept_until_it_ends_and_pruned_then,
    a_projection_that_ends_its_transaction_or_runs_two_statements_stops_and_says_so,
    a_view_whose_stored_shape_no_longer_fits_asks_for_a_raised_version,
}
