//! Streams end when the right by which they are read ends: by each interface, in one process and across two.

use std::time::{Duration, Instant};

use annals::access::{Access, GrantAccess, NameOwner, RemoveOwner, RevokeAccess, RevokeToken};
use annals::app::{AccessContext, App, Ask, Authorise, Denial};
use annals::http::Authentication;
use annals::prelude::*;
use annals::tokens::{KeyFile, Keys};
use annals_test_postgres::{Place, both_stores};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{self, Account, Transfer, account, by, deposit};
use crate::followers::{By, End, Followers, Identity, connected};
use crate::server::Server;
use crate::sse::Sse;

both_stores! {
    streams_end_when_a_right_is_revoked,
    streams_end_when_a_right_expires_and_not_before,
    streams_end_when_the_authoriser_of_the_application_denies,
    streams_end_when_their_token_is_revoked_or_expires_or_loses_its_key,
    a_reader_of_contents_receives_none_after_only_metadata_is_allowed,
    a_right_without_observe_does_not_allow_following,
    the_end_of_a_stream_is_recorded_as_one_denial,
}

/// What a debug build on a busy machine gets beyond the promise.
const SLACK: Duration = Duration::from_millis(500);
const IN_ONE: Duration = Duration::from_secs(1);
pub const ACROSS: Duration = Duration::from_secs(2);

pub fn party(name: &str) -> Ref {
    Ref::new("user", name).unwrap()
}

/// The bank, owned by alice. It records refusals.
pub fn guarded() -> App {
    bank::app().access(Access::new().owner(party("alice"))).record_refusals()
}

async fn serve(place: &Place, app: App) -> Server {
    let trusting = Authentication::trusting(Some(party("bob")));
    Server::serve(app.open(place.url()).await.unwrap(), "127.0.0.1:0", trusting).await
}

fn bob() -> Identity {
    Identity { context: by("bob"), token: None }
}

async fn grant_until(annals: &Annals, to: &str, rights: &[&str], until: Option<Timestamp>) -> Uuid {
    let rights = rights.iter().map(|right| right.parse().unwrap()).collect();
    let grant = GrantAccess::new(party(to), rights, "for a test");
    let grant = until.into_iter().fold(grant, GrantAccess::until);
    let receipt = annals.execute(grant, &by("alice")).await.unwrap();
    let event = &annals.events(receipt.first_position - 1, 1).await.unwrap().events[0];
    let payload: Value = serde_json::from_str(&event.payload).unwrap();
    payload["grant"].as_str().unwrap().parse().unwrap()
}

/// What all followers need.
const ALL: [&str; 2] = ["audit full topic=bank/* observe", "metrics bank/* observe"];

/// Grants what all followers need.
pub async fn grant_all(annals: &Annals, to: &str) -> Uuid {
    grant_until(annals, to, &ALL, None).await
}

/// Executes what the followers see: two rows. The audit log and the metrics have them.
pub async fn transfer(annals: &Annals) {
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let transfer = Transfer { from: account("a"), to: account("b"), cents: 1 };
    let receipt = annals.execute(transfer, &by("alice")).await.unwrap();
    annals.audit().after(receipt).limit(1).page().await.unwrap();
    annals.metric("bank").after(receipt).await.unwrap();
}

pub async fn revoke(annals: &Annals, from: &str, grant: Uuid) {
    annals.execute(RevokeAccess::new(party(from), grant, "no longer"), &by("alice")).await.unwrap();
}

/// Checks that all streams ended as denied, in time, with a cursor.
pub fn check(ends: &[End], since: Instant, most: Duration, what: &str) {
    for end in ends {
        let after = end.at.saturating_duration_since(since);
        assert!(after < most + SLACK, "{what}: {end:?} after {after:?}");
        assert_eq!(end.reason, "denied", "{what}: {end:?}");
        assert!(end.cursor.is_some() || end.by == By::MetricLibrary, "{what}: {end:?}");
    }
}

