//! Sends calls as an actor, and reads the answers to the last byte.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};

use crate::routes::Call;
use crate::secret::masked;
use crate::served::Served;

/// How long the next bytes of an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many calls of an actor are in progress at a time.
const AT_A_TIME: usize = 4;

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
    let send = || {
        let mut request = served.request(call.method.clone(), &call.path).header("annals-actor", actor);
        request = call.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        call.body.iter().fold(request, |request, body| request.json(body)).send()
    };
    let response = match send().await {
        Ok(response) => response,
        // On a busy machine the server may have closed an idle connection just then.
        Err(_) => send().await.unwrap(),
    };
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
    loop {
        let Ok(chunk) = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("an answer") else {
            // An error in the middle of an answer.
            bytes.extend(b"the answer was cut off");
            break;
        };
        let Some(chunk) = chunk else { break };
        bytes.extend(&chunk);
        if bytes.starts_with(b"content-type: text/event-stream")
            && bytes.windows(13).any(|it| it == b"event: metric")
            && bytes.ends_with(b"\n\n")
        {
            break;
        }
    }
}

/// The answers to all calls, several at a time; but one export at a time, as an actor may.
pub async fn ask_all(served: &Served, calls: &[Call], actor: &str) -> Answers {
    let (exports, others): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(|call| call.path.contains("export"));
    let asked = |call: &Call| {
        let call = call.clone();
        async move { (call.label.clone(), ask(served, &call, actor).await) }
    };
    let one_at_a_time = stream::iter(exports).map(asked).buffer_unordered(1).collect::<Vec<_>>();
    let several = stream::iter(others).map(asked).buffer_unordered(AT_A_TIME).collect::<Vec<_>>();
    let (exports, others) = tokio::join!(one_at_a_time, several);
    let answers: Answers = exports.into_iter().chain(others).collect();
    assert_eq!(answers.len(), calls.len(), "two calls have one label");
    answers
}

/// The answers to calls that may change something, in their order.
pub async fn ask_each(served: &Served, calls: &[Call], actor: &str) -> Answers {
    let mut answers = Answers::new();
    for call in calls {
        answers.insert(call.label.clone(), ask(served, call, actor).await);
    }
    answers
}
