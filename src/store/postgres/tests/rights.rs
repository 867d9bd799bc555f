//! Guarantee 14: the application's role appends only through the function.

use sqlx::Executor;

use super::{Bed, open_at, reason};
use crate::store::Outcome;
use crate::store::conformance::bench::{append, batch, commit, committed, log};

#[tokio::test]
async fn a_role_with_execute_appends_without_the_right_to_insert() {
    let bed = Bed::new();
    committed(&*bed.open().await, commit(1).on("tally:a", 0, 1)).await;
    let role = format!("r_{}", bed.location.plain_schema());
    bed.run(&format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {{schema}} TO {role}")).await;
    bed.run(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA {{schema}} TO {role}")).await;
    let url = bed.url(&role, &bed.address());
    let store = open_at(&url, false).await.unwrap();
    let refused = reason(store.append(batch([commit(2).on("tally:a", 1, 1)])).await);
    assert!(refused.contains("EXECUTE"), "{refused}");
    bed.run(&format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {{schema}} TO {role}")).await;
    let outcomes = append(&*store, [commit(2).on("tally:a", 1, 1)]).await;
    assert!(matches!(outcomes[0], Outcome::Committed(_)), "{outcomes:?}");
    let second = std::time::Duration::from_secs(5);
    let session = store.write_lock(second, second).await.unwrap();
    assert!(session.append(batch([commit(3).on("tally:a", 2, 1)])).await.is_ok());
    assert_eq!(log(&*store).await.len(), 3);
    let location = crate::store::postgres::location::SchemaLocation::parse(&url).unwrap();
    let mut raw = location.connect().await.unwrap();
    for sql in [
        "INSERT INTO {schema}.events SELECT * FROM {schema}.events",
        "INSERT INTO {schema}.commands SELECT * FROM {schema}.commands",
        "ALTER TABLE {schema}.events DISABLE TRIGGER ALL",
    ] {
        let refused = raw.execute(location.sql(sql).as_str()).await.map(|_| ()).expect_err(sql).to_string();
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{sql}: {refused}");
    }
    store.close().await;
    drop(raw);
    bed.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
