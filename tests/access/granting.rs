//! Requests, grants, approvals, denials and revocations.

use annals::access::{
    AccessError, ApproveAccess, DenyAccess, GrantAccess, NameOwner, RemoveOwner, RequestAccess, RevokeAccess,
};
use annals::prelude::*;
use annals::projections::presenter::{plain, present};
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::bank::{Transfer, account, by, deposit};
use crate::support::*;

annals_test_postgres::both_stores!(
    what_is_not_granted_is_denied_what_is_granted_works_and_what_is_revoked_is_denied,
    nobody_approves_their_own_request_but_an_owner,
    a_request_is_approved_as_a_whole_or_less_and_once,
    a_denied_request_gives_nothing,
    acting_on_behalf_of_somebody_needs_a_right_of_both,
    a_command_on_two_aggregates_needs_a_right_to_each,
    bad_requests_and_grants_are_refused_with_what_to_do,
    the_first_owner_is_named_once_and_the_last_one_stays,
    every_step_has_a_sentence,
    a_log_that_has_rights_is_not_opened_by_a_program_that_does_not_ask_them,
);

fn transfer() -> Transfer {
    Transfer { from: account("a"), to: account("b"), cents: 1 }
}

/// Mission D10.
async fn what_is_not_granted_is_denied_what_is_granted_works_and_what_is_revoked_is_denied(place: &Place) {
    let annals = open(place).await;
    let pay = || async { annals.execute(deposit("a", 1), &by("bob")).await };
    assert!(is_denied(&pay().await));
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();

    let ask = RequestAccess::new(party("bob"), rights(["execute deposit account:*"]), "to help");
    let request = id_of(&annals, &annals.execute(ask, &by("bob")).await.unwrap()).await;
    assert!(is_denied(&pay().await), "a request gives nothing");

    let approve = ApproveAccess::new(party("bob"), request, "he helps");
    let grant = id_of(&annals, &annals.execute(approve, &by("alice")).await.unwrap()).await;
    pay().await.unwrap();
    assert!(is_denied(&annals.execute(transfer(), &by("bob")).await), "another command");

    revoke(&annals, "bob", grant).await;
    assert!(is_denied(&pay().await));
    let again = RevokeAccess::new(party("bob"), grant, "twice");
    assert_eq!(refusal(annals.execute(again, &by("alice")).await), AccessError::Revoked(grant));
    annals.close().await;
}

async fn nobody_approves_their_own_request_but_an_owner(place: &Place) {
    let annals = open(place).await;
    let everything = || rights(["execute * *"]);
    let give = GrantAccess::new(party("bob"), everything(), "a deputy").delegable();
    annals.execute(give, &by("alice")).await.unwrap();
    let ask = |who: &str| RequestAccess::new(party(who), rights(["execute deposit account:*"]), "why not");
    let own = id_of(&annals, &annals.execute(ask("bob"), &by("bob")).await.unwrap()).await;
    let approve = |who: &str, request| ApproveAccess::new(party(who), request, "fine");
    assert_eq!(
        refusal(annals.execute(approve("bob", own), &by("bob")).await),
        AccessError::OwnRequest(party("bob"))
    );
    // Nor what was asked for on their behalf, or by them on behalf of another.
    let for_bob = annals.execute(ask("bob"), &by("carol").on_behalf_of(party("bob"))).await.unwrap();
    let for_bob = id_of(&annals, &for_bob).await;
    assert_eq!(
        refusal(annals.execute(approve("bob", for_bob), &by("bob")).await),
        AccessError::OwnRequest(party("bob"))
    );
    let on_behalf = by("carol").on_behalf_of(party("alice"));
    let refused = refusal(annals.execute(approve("bob", own), &on_behalf).await);
    assert_eq!(refused, AccessError::OnBehalf(party("alice")));
    // A deputy approves what another asks for, and an owner what she asks for herself.
    let carols = id_of(&annals, &annals.execute(ask("carol"), &by("carol")).await.unwrap()).await;
    annals.execute(approve("carol", carols), &by("bob")).await.unwrap();
    let alices = id_of(&annals, &annals.execute(ask("alice"), &by("alice")).await.unwrap()).await;
    annals.execute(approve("alice", alices), &by("alice")).await.unwrap();
    annals.close().await;
}

