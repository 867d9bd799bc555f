//! `serve`: the HTTP API and the audit page.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::ending_signals::EndingSignals;
use super::output;
use super::session::{OpenMode, actor};
use crate::BoxError;
use crate::app::{Routes, UnopenedApp};
use crate::events::Ref;
use crate::http::{Authentication, Keys, RouterBuilder};

/// Serve commands, the audit log, metrics, views and a page over HTTP until Ctrl-C or another ending signal
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ serve --actor user:alice\n  $ serve --listen 0.0.0.0:8080 --jwks keys.json --audience job_server\n\n\
    Without keys, clients are not authenticated: the server only listens on a loopback address (127.0.0.1, ::1), and a request \
    acts as the actor in its header Annals-Actor, or as --actor.\n\n\
    With keys, every request needs a bearer token: a JWT with `sub`, `exp` and the audience. Its subject is the actor. \
    A changed key file is used without a restart.\n\n\
    With --access-keys, an access token is taken as well: it acts for one grant of its actor, and its holder can narrow it."
)]
pub(super) struct Serve {
    /// Listen address; port 0 chooses a free port
    #[arg(long, env = "ANNALS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// File with a JSON Web Key Set, to verify tokens: RS256, ES256, EdDSA
    #[arg(long, env = "ANNALS_JWKS", value_name = "FILE", conflicts_with = "secret")]
    jwks: Option<PathBuf>,
    /// File with the secret to verify tokens: HS256
    #[arg(long = "secret-file", env = "ANNALS_SECRET_FILE", value_name = "FILE", conflicts_with = "jwks")]
    secret: Option<PathBuf>,
    /// Required audience (`aud`) of tokens [default: the application's name]
    #[arg(long, env = "ANNALS_AUDIENCE", value_name = "TEXT")]
    audience: Option<String>,
    /// Required issuer (`iss`) of tokens
    #[arg(long, env = "ANNALS_ISSUER", value_name = "TEXT")]
    issuer: Option<String>,
    /// File with the keys of access tokens, which are accepted too, or alone: `access keys create` makes one
    #[cfg(feature = "access")]
    #[arg(long, env = "ANNALS_ACCESS_KEYS", value_name = "FILE", conflicts_with = "default_actor")]
    access_keys: Option<PathBuf>,
    /// Default actor for requests without an `Annals-Actor` header; only without keys [default: the actor of --as]
    #[arg(id = "default_actor", long = "actor", value_name = "KIND:ID", value_parser = actor, conflicts_with_all = ["jwks", "secret"])]
    actor: Option<Ref>,
    /// Maximum requests per second of each actor [default: no limit]
    #[arg(long, env = "ANNALS_RATE", value_name = "N")]
    rate: Option<std::num::NonZeroU32>,
    /// File of the key that signs checkpoints of the log: `proofs init` makes one. Of several processes with the key, one signs
    #[cfg(feature = "proofs")]
    #[arg(long, env = "ANNALS_PROOFS_KEY", value_name = "FILE")]
    proofs_key: Option<PathBuf>,
    /// Seconds between two checkpoints, if the log has grown
    #[cfg(feature = "proofs")]
    #[arg(long, env = "ANNALS_PROOFS_EVERY", value_name = "SECONDS", default_value = "10")]
    proofs_every: std::num::NonZeroU32,
    /// Seconds for which an event must have been in the log before a checkpoint covers it: more than a standby server is behind
    #[cfg(feature = "proofs")]
    #[arg(long, env = "ANNALS_PROOFS_DELAY", value_name = "SECONDS", default_value_t = 0)]
    proofs_delay: u32,
    /// Policy whose witnesses are asked for cosignatures of each checkpoint
    #[cfg(feature = "proofs")]
    #[arg(long, env = "ANNALS_PROOFS_POLICY", value_name = "FILE", requires = "proofs_key")]
    proofs_policy: Option<PathBuf>,
    /// Checkpoint that was kept elsewhere: the log is opened only if it continues from it
    #[cfg(feature = "proofs")]
    #[arg(long, env = "ANNALS_PROOFS_CHECKPOINT", value_name = "FILE")]
    proofs_checkpoint: Option<PathBuf>,
    /// OpenTelemetry collector that receives spans (OTLP over HTTP), like http://127.0.0.1:4318 [default: from
    /// OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_ variables; without them, no spans are sent]
    #[cfg(feature = "telemetry")]
    #[arg(id = super::telemetry::FLAG, long = "otlp-endpoint", value_name = "URL")]
    _otlp_endpoint: Option<String>,
}

