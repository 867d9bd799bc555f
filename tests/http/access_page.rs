//! The page of access: what each caller sees, and what its forms do.

use annals::access::{Access, GrantAccess, RequestAccess};
use annals::commands::Context;
use annals::events::Ref;
use annals::http::Authentication;
use annals::tokens::Keys;
use annals_test_postgres::Place;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, redirect};
use uuid::Uuid;

use crate::access_tokens::guarded;
use crate::bank::{self, app};
use crate::served::{Answer, Served, answer};

annals_test_postgres::both_stores! {
    a_request_is_approved_in_part_by_a_form_and_the_grant_is_shown,
    a_request_is_denied_and_a_grant_is_revoked_by_forms_with_a_reason,
    rights_are_requested_and_granted_by_forms,
    a_refused_approval_of_ones_own_request_keeps_what_was_filled_in,
    a_form_of_another_site_changes_no_rights,
    a_caller_sees_only_what_it_may_read_of_the_view_access,
    long_lists_are_shown_in_pages,
}

fn user(name: &str) -> Ref {
    Ref::new("user", name).unwrap()
}

fn by(name: &str) -> Context {
    Context::by(user(name))
}

/// Everybody is trusted, and tokens can be issued.
async fn served(place: &Place) -> Served {
    let trusting = Authentication::trusting(None).access_tokens(Keys::generate());
    Served::with(guarded(), place, |builder| builder.authentication(trusting)).await
}

/// Requests rights for a user. Returns the request's id.
async fn asks(served: &Served, name: &str, rights: &[&str], why: &str) -> Uuid {
    let context = by(name).command_id(Uuid::new_v4());
    let id = context.new_id(0);
    let rights = rights.iter().map(|right| right.parse().unwrap()).collect();
    served.annals.execute(RequestAccess::new(user(name), rights, why), &context).await.unwrap();
    caught_up(served).await;
    id
}

/// Grants rights to a user, by alice. Returns the grant's id.
async fn holds(served: &Served, name: &str, rights: &[&str]) -> Uuid {
    let context = by("alice").command_id(Uuid::new_v4());
    let rights = rights.iter().map(|right| right.parse().unwrap()).collect();
    served.annals.execute(GrantAccess::new(user(name), rights, "for a test"), &context).await.unwrap();
    caught_up(served).await;
    context.new_id(0)
}

async fn caught_up(served: &Served) {
    let head = served.annals.store().head().await.unwrap();
    served.annals.reading("access").unwrap().caught_up(head, None).await.unwrap();
}

async fn page(served: &Served, name: &str, path: &str) -> Answer {
    let request = served.request(Method::GET, path).header("Accept", "text/html");
    answer(request.header("Annals-Actor", format!("user:{name}"))).await
}

/// Sends a form of the page as a browser does, and does not follow the redirect.
async fn send(served: &Served, name: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    send_from(served, &format!("http://{}", served.address), name, action, fields).await
}

async fn send_from(served: &Served, origin: &str, name: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let request = client.post(served.url(&format!("/page/access/{action}"))).header("Accept", "text/html");
    let request = request.header("Annals-Actor", format!("user:{name}")).header("Origin", origin);
    answer(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded(fields))).await
}

pub fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The part of a page with the form that has this id.
pub fn form<'a>(page: &'a str, id: &str) -> &'a str {
    let rest = page
        .split(&format!("id=\"{id}\" method=\"post\""))
        .nth(1)
        .unwrap_or_else(|| panic!("no form {id} in {page}"));
    rest.split("</form>").next().unwrap()
}

/// The types of the events about access, in their order.
async fn events(served: &Served) -> Vec<String> {
    let log = bank::log(&served.annals).await;
    let types = log.into_iter().map(|event| event.event_type.to_string());
    types.filter_map(|event| event.strip_prefix("annals_access.").map(str::to_owned)).collect()
}