/// Guarantee 25, Mission X35: after a revocation by the same process or by another one, streams end with the reason. Their cursor
/// leads to the next row, if the right is granted again.
async fn streams_end_when_a_right_is_revoked(place: &Place) {
    let (server, other) = (serve(place, guarded()).await, guarded().open(place.url()).await.unwrap());
    transfer(&server.annals).await;
    for (round, (annals, most)) in [(&server.annals, IN_ONE), (&other, ACROSS)].into_iter().enumerate() {
        let grant = grant_all(annals, "bob").await;
        let followers = Followers::open(&server, &bob()).await;
        revoke(annals, "bob", grant).await;
        let revoked = Instant::now();
        let ends = followers.ends().await;
        check(&ends, revoked, most, &format!("round {round}"));
        assert!(ends.iter().all(|end| end.detail.contains("no right to read")), "{ends:#?}");
        // A reader that connects again is denied.
        transfer(&server.annals).await;
        assert_eq!(Sse::ask(&server.url(By::AuditSse.path()), None).await.status(), 403);
        grant_all(&server.annals, "bob").await;
        for end in ends.iter().filter(|end| end.by.is_audit()) {
            let mut again = Sse::open(&server.url(end.by.path()), end.cursor.as_deref()).await;
            let next = again.next().await.unwrap().json()["position"].as_u64().unwrap();
            let last = end.rows.last().unwrap().0;
            assert_eq!(next, next_row(&server.annals, last).await, "{end:?}");
        }
        for grant in server.annals.access_of(&party("bob")).await.unwrap().grants().keys() {
            revoke(&server.annals, "bob", *grant).await;
        }
    }
    // An owner that the log names, and that is removed.
    let name = NameOwner::new(party("bob"), "for a while");
    server.annals.execute(name, &by("alice")).await.unwrap();
    let followers = Followers::open(&server, &bob()).await;
    other.execute(RemoveOwner::new(party("bob"), "over"), &by("alice")).await.unwrap();
    let removed = Instant::now();
    check(&followers.ends().await, removed, ACROSS, "an owner");
    other.close().await;
    server.stop().await;
}

/// The position of the first row after this one that the followers see.
async fn next_row(annals: &Annals, after: u64) -> u64 {
    let events = annals.events(after, 1_000).await.unwrap().events;
    events.iter().find(|event| event.event_type == "account.sent").unwrap().position
}

/// Guarantee 25.
async fn streams_end_when_a_right_expires_and_not_before(place: &Place) {
    let server = serve(place, guarded()).await;
    transfer(&server.annals).await;
    let until = Timestamp::now() + SignedDuration::from_secs(4);
    grant_until(&server.annals, "bob", &ALL, Some(until)).await;
    let followers = Followers::open(&server, &bob()).await;
    let left = until.duration_since(Timestamp::now());
    assert!(left.is_positive(), "opening took too long to test something");
    let end = Instant::now() + left.unsigned_abs();
    let ends = followers.ends().await;
    assert!(ends.iter().all(|ended| ended.at + Duration::from_millis(20) >= end), "too early: {ends:#?}");
    check(&ends, end, IN_ONE, "expiry");
    // A second right keeps streams open after the first one has ended.
    let until = Timestamp::now() + SignedDuration::from_secs(2);
    grant_until(&server.annals, "bob", &ALL, Some(until)).await;
    let followers = Followers::open(&server, &bob()).await;
    grant_all(&server.annals, "bob").await;
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(followers.are_open(), "{:#?}", followers.ends().await);
    drop(followers);
    server.stop().await;
}

/// Allows what the account of the reader says: less than 100 cents.
struct ByAccount;

#[async_trait::async_trait]
impl Authorise for ByAccount {
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        match ask {
            Ask::Audit { .. } | Ask::Metric { .. } if access.follows() => {
                let own = access.load::<Account>(&account(access.actor().id())).await?;
                if own.cents < 100 { Ok(()) } else { Err(Denial::because("your account is full")) }
            }
            _ => Ok(()),
        }
    }
}

