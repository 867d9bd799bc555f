//! How often grants were used.

use annals::access::GrantAccess;
use annals::commands::Context;
use annals::prelude::*;
use annals::store::Receipt;
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::bank::{Transfer, account, by, deposit};
use crate::support::*;

annals_test_postgres::both_stores!(
    each_command_counts_once_for_each_grant_that_allowed_it,
    a_recorded_read_counts_for_the_grant_that_allowed_it,
    the_first_event_of_a_command_names_its_grants_and_the_others_do_not,
);

/// A transfer from `a` to `b`.
fn transfer(cents: i64) -> Transfer {
    Transfer { from: account("a"), to: account("b"), cents }
}

/// The number of uses of a grant, and the position of the last one.
async fn uses(annals: &Annals, grant: Uuid) -> Option<(u64, u64)> {
    let head = annals.store().head().await.unwrap();
    let found = annals.grant_uses(&[grant], head).await.unwrap();
    found.get(&grant).map(|found| (found.uses, found.position))
}

/// Grants by alice. The returned id is the grant's.
async fn give(annals: &Annals, to: &str, rights_of: &[&str], delegable: bool) -> Uuid {
    let mut command = GrantAccess::new(party(to), rights(rights_of.iter().copied()), "for a test");
    command.delegable = delegable;
    let receipt = annals.execute(command, &by("alice")).await.unwrap();
    id_of(annals, &receipt).await
}

async fn each_command_counts_once_for_each_grant_that_allowed_it(place: &Place) {
    let annals = open(place).await;
    let one = give(&annals, "bob", &["execute * account:a"], true).await;
    let two = give(&annals, "bob", &["execute * account:b"], false).await;
    let never = give(&annals, "bob", &["catalogue"], false).await;
    annals.execute(deposit("a", 5), &by("bob")).await.unwrap();
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    assert_eq!(uses(&annals, one).await.map(|found| found.0), Some(1), "an owner uses no grant");
    // Two aggregates, by a grant each, and three events.
    let moved: Receipt = annals.execute(transfer(1), &by("bob")).await.unwrap();
    assert_eq!(uses(&annals, one).await, Some((2, moved.first_position)));
    assert_eq!(uses(&annals, two).await, Some((1, moved.first_position)));
    assert_eq!(uses(&annals, never).await, None);
    // A retry, a refusal and a denial are no use.
    let id = Uuid::new_v4();
    let again = || by("bob").command_id(id);
    annals.execute(deposit("a", 7), &again()).await.unwrap();
    annals.execute(deposit("a", 7), &again()).await.unwrap();
    annals.execute(transfer(1_000_000), &by("bob")).await.unwrap_err();
    annals.execute(deposit("c", 1), &by("bob")).await.unwrap_err();
    assert_eq!(uses(&annals, one).await.map(|found| found.0), Some(3));

    // On behalf: a grant of both. What was passed on counts for its holder's grant, not for the one above.
    let pass = GrantAccess::new(party("carol"), rights(["execute deposit account:a"]), "to help");
    let receipt = annals.execute(pass, &by("bob")).await.unwrap();
    let passed_on = id_of(&annals, &receipt).await;
    annals.execute(deposit("a", 1), &by("carol").on_behalf_of(party("bob"))).await.unwrap();
    assert_eq!(uses(&annals, passed_on).await.map(|found| found.0), Some(1));
    assert_eq!(uses(&annals, one).await.map(|found| found.0), Some(4));

    let before = (uses(&annals, one).await, uses(&annals, two).await, uses(&annals, passed_on).await);
    annals.rebuild("access_uses").unwrap().await.unwrap();
    let rebuilt = (uses(&annals, one).await, uses(&annals, two).await, uses(&annals, passed_on).await);
    assert_eq!(rebuilt, before);
    annals.close().await;
}

async fn a_recorded_read_counts_for_the_grant_that_allowed_it(place: &Place) {
    let annals = app().record_reads().open(place.url()).await.unwrap();
    let grant = give(&annals, "bob", &["audit metadata"], false).await;
    let bob: Context = by("bob");
    annals.read_as(&bob).audit().page().await.unwrap();
    annals.close().await;
    let annals = app().record_reads().open(place.url()).await.unwrap();
    assert_eq!(uses(&annals, grant).await.map(|found| found.0), Some(1));
    annals.close().await;
}

async fn the_first_event_of_a_command_names_its_grants_and_the_others_do_not(place: &Place) {
    let annals = open(place).await;
    let grant = give(&annals, "bob", &["execute * account:*"], false).await;
    annals.execute(deposit("a", 5), &by("bob")).await.unwrap();
    let receipt = annals.execute(transfer(1), &by("bob")).await.unwrap();
    let events = log_after(&annals, receipt.first_position - 1).await;
    let named: Vec<_> = events.iter().map(|event| event.metadata().unwrap().decided_on).collect();
    assert!(named.len() > 1);
    assert_eq!(named[0].as_ref().map(|on| on.grants.as_slice()), Some(&[grant][..]));
    assert!(named[1..].iter().all(Option::is_none), "{named:?}");
    annals.close().await;
}