/// Mission D10.
async fn a_request_is_approved_in_part_by_a_form_and_the_grant_is_shown(place: &Place) {
    let served = served(place).await;
    let request =
        asks(&served, "bob", &["execute deposit account:a", "read balance *"], "I sit at the counter").await;
    let shown = page(&served, "alice", "/page/access").await;
    assert_eq!(shown.status, 200, "{shown:?}");
    for part in ["user:bob", "execute deposit account:a", "read balance *", "I sit at the counter", "without end"] {
        assert!(shown.text.contains(part), "{part} is not in {}", shown.text);
    }
    let request = request.to_string();
    assert!(form(&shown.text, &format!("approve-{request}")).contains("value=\"read balance *\" checked"));
    assert!(!shown.text.contains("<script>") && !shown.text.contains("style="), "{}", shown.text);

    let approval = [
        ("grantee", "user:bob"),
        ("request", &request),
        ("right", "execute deposit account:a"),
        ("until", "2100-01-31T10:00"),
        ("delegable", "true"),
        ("why", "so he does"),
    ];
    let done = send(&served, "alice", "approve", &approval).await;
    assert_eq!((done.status.as_u16(), done.header(LOCATION.as_str())), (303, "/page/access#requests"), "{done:?}");
    let record = served.annals.access_of(&user("bob")).await.unwrap();
    let grant = record.grants().values().next().unwrap();
    assert_eq!(grant.rights.iter().map(ToString::to_string).collect::<Vec<_>>(), ["execute deposit account:a"]);
    assert_eq!(grant.until.unwrap().to_string(), "2100-01-31T10:00:00Z");
    assert!(grant.delegable && record.requests().is_empty());
    let shown = page(&served, "alice", "/page/access").await.text;
    assert!(shown.contains("No open requests.") && shown.contains("so he does"), "{shown}");
    assert!(shown.contains("2100-01-31 10:00:00 UTC") && shown.contains("<dd>yes</dd>"), "{shown}");
    let event = bank::log(&served.annals).await.pop().unwrap();
    assert_eq!(event.metadata().unwrap().actor, user("alice"), "the command has another actor than the caller");
    served.stop().await;
}

async fn a_request_is_denied_and_a_grant_is_revoked_by_forms_with_a_reason(place: &Place) {
    let served = served(place).await;
    let request = asks(&served, "bob", &["execute * *"], "all of it").await.to_string();
    let denial = [("grantee", "user:bob"), ("request", &*request), ("why", "too much")];
    assert_eq!(send(&served, "alice", "deny", &denial).await.status, 303);
    let grant = holds(&served, "bob", &["execute deposit account:a"]).await.to_string();
    let revoke = [("grantee", "user:bob"), ("grant", &*grant), ("why", "he left")];
    let refused = send(&served, "mallory", "revoke", &revoke).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(!refused.text.contains("execute deposit account:a"), "it shows what mallory may not read");
    assert!(refused.text.contains("only an owner, the giver of the grant and its holder may"), "{refused:?}");
    assert_eq!(send(&served, "alice", "revoke", &revoke).await.status, 303);
    assert_eq!(events(&served).await, ["requested", "denied", "granted", "revoked"]);
    let shown = page(&served, "alice", "/page/access").await.text;
    assert!(shown.contains("No open requests.") && shown.contains("No grants."), "{shown}");
    // Twice: the page says what is the case.
    let again = send(&served, "alice", "revoke", &revoke).await;
    assert_eq!(again.status, 422, "{again:?}");
    assert!(again.text.contains("was revoked before"), "{again:?}");
    let empty = [("grantee", "user:bob"), ("grant", &*grant), ("why", "")];
    assert!(send(&served, "alice", "revoke", &empty).await.text.contains("say why"));
    served.stop().await;
}

async fn rights_are_requested_and_granted_by_forms(place: &Place) {
    let served = served(place).await;
    let rights = "execute deposit account:a\r\n\r\n read balance * \r\n";
    let done = send(&served, "bob", "request", &[("rights", rights), ("why", "I need it")]).await;
    assert_eq!(done.status, 303, "{done:?}");
    let record = served.annals.access_of(&user("bob")).await.unwrap();
    assert_eq!(record.requests().values().next().unwrap().rights.len(), 2);
    // The request is shown to its asker, with a form to withdraw it.
    let own = page(&served, "bob", "/page/access").await.text;
    assert!(own.contains("I need it") && own.contains("Withdraw") && !own.contains("<summary>Approve"), "{own}");
    let wrong = send(&served, "bob", "request", &[("rights", "execute\r\nfly *"), ("why", "<b>to fly")]).await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    let kept = form(&wrong.text, "request");
    assert!(kept.contains("execute\r\nfly *</textarea>") && kept.contains("value=\"&lt;b&gt;to fly\""), "{kept}");
    assert!(kept.contains("class=\"note bad\""), "{kept}");
    let grant = [("grantee", "user:carol"), ("rights", "catalogue"), ("why", "she plans")];
    assert_eq!(send(&served, "bob", "grant", &grant).await.status, 422, "bob holds nothing");
    assert_eq!(send(&served, "alice", "grant", &grant).await.status, 303);
    assert_eq!(events(&served).await, ["requested", "granted"]);
    served.stop().await;
}

