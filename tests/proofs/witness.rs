//! [`Witness`]: a small witness of the log of a test: it cosigns each checkpoint that continues from the last one that it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use annals::proofs::{SignedCheckpoint, TreeHash, VerifierKey, verify_consistency};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lab::Key;

pub struct Witness {
    address: SocketAddr,
    state: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    name: String,
    key: SigningKey,
    log: VerifierKey,
    seen: Mutex<Seen>,
}

struct Seen {
    last: (u64, TreeHash),
    sizes: Vec<u64>,
    refused: u64,
}

impl Witness {
    pub async fn start(name: &str, log: &Key) -> Self {
        let key = SigningKey::from_bytes(&Sha256::digest(name).into());
        let seen = Seen { last: (0, TreeHash::of_empty_tree()), sizes: Vec::new(), refused: 0 };
        let (name, log) = (name.to_owned(), log.key.public());
        let state = Arc::new(Shared { name, key, log, seen: Mutex::new(seen) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/w/add-checkpoint", post(add)).with_state(state.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, state, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/w", self.address)
    }

    pub fn key(&self) -> VerifierKey {
        let Shared { name, key, .. } = &*self.state;
        let public = [&[4], key.verifying_key().as_bytes().as_slice()].concat();
        format!("{name}+{:08x}+{}", id(name, &public), BASE64_STANDARD.encode(public)).parse().unwrap()
    }

    /// The sizes that it cosigned.
    pub fn sizes(&self) -> Vec<u64> {
        self.state.seen.lock().unwrap().sizes.clone()
    }

    /// How many checkpoints did not go on from the last one.
    pub fn refused(&self) -> u64 {
        self.state.seen.lock().unwrap().refused
    }

    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn id(name: &str, public: &[u8]) -> u32 {
    let hash = Sha256::digest([name.as_bytes(), b"\n", public].concat());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

async fn add(State(state): State<Arc<Shared>>, body: String) -> Response {
    let (head, checkpoint) = body.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let proof: Vec<TreeHash> = lines.map(|line| line.parse().unwrap()).collect();
    let checkpoint: SignedCheckpoint = checkpoint.parse().unwrap();
    if checkpoint.origin != state.log.name() {
        return StatusCode::NOT_FOUND.into_response();
    }
    if checkpoint.verify(&state.log).is_err() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut seen = state.seen.lock().unwrap();
    if old != seen.last.0 {
        return (StatusCode::CONFLICT, [(CONTENT_TYPE, "text/x.tlog.size")], format!("{}\n", seen.last.0))
            .into_response();
    }
    let next = (checkpoint.size, checkpoint.root);
    if !verify_consistency(&proof, seen.last, next) {
        seen.refused += 1;
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    seen.last = next;
    seen.sizes.push(checkpoint.size);
    let time: u64 = 1_800_000_000;
    let message = format!("cosignature/v1\ntime {time}\n{}", checkpoint.text());
    let signature = state.key.sign(message.as_bytes()).to_bytes();
    let public = [&[4], state.key.verifying_key().as_bytes().as_slice()].concat();
    let bytes = [id(&state.name, &public).to_be_bytes().as_slice(), &time.to_be_bytes(), &signature].concat();
    format!("— {} {}\n— stranger {}\n", state.name, BASE64_STANDARD.encode(&bytes), BASE64_STANDARD.encode([7; 80]))
        .into_response()
}
