//! Programs of earlier versions, which do not say what they know that a log may require.

use sqlx::Executor;

use super::Bed;
use super::forging::call;
use crate::store::ACCESS;
use crate::store::conformance::bench::{batch, commit, committed, log, receipt};
use crate::store::postgres::schema::{self, VERSION};

/// Guarantee 28: a program that was running before the schema was upgraded calls the function without the last argument.
#[tokio::test]
async fn an_earlier_program_appends_until_the_log_requires_something() {
    let bed = Bed::new();
    let store = bed.open().await;
    let mut raw = bed.raw().await;
    let sql = bed.location.sql(&call(&[]));
    raw.execute(sql.as_str()).await.unwrap();
    let rights = batch([commit(2).on("annals_access:owners", 0, 1)]).knowing(&[ACCESS]);
    receipt(store.append(rights).await.unwrap()[0]);
    for writes in ["true", "false"] {
        let sql = bed.location.sql(&call(&[("writes", writes), ("event_sequence", "'{2}'")]));
        let refused = raw.execute(sql.as_str()).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains("the log requires `access`") && refused.contains("newer program"), "{refused}");
    }
    assert_eq!(log(&*store).await.len(), 2);
}

/// Makes the function that version 8 had: without its last argument, and called by a role of an application.
const AS_IN_VERSION_8: &str = "DO $do$ DECLARE made regprocedure; source text; BEGIN \
    SELECT oid INTO made FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace AND proname = 'append'; \
    source := replace(replace(pg_get_functiondef(made), $$, knows text[] DEFAULT '{}'::text[]$$, ''), \
        $$coalesce(knows, '{}')$$, $$'{}'::text[]$$); \
    EXECUTE format('DROP FUNCTION %s', made); \
    EXECUTE source; \
    SELECT oid INTO made FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace AND proname = 'append'; \
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made); \
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ROLE', made); \
    END $do$";

/// Version 9 has another signature of the function: a role keeps its right to call it, and only one function is left.
#[tokio::test]
async fn the_function_of_version_8_is_replaced_and_its_rights_are_kept() {
    for rights in [false, true] {
        let bed = Bed::new();
        let role = format!("r_{}", bed.location.plain_schema());
        let mut raw = bed.raw().await;
        schema::execute(&bed.location, &mut raw, "CREATE SCHEMA {schema}").await.unwrap();
        schema::run(&bed.location, &mut raw, 0, 8).await.unwrap();
        schema::sign(&bed.location, &mut raw, super::APP).await.unwrap();
        bed.run(&format!("CREATE ROLE {role} LOGIN")).await;
        bed.run(&AS_IN_VERSION_8.replace("ROLE", &role)).await;
        let arguments = "SELECT pronargs::bigint FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace \
                         AND proname LIKE 'append%'";
        assert_eq!(bed.number(arguments).await, 36);
        let granted = [("event_aggregate_type", "'{annals_access}'"), ("event_type", "'{annals_access.granted}'")];
        let sql = bed.location.sql(&call(if rights { &granted } else { &[] }));
        raw.execute(sql.as_str()).await.unwrap();
        // As a program of version 8 would have left it.
        bed.run("DELETE FROM {schema}.meta WHERE key = 'requires'").await;

        let store = bed.open().await;
        assert_eq!(bed.number(arguments).await, 37, "and there is no other one");
        assert_eq!(bed.number("SELECT value::bigint FROM {schema}.meta WHERE key = 'version'").await, VERSION);
        let may = format!(
            "SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace = '{{schema}}'::regnamespace \
             AND p.proname = 'append' AND a.grantee = '{role}'::regrole AND a.privilege_type = 'EXECUTE'"
        );
        assert_eq!(bed.number(&may).await, 1);
        assert_eq!(store.check_integrity().await.unwrap(), []);
        // Rights that were written before the upgrade count too.
        assert_eq!(store.info().await.unwrap().requires, if rights { ACCESS } else { "" });
        if !rights {
            committed(&*store, commit(1).on("tally:a", 0, 1)).await;
        }
        store.close().await;
        drop(raw);
        bed.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    }
}