async fn a_refused_approval_of_ones_own_request_keeps_what_was_filled_in(place: &Place) {
    let served = served(place).await;
    holds(&served, "bob", &["read access *"]).await;
    // He may grant the same to others.
    let rights = vec!["catalogue".parse().unwrap(), "operate status".parse().unwrap()];
    let grant = GrantAccess::new(user("bob"), rights, "for a test").delegable();
    served.annals.execute(grant, &by("alice")).await.unwrap();
    let request = asks(&served, "bob", &["catalogue", "operate status"], "mine").await.to_string();
    let fields = [
        ("grantee", "user:bob"),
        ("request", &*request),
        ("right", "catalogue"),
        ("until", "2100-01-31T10:00:00Z"),
        ("why", "I trust myself"),
    ];
    let refused = send(&served, "bob", "approve", &fields).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let reason = "user:bob asked for it: somebody else must decide, or an owner";
    let kept = form(&refused.text, &format!("approve-{request}"));
    assert!(kept.contains(reason) && kept.contains("value=\"I trust myself\""), "{kept}");
    assert!(kept.contains("value=\"2100-01-31T10:00:00\""), "{kept}");
    assert!(kept.contains("value=\"catalogue\" checked"), "{kept}");
    assert!(kept.contains("value=\"operate status\">"), "a box that was unchecked is checked: {kept}");
    assert!(
        refused.text.contains("role=\"alert\"") && refused.text.contains(&format!("href=\"#approve-{request}\""))
    );
    assert!(served.annals.access_of(&user("bob")).await.unwrap().requests().len() == 1);
    // Programs get the problem.
    let program = served.request(Method::POST, "/page/access/approve").header("Annals-Actor", "user:bob");
    let program = answer(program.body(encoded(&fields))).await;
    assert!(program.problem(422, "refused").contains(reason));
    served.stop().await;
}

async fn a_form_of_another_site_changes_no_rights(place: &Place) {
    let served = served(place).await;
    let request = asks(&served, "bob", &["execute * *"], "all of it").await.to_string();
    let grant = holds(&served, "carol", &["catalogue"]).await.to_string();
    let forms: [(&str, &[(&str, &str)]); 6] = [
        ("approve", &[("grantee", "user:bob"), ("request", &request), ("right", "execute * *"), ("why", "x")]),
        ("deny", &[("grantee", "user:bob"), ("request", &request), ("why", "x")]),
        ("revoke", &[("grantee", "user:carol"), ("grant", &grant), ("why", "x")]),
        ("token", &[("grantee", "user:carol"), ("grant", &grant), ("why", "x")]),
        ("grant", &[("grantee", "user:mallory"), ("rights", "execute * *"), ("why", "x")]),
        ("request", &[("rights", "execute * *"), ("why", "x")]),
    ];
    let before = events(&served).await;
    for (action, fields) in forms {
        for origin in ["https://evil.example", "null"] {
            let foreign = send_from(&served, origin, "alice", action, fields).await;
            assert_eq!(foreign.status, 403, "{action} from {origin}: {foreign:?}");
        }
    }
    assert_eq!(events(&served).await, before);
    // The same forms of this site are executed, so that the test means something.
    for (action, fields) in forms.iter().filter(|(action, _)| *action != "deny") {
        let own = send(&served, "alice", action, fields).await.status.as_u16();
        assert!([200, 303, 422].contains(&own), "{action}: {own}");
    }
    assert_ne!(events(&served).await, before);
    served.stop().await;
}

/// Mission D16.
async fn a_caller_sees_only_what_it_may_read_of_the_view_access(place: &Place) {
    let trusting = Authentication::trusting(None);
    let app = guarded().record_reads();
    let served = Served::with(app, place, |builder| builder.authentication(trusting)).await;
    asks(&served, "bob", &["catalogue"], "the secret of bob").await;
    asks(&served, "carol", &["catalogue"], "the secret of carol").await;
    holds(&served, "dora", &["read access *"]).await;
    holds(&served, "erik", &["read access user:bob"]).await;
    let sees = async |name: &str, query: &str| {
        let shown = page(&served, name, &format!("/page/access{query}")).await;
        let secret = |of: &str| shown.text.contains(&format!("the secret of {of}"));
        (shown.status.as_u16(), secret("bob"), secret("carol"))
    };
    assert_eq!(sees("bob", "").await, (200, true, false));
    assert_eq!(sees("mallory", "").await, (200, false, false));
    assert_eq!(sees("dora", "").await, (200, true, true));
    assert_eq!(sees("alice", "").await, (200, true, true));
    assert_eq!(sees("erik", "").await, (200, false, false));
    assert_eq!(sees("erik", "?of=user:bob").await, (200, true, false));
    assert_eq!(sees("erik", "?of=user:carol").await, (403, false, false));
    assert_eq!(sees("alice", "?off=user:bob").await, (400, false, false));
    let own = page(&served, "mallory", "/page/access").await.text;
    assert!(own.contains("<code>read access *</code>") && own.contains("action=\"/page/access/request\""), "{own}");
    assert!(!own.contains("Issue a token"), "the server has no key");
    let anonymous = answer(served.request(Method::GET, "/page/access").header("Accept", "text/html")).await;
    assert_eq!(anonymous.status, 401);
    // A page is a read of the view, and a denied one is a denial.
    served.stop().await;
    let annals = guarded().open(place.url()).await.unwrap();
    let log = bank::log(&annals).await;
    let by = |name: &str, kind: &str| {
        let of = log.iter().filter(|event| event.event_type == kind);
        let of = of.filter(|event| event.metadata().unwrap().actor == user(name));
        of.map(|event| event.payload.clone()).collect::<Vec<_>>()
    };
    assert!(by("dora", "annals_read.viewed").iter().any(|read| read.contains("\"access\"")), "{log:?}");
    assert!(by("bob", "annals_read.viewed").iter().any(|read| read.contains("user:bob in access")), "{log:?}");
    assert!(by("erik", "annals_refusal.denied").iter().any(|denied| denied.contains("user:carol")), "{log:?}");
    assert!(by("bob", "annals_refusal.denied").is_empty(), "bob asked for nothing that he may not read");
    annals.close().await;
}

