//! Two logs that differ in nothing but their secrets, and what they answer.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use annals::http::Authentication;
use annals::proofs::{ProofKey, ProofTree};
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::asking::{ask_all, ask_each};
use crate::compare::LogAnswers;
use crate::routes::{self, Call};
use crate::secret::Secret;
use crate::served::{self, Served};
use crate::values::Known;
use crate::{command_line, live, sockets, vault};

/// Another place for a store of the same kind.
pub fn beside(place: &Place) -> Place {
    if place.schema().is_some() { Place::postgres() } else { Place::sqlite() }
}

pub async fn serve(place: &Place) -> Served {
    opened(vault::read_app().open(place.url()).await.unwrap()).await
}

/// Signs a checkpoint of a log, with the same key for each.
async fn sign(served: &Served) {
    static MADE: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        ProofKey::create(folder.path().join("proofs.key"), "example.org/vault").unwrap();
        folder
    });
    // The last checkpoint of a log lies beside its key.
    let folder = TempDir::new().unwrap();
    for file in ["proofs.key", "proofs.key.checkpoint"] {
        std::fs::copy(MADE.path().join(file), folder.path().join(file)).unwrap();
    }
    let key = Arc::new(ProofKey::open(folder.path().join("proofs.key")).unwrap());
    let head = served.annals.store().head().await.unwrap();
    served.annals.reading(ProofTree::NAME).unwrap().caught_up(head, None).await.unwrap();
    served.annals.proofs().unwrap().sign(&key).await.unwrap();
}

/// Serves an application, and waits until its projections have processed the log.
pub async fn opened(annals: annals::prelude::Annals) -> Served {
    let nobody = "user:nobody".parse().unwrap();
    let trusting =
        |router: annals::http::RouterBuilder| router.authentication(Authentication::trusting(Some(nobody)));
    let served = Served::opened(annals, trusting).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.audit().after(head).limit(1).page().await.unwrap();
    served.annals.views::<vault::Texts>().after(head).await.unwrap();
    served.annals.metric("vault").after(head).await.unwrap();
    served
}

pub async fn get(served: &Served, path: &str, actor: &str) -> Value {
    let answer = served::answer(served.request(Method::GET, path).header("annals-actor", actor)).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

pub async fn known(served: &Served, secret: &Secret) -> Known {
    let page = get(served, "/audit?limit=1", "user:root").await;
    let view = get(served, "/views/texts?limit=1", "user:root").await;
    let head = &page["head"];
    let end = head["position"].as_u64().unwrap() + 1;
    let live = get(served, &format!("/audit?limit=1&until={end}"), "user:root").await;
    Known {
        absent: "this text is in no event".to_owned(),
        secret: secret.text.clone(),
        cursor: page["next"].as_str().unwrap().to_owned(),
        live_cursor: live["next"].as_str().unwrap().to_owned(),
        view_cursor: view["next"].as_str().unwrap().to_owned(),
        head: format!("{}:{}", head["position"], head["event_id"].as_str().unwrap()),
    }
}

/// What a log answers over HTTP.
pub async fn over_http(place: &Place, secret: Secret, seed: u64) -> LogAnswers {
    vault::write(place.url(), &secret).await;
    let served = serve(place).await;
    sign(&served).await;
    let known = known(&served, &secret).await;
    let document = get(&served, "/openapi.json", "user:root").await;
    let calls = routes::calls(&served, &document, &known, seed).await;
    let (reads, others): (Vec<Call>, Vec<Call>) =
        calls.into_iter().partition(|call| [Method::GET, Method::HEAD].contains(&call.method));
    // They start checks and rebuilds, for the operator and the reader of everything.
    let mut of_metadata = ask_each(&served, &others, "user:meta").await;
    let mut of_operator = ask_each(&served, &others, "user:operator").await;
    let mut in_full = ask_each(&served, &others, "user:root").await;
    wait_for_jobs(&served).await;
    // An operator has rights to some routes, not to parameters. One log shows that calls show something.
    let of_routes: Vec<Call> = reads.iter().filter(|call| !call.label.contains('=')).cloned().collect();
    let shown: Vec<Call> =
        reads.iter().filter(|call| secret.is_rich() && !call.label.contains("combined")).cloned().collect();
    let (metadata, operator, full) = tokio::join!(
        ask_all(&served, &reads, "user:meta"),
        ask_all(&served, &of_routes, "user:operator"),
        ask_all(&served, &shown, "user:root"),
    );
    of_metadata.extend(metadata);
    of_operator.extend(operator);
    in_full.extend(full);
    served.stop().await;
    let refused = shown.iter().filter(|call| call.must_answer && in_full[&call.label].status >= 400);
    let refused: Vec<String> =
        refused.map(|call| format!("{}\n{}", call.label, in_full[&call.label].text())).collect();
    assert!(
        refused.is_empty(),
        "nobody gets an answer to these, so they test nothing; fill their parameters in tests/metadata:\n{}",
        refused.join("\n\n")
    );
    LogAnswers { secret, of_metadata, of_operator, in_full }
}

/// Waits until the checks and rebuilds that were started have ended.
async fn wait_for_jobs(served: &Served) {
    let ended = async {
        while get(served, "/check", "user:root").await["done"] != true
            || get(served, "/projections", "user:root").await.to_string().contains("\"rebuild\":")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("checks and rebuilds end");
}

/// What a log answers over WebSocket, and sends while a stream is open.
pub async fn live(place: &Place, secret: Secret) -> LogAnswers {
    vault::write(place.url(), &secret).await;
    let served = serve(place).await;
    let known = known(&served, &secret).await;
    let document = get(&served, "/openapi.json", "user:root").await;
    let calls = sockets::calls(&document, &known);
    let (mut of_metadata, of_operator, mut in_full) = tokio::join!(
        sockets::ask_all(&served, &calls, "user:meta"),
        sockets::ask_all(&served, &calls, "user:operator"),
        sockets::ask_all(&served, &calls, "user:root"),
    );
    let (new_of_metadata, new_in_full) = live::follow(&served, &known, &secret).await;
    of_metadata.extend(new_of_metadata);
    in_full.extend(new_in_full);
    served.stop().await;
    LogAnswers { secret, of_metadata, of_operator, in_full }
}

/// What a log answers on the command line.
pub async fn on_the_command_line(place: &Place, secret: Secret) -> LogAnswers {
    vault::write(place.url(), &secret).await;
    let served = serve(place).await;
    sign(&served).await;
    let known = known(&served, &secret).await;
    served.stop().await;
    let directory = TempDir::new().unwrap();
    let calls = command_line::calls(&known, directory.path());
    let url = place.url().to_owned();
    // One after the other: processes that share a store wait for each other's leases.
    let printed = |actor: &'static str, calls: &[command_line::CallOfProgram]| {
        let (url, calls, directory) = (url.clone(), calls.to_vec(), directory.path().to_owned());
        tokio::task::spawn_blocking(move || command_line::ask_all(&url, &calls, actor, &directory))
    };
    let of_metadata = printed("user:meta", &calls).await.unwrap();
    // An operator has rights to some subcommands, not to options. One log of one store shows that calls show something.
    let without_options: Vec<_> = calls.iter().filter(|(label, _)| !label.contains("--")).cloned().collect();
    let of_operator = printed("user:operator", &without_options).await.unwrap();
    let shown = if secret.is_rich() && place.schema().is_none() { calls } else { Vec::new() };
    let in_full = printed("user:root", &shown).await.unwrap();
    LogAnswers { secret, of_metadata, of_operator, in_full }
}