impl Serve {
    pub(super) async fn run(self, mut app: UnopenedApp) -> Result<(), BoxError> {
        let authentication = self.authentication(&app).await?;
        if !authentication.is_required() && !self.listen.ip().is_loopback() {
            return Err(format!(
                "{} is reachable from other machines, and clients would not be authenticated: give --jwks, \
                 --secret-file or --access-keys, or listen on 127.0.0.1",
                self.listen
            )
            .into());
        }
        #[cfg(feature = "proofs")]
        let signing = self.signing(&app).await?;
        #[cfg(feature = "proofs")]
        if let Some(file) = &self.proofs_checkpoint {
            let checkpoint = super::proofs::read_checkpoint(file)?;
            app.app = app.app.continues_from(crate::proofs::Checkpoint::clone(&checkpoint));
        }
        let name = app.app.name;
        let routes = std::mem::take(&mut app.app.routes);
        let listener =
            tokio::net::TcpListener::bind(self.listen).await.map_err(|error| self.cannot_listen(error))?;
        let address = listener.local_addr()?;
        let mut signals = EndingSignals::listen()?;
        app.with(OpenMode::Serve, |session| async move {
            #[cfg(feature = "proofs")]
            signing.map_or(Ok(()), |signing| session.annals.start_signing(signing))?;
            let builder = crate::http::router(session.annals.clone()).name(name).authentication(authentication);
            let own = |builder: RouterBuilder, routes: Routes| builder.with(routes(session.annals.clone()));
            let builder = routes.into_iter().fold(builder, own);
            let router = self.rate.into_iter().fold(builder, RouterBuilder::rate).into_router();
            let shutdown = async move {
                let signal = signals.received().await;
                tracing::info!("ending by {signal}: streams end, and requests in progress are finished");
            };
            output::line(&format!("listening on http://{address}"))?;
            Ok(crate::http::serve(listener, router, shutdown).await?)
        })
        .await
    }

    /// How checkpoints are signed, if there is a key.
    #[cfg(feature = "proofs")]
    async fn signing(&self, app: &UnopenedApp) -> Result<Option<crate::proofs::Signing>, BoxError> {
        use std::time::Duration;
        let Some(file) = self.proofs_key.clone() else { return Ok(None) };
        if !app.app.keeps_proofs() {
            return Err(crate::proofs::ProofError::Off.into());
        }
        let signing = crate::proofs::Signing::new(super::proofs::open_key(file).await?)
            .every(Duration::from_secs(self.proofs_every.get().into()))
            .delay(Duration::from_secs(self.proofs_delay.into()));
        Ok(Some(match &self.proofs_policy {
            Some(file) => signing.witnesses(super::proofs::read_policy(file)?),
            None => signing,
        }))
    }

    fn cannot_listen(&self, error: std::io::Error) -> BoxError {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port with --listen",
            ErrorKind::AddrNotAvailable => "this machine does not have the address: choose another with --listen",
            ErrorKind::PermissionDenied => "the system reserves the port: choose one above 1023 with --listen",
            _ => "choose another address or port with --listen",
        };
        format!("cannot listen on {} ({error}): {advice}", self.listen).into()
    }

    async fn authentication(&self, app: &UnopenedApp) -> Result<Authentication, BoxError> {
        let keys = match (&self.jwks, &self.secret) {
            (Some(file), _) => Some(Keys::from_jwks_file(file).await?),
            (_, Some(file)) => Some(Keys::from_secret_file(file).await?),
            (None, None) => None,
        };
        let bearer = keys.map(|keys| {
            let bearer = Authentication::bearer(keys, self.audience.as_deref().unwrap_or(app.app.name));
            self.issuer.iter().fold(bearer, |bearer, issuer| bearer.issuer(issuer))
        });
        #[cfg(feature = "access")]
        if let Some(file) = &self.access_keys {
            if !app.app.has_rights() {
                return Err(
                    "--access-keys: this application has no rights in its log, so it accepts no access tokens"
                        .into(),
                );
            }
            app.app.remember_beside(file);
            return Ok(bearer.unwrap_or_default().access_tokens(crate::tokens::Keys::from_file(file).await?));
        }
        Ok(bearer.unwrap_or_else(|| Authentication::trusting(self.actor.clone().or_else(|| app.actor.clone()))))
    }
}
