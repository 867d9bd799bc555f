//! Rights that their holder passes on.

use annals::access::{AccessError, GrantAccess, RevokeAccess};
use annals::prelude::*;
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::bank::{by, deposit};
use crate::support::*;

annals_test_postgres::both_stores!(
    nobody_grants_more_than_they_hold,
    a_right_that_was_passed_on_ends_with_the_right_that_it_was_given_by,
    a_right_is_passed_on_twice_at_most,
    the_giver_and_the_holder_may_revoke_and_nobody_else,
);

async fn pass(annals: &Annals, from: &str, to: &str, right: &str) -> Result<Uuid, AccessError> {
    let command = GrantAccess::new(party(to), rights([right]), "for a test").delegable();
    match annals.execute(command, &by(from)).await {
        Ok(receipt) => Ok(id_of(annals, &receipt).await),
        refused => Err(refusal(refused)),
    }
}

async fn nobody_grants_more_than_they_hold(place: &Place) {
    let annals = open(place).await;
    grant(&annals, "bob", &["execute deposit account:*"]).await;
    let refused = |error| Err(error) as Result<Uuid, _>;
    assert_eq!(
        pass(&annals, "bob", "carol", "execute deposit account:a").await,
        refused(AccessError::NotHeld(party("bob"))),
        "bob may not pass it on"
    );
    pass(&annals, "alice", "dave", "execute deposit account:x/*").await.unwrap();
    for more in
        ["execute deposit account:*", "execute * account:x/1", "execute deposit account:xy", "audit metadata"]
    {
        let error = refused(AccessError::NotHeld(party("dave")));
        assert_eq!(pass(&annals, "dave", "carol", more).await, error, "{more}");
    }
    pass(&annals, "dave", "carol", "execute deposit account:x/1").await.unwrap();
    annals.execute(deposit("x/1", 1), &by("carol")).await.unwrap();
    assert!(is_denied(&annals.execute(deposit("x/2", 1), &by("carol")).await));
    // Nor for longer than they hold it.
    let (soon, later) = ("2999-01-01T00:00:00Z".parse().unwrap(), "2999-01-02T00:00:00Z".parse().unwrap());
    let short = GrantAccess::new(party("erin"), rights(["execute * *"]), "a year").until(soon).delegable();
    annals.execute(short, &by("alice")).await.unwrap();
    let longer = GrantAccess::new(party("frank"), rights(["execute * *"]), "longer").until(later);
    assert_eq!(refusal(annals.execute(longer, &by("erin")).await), AccessError::NotHeld(party("erin")));
    annals.close().await;
}

async fn a_right_that_was_passed_on_ends_with_the_right_that_it_was_given_by(place: &Place) {
    let annals = open(place).await;
    let bobs = pass(&annals, "alice", "bob", "execute deposit *").await.unwrap();
    pass(&annals, "bob", "carol", "execute deposit account:*").await.unwrap();
    pass(&annals, "carol", "dave", "execute deposit account:a").await.unwrap();
    for who in ["bob", "carol", "dave"] {
        annals.execute(deposit("a", 1), &by(who)).await.unwrap();
    }
    revoke(&annals, "bob", bobs).await;
    for who in ["bob", "carol", "dave"] {
        assert!(is_denied(&annals.execute(deposit("a", 1), &by(who)).await), "{who}");
    }
    // The same right, granted again, does not bring back what was passed on before.
    pass(&annals, "alice", "bob", "execute deposit *").await.unwrap();
    annals.execute(deposit("a", 1), &by("bob")).await.unwrap();
    assert!(is_denied(&annals.execute(deposit("a", 1), &by("carol")).await));
    annals.close().await;
}

async fn a_right_is_passed_on_twice_at_most(place: &Place) {
    let annals = open(place).await;
    let right = "execute deposit *";
    for (from, to) in [("alice", "bob"), ("bob", "carol"), ("carol", "dave")] {
        pass(&annals, from, to, right).await.unwrap();
        annals.execute(deposit("a", 1), &by(to)).await.unwrap();
    }
    assert_eq!(pass(&annals, "dave", "erin", right).await, Err(AccessError::NotHeld(party("dave"))));
    annals.close().await;
}

async fn the_giver_and_the_holder_may_revoke_and_nobody_else(place: &Place) {
    let annals = open(place).await;
    pass(&annals, "alice", "bob", "execute deposit *").await.unwrap();
    let revoke = |grant, who: &str| {
        let command = RevokeAccess::new(party("carol"), grant, "enough");
        let (annals, context) = (annals.clone(), by(who));
        async move { annals.execute(command, &context).await }
    };
    for may in ["alice", "bob", "carol"] {
        let grant = pass(&annals, "bob", "carol", "execute deposit *").await.unwrap();
        assert_eq!(refusal(revoke(grant, "mallory").await), AccessError::NotAllowed(party("mallory")));
        revoke(grant, may).await.unwrap();
        assert!(is_denied(&annals.execute(deposit("a", 1), &by("carol")).await));
    }
    annals.close().await;
}