async fn a_request_is_approved_as_a_whole_or_less_and_once(place: &Place) {
    let annals = open(place).await;
    let ask = RequestAccess::new(party("bob"), rights(["execute deposit account:*"]), "to help");
    let request = id_of(&annals, &annals.execute(ask, &by("bob")).await.unwrap()).await;
    let approve = || ApproveAccess::new(party("bob"), request, "less");
    for wider in ["execute deposit *", "execute * account:*", "read roster *"] {
        let wider = approve().only(rights([wider]));
        assert_eq!(refusal(annals.execute(wider, &by("alice")).await), AccessError::Wider);
    }
    annals.execute(approve().only(rights(["execute deposit account:a"])), &by("alice")).await.unwrap();
    annals.execute(deposit("a", 1), &by("bob")).await.unwrap();
    assert!(is_denied(&annals.execute(deposit("ab", 1), &by("bob")).await), "account:a is not account:ab");
    assert_eq!(refusal(annals.execute(approve(), &by("alice")).await), AccessError::Decided(request));
    annals.close().await;
}

async fn a_denied_request_gives_nothing(place: &Place) {
    let annals = open(place).await;
    let ask = RequestAccess::new(party("bob"), rights(["execute deposit account:*"]), "to help");
    let request = id_of(&annals, &annals.execute(ask, &by("bob")).await.unwrap()).await;
    let deny = |request| DenyAccess::new(party("bob"), request, "not now");
    assert_eq!(refusal(annals.execute(deny(request), &by("carol")).await), AccessError::NotHeld(party("carol")));
    annals.execute(deny(request), &by("alice")).await.unwrap();
    assert!(is_denied(&annals.execute(deposit("a", 1), &by("bob")).await));
    let approve = ApproveAccess::new(party("bob"), request, "after all");
    assert_eq!(refusal(annals.execute(approve, &by("alice")).await), AccessError::Decided(request));
    let other = Uuid::new_v4();
    let none = AccessError::NoRequest { grantee: party("bob"), request: other };
    assert_eq!(refusal(annals.execute(deny(other), &by("alice")).await), none);
    annals.close().await;
}

async fn acting_on_behalf_of_somebody_needs_a_right_of_both(place: &Place) {
    let annals = open(place).await;
    let for_carol = by("bob").on_behalf_of(party("carol"));
    let pay = || async { annals.execute(deposit("a", 1), &for_carol).await };
    let bobs = grant(&annals, "bob", &["execute deposit account:*"]).await;
    assert!(is_denied(&pay().await), "carol has no right");
    grant(&annals, "carol", &["execute deposit account:*"]).await;
    pay().await.unwrap();
    revoke(&annals, "bob", bobs).await;
    assert!(is_denied(&pay().await), "bob has no right");
    annals.close().await;
}

async fn a_command_on_two_aggregates_needs_a_right_to_each(place: &Place) {
    let annals = open(place).await;
    for name in ["a", "b"] {
        let open = crate::bank::OpenAccount { account: account(name) };
        annals.execute(open, &by("alice")).await.unwrap();
    }
    annals.execute(deposit("a", 10), &by("alice")).await.unwrap();
    let send = || async { annals.execute(transfer(), &by("bob")).await };
    grant(&annals, "bob", &["execute transfer account:a"]).await;
    assert!(is_denied(&send().await));
    let other = grant(&annals, "bob", &["execute transfer account:b"]).await;
    send().await.unwrap();
    revoke(&annals, "bob", other).await;
    assert!(is_denied(&send().await));
    annals.close().await;
}