async fn long_lists_are_shown_in_pages(place: &Place) {
    let served = served(place).await;
    for n in 0..30 {
        asks(&served, "bob", &["catalogue"], &format!("bob-{n:02}.")).await;
        asks(&served, "carol", &["catalogue"], &format!("carol-{n:02}.")).await;
    }
    let reasons = regex::Regex::new(r"(?:bob|carol)-\d\d\.").unwrap();
    let next = regex::Regex::new(r#"href="([^"]+)">Next"#).unwrap();
    let (mut path, mut seen, mut pages) = ("/page/access".to_owned(), Vec::new(), Vec::new());
    loop {
        let shown = page(&served, "alice", &path).await.text;
        let found: Vec<String> = reasons.find_iter(&shown).map(|reason| reason.as_str().to_owned()).collect();
        pages.push(found.len());
        seen.extend(found);
        let Some(link) = next.captures(&shown) else { break };
        path = link[1].replace("&amp;", "&").split('#').next().unwrap().to_owned();
    }
    assert_eq!(pages, [50, 10]);
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "a request is on two pages");
    // A refused form shows the page that it was on.
    let last = served.annals.access_of(&user("carol")).await.unwrap();
    let shown = page(&served, "alice", &path).await.text;
    let id = last.requests().keys().find(|id| shown.contains(&format!("id=\"deny-{id}\""))).unwrap().to_string();
    let query = path.split('?').nth(1).unwrap().to_owned();
    let place: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut fields = vec![("grantee", "user:carol"), ("request", &*id), ("why", "")];
    fields.extend(place.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let refused = send(&served, "alice", "deny", &fields).await;
    assert!(form(&refused.text, &format!("deny-{id}")).contains("say why"));
    served.stop().await;
}

/// Mission A12.
#[tokio::test]
async fn texts_of_others_have_no_effect_on_the_page_of_access() {
    let place = Place::sqlite();
    let served = served(&place).await;
    let hostile = "<script>alert(1)</script>\u{202e}\u{1b}[31m";
    let right = format!("read {} *", "\"><img%20src=x>\u{202e}");
    let context = Context::by(user(hostile));
    let command = RequestAccess::new(user(hostile), vec![right.parse().unwrap()], hostile);
    served.annals.execute(command, &context).await.unwrap();
    asks(&served, "\u{430}lice", &["catalogue"], "another letter").await;
    let shown = page(&served, "alice", "/page/access").await.text;
    for inert in
        ["&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}\\u{1b}[31m", "user:%D0%B0lice", "&quot;&gt;&lt;img"]
    {
        assert!(shown.contains(inert), "{inert} is not in {shown}");
    }
    let values = regex::Regex::new(r#"value="[^"]*""#).unwrap();
    // Values that are sent back are exact.
    let rest = values.replace_all(&shown, "");
    for active in ["<script>", "<img", "\u{202e}", "\u{1b}"] {
        assert!(!rest.contains(active), "{active:?} is in {rest}");
    }
    served.stop().await;
}

#[tokio::test]
async fn an_application_without_rights_in_its_log_has_no_page_of_access() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    assert_eq!(served.get("/page/access").await.status, 404);
    let home = answer(served.request(Method::GET, "/").header("Accept", "text/html")).await.text;
    assert!(!home.contains("/page/access"), "{home}");
    served.stop().await;
    let owned = app().access(Access::new().owner(user("alice")));
    let place = Place::sqlite();
    let served = Served::alice(owned, &place).await;
    let home = answer(served.request(Method::GET, "/").header("Accept", "text/html")).await.text;
    assert!(home.contains("href=\"/page/access\""), "{home}");
    served.stop().await;
}
