//! A program without rights in its log is running when somebody names the first owner.

use annals::access::Access;
use annals::commands::{Context, ExecuteError};
use annals::events::Ref;
use annals::store::StoreError;
use annals_test_postgres::Place;
use serde_json::json;
use uuid::Uuid;

use crate::bank::{app, by, deposit, log};
use crate::served::Served;

annals_test_postgres::both_stores! {
    a_running_program_without_rights_executes_nothing_after_the_first_owner_was_named,
}

/// Mission X60, Guarantee 28: the refusal is definite, in the library and over HTTP, and says what to do.
async fn a_running_program_without_rights_executes_nothing_after_the_first_owner_was_named(place: &Place) {
    let served = Served::alice(app(), place).await;
    let known = by("alice").command_id(Uuid::new_v4());
    let first = served.annals.execute(deposit("a", 1), &known).await.unwrap();
    assert_eq!(served.get("/readyz").await.status, 200);

    let other = app().access(Access::new()).open(place.url()).await.unwrap();
    other.execute(deposit("a", 1), &by("alice")).await.expect_err("nobody has a right yet");
    served.deposit("a", 2).await;
    let alice: Ref = "user:alice".parse().unwrap();
    other.init_access(alice.clone(), "she runs the bank", &Context::by(alice)).await.unwrap();

    let refused = served.annals.execute(deposit("a", 3), &by("alice")).await;
    match &refused {
        Err(ExecuteError::Store(error)) => {
            assert!(matches!(&**error, StoreError::Requires(name) if name == "access"), "{error:?}");
            assert!(error.to_string().contains("`App::access`"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let body = json!({ "account": "a", "cents": 4 });
    for _ in 0..2 {
        let detail = served.post("/commands/deposit", &body).await.problem(503, "log-requires");
        assert!(detail.contains("`access`") && detail.contains("`App::access`"), "{detail}");
        let detail = served.get("/readyz").await.problem(503, "log-requires");
        assert!(detail.contains("`App::access`"), "{detail}");
    }
    assert_eq!(served.get("/healthz").await.status, 200);
    let again = served.annals.execute(deposit("a", 1), &known).await.unwrap();
    assert_eq!((again.head, again.repeated), (first.head, true), "what was executed is answered from the log");

    // The other one asks rights, and still executes commands.
    other.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let types: Vec<String> = log(&other).await.into_iter().map(|event| event.event_type).collect();
    assert_eq!(types, ["account.deposited", "account.deposited", "annals_access.owner_named", "account.deposited"]);
    other.close().await;
    served.stop().await;
}
