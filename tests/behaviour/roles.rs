//! An application that connects as a PostgreSQL role that owns nothing.

use std::process::ExitCode;

use annals_test_postgres::Fresh;

use crate::bank::{OpenAccount, account, app, by, deposit};

/// A schema and a role, both dropped at the end.
struct Stage {
    fresh: Fresh,
    role: String,
}

impl Stage {
    fn new() -> Self {
        let fresh = Fresh::schema();
        let role = format!("app_{}", fresh.name());
        // Not in the schema, which does not exist yet.
        fresh.sql(&format!("CREATE ROLE {role} LOGIN"));
        Self { fresh, role }
    }

    /// The store's URL as the role.
    fn url(&self) -> String {
        let (_, rest) = self.fresh.url().split_once("://").unwrap();
        let address = rest.split_once('@').map_or(rest, |(_, address)| address);
        format!("postgres://{}@{address}", self.role)
    }

    async fn run(&self, arguments: &[&str]) -> bool {
        let arguments = [&["bank"], arguments, &["--store", self.fresh.url()]].concat();
        format!("{:?}", app().main_with(arguments).await) == format!("{:?}", ExitCode::SUCCESS)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Self { fresh, role } = self;
        // What cannot be dropped is left to a later run.
        let _ =
            fresh.try_sql(&format!("DROP SCHEMA {} CASCADE; DROP OWNED BY {role}; DROP ROLE {role}", fresh.name()));
    }
}

fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Does as the role what every application does.
async fn works(stage: &Stage, name: &str) {
    let annals = app().open(&stage.url()).await.unwrap_or_else(|error| panic!("{}", words(&error)));
    annals.execute(OpenAccount { account: account(name) }, &by("alice")).await.unwrap();
    for cents in 1..=3 {
        annals.execute(deposit(name, cents), &by("alice")).await.unwrap();
    }
    let head = annals.store().head().await.unwrap();
    for projection in annals.projections().await.unwrap() {
        annals.reading(&projection.name).unwrap().caught_up(head, None).await.unwrap();
    }
    let page = annals.audit().actor("user:alice").target(format!("account:{name}")).page().await.unwrap();
    assert_eq!(page.rows.len(), 4);
    let report = annals.check(|_, _| ()).await.unwrap();
    assert!(report.is_sound(), "{report:#?}");
    annals.close().await;
}

/// The rights that `migrate --grant` grants are all that an application needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_works_as_a_role_with_the_rights_of_migrate_grant() {
    let stage = Stage::new();
    let refused = words(&app().open(&stage.url()).await.map(drop).unwrap_err());
    assert!(refused.contains(&format!("run `migrate --grant {}`", stage.role)), "{refused}");
    assert!(stage.run(&["migrate", "--grant", &stage.role]).await);
    works(&stage, "a").await;
    // The owner's programs run at the same time.
    let annals = app().open(stage.fresh.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("bob")).await.unwrap();
    annals.close().await;
    works(&stage, "b").await;
    let refused = stage.fresh.try_sql(&format!("SET ROLE {}; DELETE FROM events", stage.role)).unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projections_that_the_owner_ran_are_handed_over_to_the_role() {
    let stage = Stage::new();
    let annals = app().open(stage.fresh.url()).await.unwrap();
    annals.execute(OpenAccount { account: account("o") }, &by("alice")).await.unwrap();
    let head = annals.store().head().await.unwrap();
    annals.reading("audit").unwrap().caught_up(head, None).await.unwrap();
    annals.close().await;
    assert!(stage.run(&["migrate", "--grant", &stage.role]).await);
    works(&stage, "a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_named_with_the_statements_that_grant_it() {
    let stage = Stage::new();
    assert!(stage.run(&["migrate"]).await);
    let refused = words(&app().open(&stage.url()).await.map(drop).unwrap_err());
    assert!(refused.contains("permission denied"), "{refused}");
    let start = refused.find("GRANT ").unwrap_or_else(|| panic!("no statements: {refused}"));
    stage.fresh.sql(&refused[start..]);
    // Also with all but one of them.
    stage.fresh.sql(&format!("REVOKE INSERT ON projections FROM {}", stage.role));
    let refused = words(&app().open(&stage.url()).await.map(drop).unwrap_err());
    assert!(refused.contains("projections") && refused.contains("GRANT SELECT, INSERT"), "{refused}");
    assert!(stage.run(&["migrate", "--grant", &stage.role]).await);
    works(&stage, "a").await;
}

/// A program is deployed before the owner has upgraded the schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_upgrades_an_older_schema_and_rights_stay() {
    let stage = Stage::new();
    assert!(stage.run(&["migrate", "--grant", &stage.role]).await);
    let version = stage.fresh.sql("SELECT value FROM meta WHERE key = 'version'");
    stage.fresh.sql(
        "UPDATE meta SET value = '3' WHERE key = 'version'; \
         ALTER TABLE aggregate_snapshots DROP COLUMN digest",
    );
    let refused = words(&app().open(&stage.url()).await.map(drop).unwrap_err());
    assert!(refused.contains("has version 3") && refused.contains("run `migrate` as its owner"), "{refused}");
    assert!(stage.run(&["migrate"]).await);
    assert_eq!(stage.fresh.sql("SELECT value FROM meta WHERE key = 'version'"), version);
    works(&stage, "a").await;
}