async fn bad_requests_and_grants_are_refused_with_what_to_do(place: &Place) {
    let annals = open(place).await;
    let ask = |rights| RequestAccess::new(party("bob"), rights, "why");
    let deposit_right = || rights(["execute deposit account:*"]);
    let refused = |command: RequestAccess| async { refusal(annals.execute(command, &by("bob")).await) };
    assert_eq!(refused(ask(Vec::new())).await, AccessError::Rights(0));
    assert_eq!(refused(ask(vec![deposit_right().remove(0); 51])).await, AccessError::Rights(51));
    assert_eq!(refused(RequestAccess::new(party("bob"), deposit_right(), "  ")).await, AccessError::Why);
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(refused(ask(deposit_right()).until(past)).await, AccessError::Past(past));
    let for_carol = RequestAccess::new(party("carol"), deposit_right(), "why");
    assert!(matches!(refused(for_carol).await, AccessError::ForAnother { .. }));
    for _ in 0..100 {
        annals.execute(ask(deposit_right()), &by("bob")).await.unwrap();
    }
    assert_eq!(refused(ask(deposit_right())).await, AccessError::TooManyRequests(party("bob")));

    let nobody = GrantAccess::new(Ref::new("annals", "recorder").unwrap(), deposit_right(), "why");
    assert!(matches!(refusal(annals.execute(nobody, &by("alice")).await), AccessError::Party { .. }));
    let self_service = GrantAccess::new(party("bob"), deposit_right(), "why");
    assert_eq!(refusal(annals.execute(self_service, &by("bob")).await), AccessError::NotHeld(party("bob")));
    let unknown = RevokeAccess::new(party("bob"), Uuid::nil(), "why");
    let none = AccessError::NoGrant { grantee: party("bob"), grant: Uuid::nil() };
    assert_eq!(refusal(annals.execute(unknown, &by("alice")).await), none);
    let body = r#"{"grantee": "user:bob", "rights": ["execute deposit"], "why": "x"}"#;
    let error = annals.execute_json("request_access", body, &by("bob")).err().expect("an error");
    let error = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(error.contains("write `execute COMMAND AGGREGATE"), "{error}");
    annals.close().await;
}

async fn the_first_owner_is_named_once_and_the_last_one_stays(place: &Place) {
    let annals = crate::bank::app().access(annals::access::Access::new()).open(place.url()).await.unwrap();
    let name = |owner: &str| NameOwner::new(party(owner), "it is hers");
    assert_eq!(
        refusal(annals.execute(name("mallory"), &by("mallory")).await),
        AccessError::NotOwner(party("mallory")),
        "nobody is an owner by default"
    );
    annals.init_access(party("alice"), "our first day", &by("operator")).await.unwrap();
    let again = annals.init_access(party("mallory"), "me too", &by("mallory")).await;
    assert_eq!(refusal(again), AccessError::Initialized);
    let remove = |owner: &str| RemoveOwner::new(party(owner), "she left");
    let last = refusal(annals.execute(remove("alice"), &by("alice")).await);
    assert_eq!(last, AccessError::LastOwner(party("alice")));
    annals.execute(name("carol"), &by("alice")).await.unwrap();
    assert_eq!(
        refusal(annals.execute(name("carol"), &by("alice")).await),
        AccessError::OwnerAlready(party("carol"))
    );
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    annals.execute(remove("alice"), &by("carol")).await.unwrap();
    assert!(
        is_denied(&annals.execute(deposit("a", 1), &by("alice")).await),
        "an owner who was removed has no right"
    );
    annals.close().await;
}

async fn every_step_has_a_sentence(place: &Place) {
    let annals = open(place).await;
    let ask = RequestAccess::new(party("bob"), rights(["execute deposit account:*", "audit metadata"]), "to help");
    let request = id_of(&annals, &annals.execute(ask, &by("bob")).await.unwrap()).await;
    let approve = ApproveAccess::new(party("bob"), request, "he helps").only(rights(["audit metadata"]));
    let receipt = annals.execute(approve, &by("alice")).await.unwrap();
    let grant = id_of(&annals, &receipt).await;
    revoke(&annals, "bob", grant).await;
    let sentences: Vec<String> = log_after(&annals, 0)
        .await
        .iter()
        .map(|event| present(annals.types(), event).unwrap())
        .map(|presented| plain(&presented.sentence).into_owned())
        .collect();
    assert_eq!(
        sentences,
        [
            "user:bob requested execute deposit account:*, audit metadata for user:bob: to help",
            "user:alice granted user:bob audit metadata: he helps",
            "user:alice revoked a grant of user:bob: no longer",
        ]
    );
    annals.close().await;
}

async fn a_log_that_has_rights_is_not_opened_by_a_program_that_does_not_ask_them(place: &Place) {
    let unaware = || async { crate::bank::app().open(place.url()).await };
    unaware().await.unwrap().close().await;
    let annals = open(place).await;
    grant(&annals, "bob", &["execute * *"]).await;
    annals.close().await;
    let error = unaware().await.expect_err("an error");
    let text = format!("{error:?}");
    assert!(text.contains("`App::access`"), "{text}");
    open(place).await.close().await;
}
