//! Sends calls as an actor, and reads the answers to the last byte.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::routes::{Call, NOT_COMPARED};
use crate::secret::masked;
use crate::served::Served;

/// How long the next bytes of an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer: the status, and all bytes of headers and body.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub bytes: Vec<u8>,
}

/// Answers by the label of their call.
pub type Answers = BTreeMap<String, Answered>;

impl Answered {
    pub fn text(&self) -> String {
        masked(&String::from_utf8_lossy(&self.bytes))
    }
}

pub async fn ask(served: &Served, call: &Call, actor: &str) -> Answered {
    let mut request = served.request(call.method.clone(), &call.path).header("annals-actor", actor);
    request = call.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request = call.body.iter().fold(request, |request, body| request.json(body));
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    for (name, value) in response.headers().iter().filter(|(name, _)| *name != "date") {
        bytes.extend(format!("{name}: ").bytes().chain(value.as_bytes().iter().copied()).chain(*b"\n"));
    }
    bytes.push(b'\n');
    append(response, &mut bytes).await;
    Answered { status, bytes }
}

/// Reads to the end. The stream of a metric has none: its first value is enough.
async fn append(mut response: reqwest::Response, bytes: &mut Vec<u8>) {
    while let Some(chunk) = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("an answer").unwrap() {
        bytes.extend(&chunk);
        if bytes.windows(13).any(|it| it == b"event: metric") && bytes.ends_with(b"\n\n") {
            break;
        }
    }
}

/// The answers to all calls, in their order.
pub async fn ask_all(served: &Served, calls: &[Call], actor: &str) -> Answers {
    let mut answers = Answers::new();
    for call in calls {
        answers.insert(call.label.clone(), ask(served, call, actor).await);
    }
    answers
}

/// Whether the answers of two logs to a call have to be equal.
pub fn is_compared(label: &str) -> bool {
    let route = label.split(' ').nth(1).unwrap_or_default();
    !NOT_COMPARED.contains(&route)
}