/// Guarantee 25: an authoriser is asked again when an aggregate changes that it has loaded.
async fn streams_end_when_the_authoriser_of_the_application_denies(place: &Place) {
    let app = || bank::app().authorise(ByAccount).record_refusals();
    let (server, other) = (serve(place, app()).await, app().open(place.url()).await.unwrap());
    transfer(&server.annals).await;
    for (annals, most) in [(&server.annals, IN_ONE), (&other, ACROSS)] {
        let followers = Followers::open(&server, &bob()).await;
        // It is asked again, and allows it still.
        annals.execute(deposit("bob", 1), &by("alice")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(followers.are_open(), "{:#?}", followers.ends().await);
        annals.execute(deposit("bob", 1_000), &by("alice")).await.unwrap();
        let denied = Instant::now();
        let ends = followers.ends().await;
        check(&ends, denied, most, "the authoriser");
        assert!(ends.iter().all(|end| end.detail.ends_with("your account is full")), "{ends:#?}");
        annals.execute(deposit("bob", -1_001), &by("alice")).await.unwrap();
    }
    other.close().await;
    server.stop().await;
}

/// Guarantee 25, with access tokens: a stream ends with its token, in the library too.
async fn streams_end_when_their_token_is_revoked_or_expires_or_loses_its_key(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.keys");
    let mut key_file = KeyFile::create(&file).unwrap();
    let keys = Keys::from_file(&file).await.unwrap();
    let authentication = Authentication::default().access_tokens(keys.clone());
    let annals = guarded().open(place.url()).await.unwrap();
    let server = Server::serve(annals, "127.0.0.1:0", authentication.clone()).await;
    let other = guarded().open(place.url()).await.unwrap();
    transfer(&server.annals).await;
    let grant = grant_all(&server.annals, "bob").await;
    let minted = |until: Option<Timestamp>| {
        let token = keys.signer().unwrap().mint(&party("bob"), grant, until).unwrap();
        let context = authentication.verify(&token).unwrap().context();
        Identity { context, token: Some(token) }
    };

    for (annals, most) in [(&server.annals, IN_ONE), (&other, ACROSS)] {
        let bob = minted(None);
        let block = keys.verify(bob.token.as_deref().unwrap()).unwrap().revocation_ids()[0].clone();
        let followers = Followers::open(&server, &bob).await;
        annals.execute(RevokeToken::new(party("bob"), block, "lost"), &by("bob")).await.unwrap();
        let revoked = Instant::now();
        let ends = followers.ends().await;
        check(&ends, revoked, most, "a revoked token");
        assert!(ends.iter().all(|end| end.detail.ends_with("the token was revoked")), "{ends:#?}");
    }

    // A token ends with a whole second.
    let until = Timestamp::from_second(Timestamp::now().as_second() + 5).unwrap();
    let followers = Followers::open(&server, &minted(Some(until))).await;
    let end = Instant::now() + until.duration_since(Timestamp::now()).unsigned_abs();
    for ended in followers.ends().await {
        let early = end.saturating_duration_since(ended.at);
        let after = ended.at.saturating_duration_since(end);
        assert!(early < Duration::from_millis(20) && after < IN_ONE + SLACK, "{ended:?} after {after:?}");
        // Two clocks watch it over HTTP.
        let expired = ended.reason == "expired" || ended.detail.ends_with("the token has expired");
        assert!(expired, "{ended:?}");
    }

    let followers = Followers::open(&server, &minted(None)).await;
    let old = keys.infos()[0].id;
    key_file.rotate().unwrap();
    key_file.remove(old).unwrap();
    let removed = Instant::now();
    for ended in followers.ends().await {
        assert!(ended.at.saturating_duration_since(removed) < ACROSS + SLACK, "{ended:?}");
        let withdrawn = ended.reason == "revoked" || ended.detail.ends_with("the key of the token was withdrawn");
        assert!(withdrawn, "{ended:?}");
    }
    other.close().await;
    server.stop().await;
}

/// Guarantee 25: the stream ends, and the next one has metadata.
async fn a_reader_of_contents_receives_none_after_only_metadata_is_allowed(place: &Place) {
    const AUDIT: [By; 4] = [By::AuditSse, By::AuditRpc, By::AuditLibrary, By::RangeSse];
    let server = serve(place, guarded()).await;
    transfer(&server.annals).await;
    grant_until(&server.annals, "bob", &["audit metadata topic=bank/* observe"], None).await;
    for busy in [false, true] {
        let full = grant_all(&server.annals, "bob").await;
        let followers = Followers::open_some(&server, &bob(), &AUDIT).await;
        revoke(&server.annals, "bob", full).await;
        let revoked = Instant::now();
        // Rows of this time are read with the new right, or not at all.
        for _ in 0..if busy { 5 } else { 0 } {
            transfer(&server.annals).await;
        }
        let ends = followers.ends().await;
        check(&ends, revoked, IN_ONE, "metadata only");
        assert!(ends.iter().all(|end| end.rows.len() <= 2 && end.rows.iter().all(|(_, full)| *full)), "{ends:#?}");
    }
    let followers = Followers::open_some(&server, &bob(), &AUDIT).await;
    for grant in server.annals.access_of(&party("bob")).await.unwrap().grants().keys() {
        revoke(&server.annals, "bob", *grant).await;
    }
    let ends = followers.ends().await;
    assert!(ends.iter().all(|end| end.rows.iter().all(|(_, full)| !*full) && !end.rows.is_empty()), "{ends:#?}");
    server.stop().await;
}

/// An owner may follow everything.
async fn a_right_without_observe_does_not_allow_following(place: &Place) {
    let server = serve(place, guarded()).await;
    transfer(&server.annals).await;
    let rights = ["audit full topic=bank/*", "metrics bank/*"];
    grant_until(&server.annals, "bob", &rights, None).await;
    let reader = server.annals.read_as(&by("bob"));
    let head = server.annals.store().head().await.unwrap();
    assert_eq!(reader.audit().topic("bank/transfer").after(head).page().await.unwrap().rows.len(), 2);
    assert_eq!(reader.metric("bank/transfer").await.unwrap().after(head).await.unwrap().total, 2);
    let says = |text: String| assert!(text.contains("lacks the word `observe`"), "{text}");
    for by in By::ALL {
        match by {
            By::AuditSse | By::RangeSse | By::MetricSse => {
                let answer = Sse::ask(&server.url(by.path()), None).await;
                assert_eq!(answer.status(), 403, "{by:?}");
                says(answer.text().await.unwrap());
            }
            By::AuditRpc | By::MetricRpc => {
                let mut rpc = connected(server.address, None).await;
                let (method, params) = match by {
                    By::AuditRpc => ("subscribe_audit", json!({ "topic": ["bank/transfer"] })),
                    _ => ("subscribe_metric", json!({ "topic": "bank/transfer" })),
                };
                let error = rpc.call(method, params).await.unwrap_err();
                assert_eq!(error["code"], -32003, "{by:?}");
                says(error["message"].to_string());
            }
            By::AuditLibrary => {
                let mut stream = reader.audit().topic("bank/transfer").follow();
                says(stream.next().await.unwrap().unwrap_err().to_string());
                assert!(stream.next().await.is_none());
            }
            By::MetricLibrary => {
                let mut stream = reader.metric("bank/transfer").await.unwrap().watch();
                says(stream.next().await.unwrap().unwrap_err().to_string());
                assert!(stream.next().await.is_none());
            }
        }
    }
    let mut owner = server.annals.read_as(&by("alice")).audit().follow();
    assert_eq!(owner.next().await.unwrap().unwrap().position, 1);
    server.stop().await;
}

/// Asking again is no read and no denial. Two streams of the same query end with one record and a count of it.
async fn the_end_of_a_stream_is_recorded_as_one_denial(place: &Place) {
    let server = serve(place, guarded().record_reads()).await;
    transfer(&server.annals).await;
    let grant = grant_all(&server.annals, "bob").await;
    let followers = Followers::open_some(&server, &bob(), &[By::AuditLibrary]).await;
    // Each of these has bob asked again.
    for _ in 0..3 {
        grant_until(&server.annals, "bob", &["catalogue"], None).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    revoke(&server.annals, "bob", grant).await;
    followers.ends().await;
    let annals = server.annals.clone();
    server.stop().await;
    drop(annals);
    let annals = guarded().open(place.url()).await.unwrap();
    let events = annals.events(0, 1_000).await.unwrap().events;
    let of_bob = events.iter().filter(|event| event.metadata().unwrap().actor == party("bob"));
    let recorded: Vec<(&str, Value)> = of_bob
        .map(|event| {
            (event.event_type.as_str(), serde_json::from_str::<Value>(&event.payload).unwrap()["what"].take())
        })
        .collect();
    let what = json!("the audit log: topic bank/transfer");
    assert_eq!(recorded, [("annals_read.viewed", what.clone()), ("annals_refusal.denied", what)]);
    annals.close().await;
}
