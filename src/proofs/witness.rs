//! Asks witnesses for cosignatures, as C2SP's `tlog-witness` says.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::ProofError;
use super::handle::Proofs;
use super::note::NoteSignature;
use super::policy::{Policy, Witness};
use super::{ProofKey, SignedCheckpoint};
use crate::BoxError;
use crate::text::error_chain;
use crate::web_client::WebClient;

/// How long a witness may take for its answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer of a witness, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// What a witness answers.
enum Answer {
    /// Lines of cosignatures.
    Cosigned(String),
    /// It last saw a checkpoint of this size.
    LastSaw(u64),
}

impl Proofs {
    /// Signs a checkpoint, as [`sign`](Self::sign), and asks the witnesses of a policy that have a URL for cosignatures.
    /// A witness that does not answer or refuses is logged: whether there are enough, the policy says.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub async fn sign_with_witnesses(
        &self,
        key: &Arc<ProofKey>,
        policy: &Policy,
    ) -> Result<SignedCheckpoint, ProofError> {
        let signed = self.sign(key).await?;
        self.cosign(key, signed, policy).await
    }

    /// Asks the witnesses of a policy that have not cosigned a checkpoint yet, and publishes it with their cosignatures. A witness that
    /// does not answer or refuses is logged, and asked again next time.
    pub(super) async fn cosign(
        &self,
        key: &Arc<ProofKey>,
        signed: SignedCheckpoint,
        policy: &Policy,
    ) -> Result<SignedCheckpoint, ProofError> {
        let asked = policy
            .witnesses()
            .iter()
            .filter(|witness| witness.url.is_some() && !matches!(signed.note.verify(&witness.key), Ok(Some(_))));
        let asked: Vec<&Witness> = asked.collect();
        if asked.is_empty() {
            return Ok(signed);
        }
        let client = match WebClient::new(None, PATIENCE).await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(problem = %error_chain(&*error), "no witness can be asked");
                return Ok(signed);
            }
        };
        let answers = join_all(asked.into_iter().map(|witness| self.ask(&client, witness, &signed))).await;
        let cosignatures: Vec<NoteSignature> = answers.into_iter().flatten().collect();
        if cosignatures.is_empty() {
            return Ok(signed);
        }
        let of = key.clone();
        let (lock, mut last) = spawn_blocking(move || Ok::<_, ProofError>((of.lock()?, of.last()?))).await??;
        if last.checkpoint != signed.checkpoint {
            // Another process has signed a later one meanwhile.
            return Ok(signed);
        }
        cosignatures.into_iter().for_each(|cosignature| last.note.add(cosignature));
        let (of, kept) = (key.clone(), last.clone());
        spawn_blocking(move || of.keep(&kept)).await??;
        self.publish(&last).await?;
        drop(lock);
        Ok(last)
    }

    /// The cosignature of a witness, if it gives one.
    async fn ask(&self, client: &WebClient, witness: &Witness, signed: &SignedCheckpoint) -> Option<NoteSignature> {
        let asked = timeout(PATIENCE, self.cosignature(client, witness, signed)).await;
        let problem = match asked {
            Ok(Ok(cosignature)) => return Some(cosignature),
            Ok(Err(error)) => error_chain(&*error),
            Err(_) => format!("it did not answer within {PATIENCE:?}"),
        };
        tracing::warn!(witness = witness.name, size = signed.size, %problem, "a witness did not cosign the checkpoint");
        None
    }

    async fn cosignature(
        &self,
        client: &WebClient,
        witness: &Witness,
        signed: &SignedCheckpoint,
    ) -> Result<NoteSignature, BoxError> {
        let url = witness.url.as_deref().unwrap_or_default();
        // It says which size it saw last, if that is another one.
        let mut old = 0;
        for _ in 0..3 {
            let proof = self.prove_consistency(old, signed.size).await?;
            let proof: String = proof.iter().map(|hash| format!("{hash}\n")).collect();
            match post(client, url, format!("old {old}\n{proof}\n{signed}")).await? {
                Answer::LastSaw(size) if size > signed.size => {
                    let size = format!("it saw {size} events of {}, which this log does not have", signed.origin);
                    return Err(size.into());
                }
                Answer::LastSaw(size) => old = size,
                Answer::Cosigned(lines) => {
                    let mut note = signed.note.clone();
                    lines.lines().filter_map(NoteSignature::parse).for_each(|signature| note.add(signature));
                    let cosigned = note.verify(&witness.key)?.and_then(|_| note.signature(&witness.key).cloned());
                    return cosigned.ok_or_else(|| "its answer has no cosignature of its key".into());
                }
            }
        }
        Err("it says each time that it saw another size last".into())
    }
}

/// Sends a checkpoint to a witness.
async fn post(client: &WebClient, url: &str, body: String) -> Result<Answer, BoxError> {
    let request = Request::post(format!("{}/add-checkpoint", url.trim_end_matches('/')));
    let answer = client.send(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    match status {
        StatusCode::OK => Ok(Answer::Cosigned(text)),
        StatusCode::CONFLICT => Ok(Answer::LastSaw(text.trim_end().parse()?)),
        status => Err(BoxError::from(format!("it refuses: {status} {}", text.trim().escape_debug()))),
    }
}
