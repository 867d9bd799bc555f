//! `serve`: the door for other programs, and the page for people.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::StoreArgs;
use super::output;
use crate::BoxError;
use crate::app::App;
use crate::events::Ref;
use crate::http::{Authentication, Keys};

/// Serve commands, the audit log, metrics, views and the page over HTTP, until Ctrl-C
#[derive(Args)]
#[command(
    after_help = "Examples:\n  serve --actor user:alice\n  serve --listen 0.0.0.0:8080 --jwks keys.json --audience job_server\n\n\
    Without keys, whoever reaches the address is believed: so it has to be one of this machine alone (127.0.0.1, ::1), \
    and is asked by that name. Who it is, --actor says, or the header Annals-Actor.\n\n\
    With keys, every request carries a token: a JWT for the audience, with sub and exp; its subject is the actor."
)]
pub(super) struct Serve {
    /// Where it listens; port 0 takes one that is free
    #[arg(long, env = "ANNALS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Verify tokens with the public keys of this file, a JSON Web Key Set: RS256, ES256, EdDSA
    #[arg(long, env = "ANNALS_JWKS", value_name = "FILE", conflicts_with = "secret")]
    jwks: Option<PathBuf>,
    /// Verify tokens with the secret that is in this file: HS256
    #[arg(long = "secret-file", env = "ANNALS_SECRET_FILE", value_name = "FILE", conflicts_with = "jwks")]
    secret: Option<PathBuf>,
    /// Whom tokens have to be for [default: the application's name]
    #[arg(long, env = "ANNALS_AUDIENCE", value_name = "TEXT")]
    audience: Option<String>,
    /// By whom tokens have to be made
    #[arg(long, env = "ANNALS_ISSUER", value_name = "TEXT")]
    issuer: Option<String>,
    /// Without keys: who whoever does not say so is
    #[arg(long, env = "ANNALS_ACTOR", value_name = "KIND:ID", value_parser = super::actor, conflicts_with_all = ["jwks", "secret"])]
    actor: Option<Ref>,
    /// How many requests each actor may make in a second [default: any number]
    #[arg(long, env = "ANNALS_RATE", value_name = "N")]
    rate: Option<std::num::NonZeroU32>,
    /// Tell this collector of OpenTelemetry (OTLP over HTTP) what is done: http://127.0.0.1:4318. Without it,
    /// OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_ variables say so; where none does, nothing is sent
    #[cfg(feature = "telemetry")]
    #[arg(id = super::telemetry::FLAG, long = "otlp-endpoint", value_name = "URL")]
    _otlp_endpoint: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

impl Serve {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let authentication = self.authentication(&app)?;
        if !authentication.is_required() && !is_own(self.listen.ip()) {
            return Err(format!(
                "{} can be reached from other machines, and nobody would have to say who he is: give --jwks or \
                 --secret-file, or listen on 127.0.0.1",
                self.listen
            )
            .into());
        }
        let (store, name) = (self.store.clone(), app.name);
        let listener = tokio::net::TcpListener::bind(self.listen).await?;
        let address = listener.local_addr()?;
        app.with(&store, (true, true), |annals| async move {
            let door = crate::http::router(annals).name(name).authentication(authentication);
            let router = self.rate.into_iter().fold(door, crate::http::Door::rate).into_router();
            output::line(&format!("listening on http://{address}"))?;
            Ok(crate::http::serve(listener, router, stopped()).await?)
        })
        .await
    }

    fn authentication(&self, app: &App) -> Result<Authentication, BoxError> {
        let keys = match (&self.jwks, &self.secret) {
            (Some(file), _) => Keys::from_jwks(&read(file)?)?,
            (_, Some(file)) => Keys::from_secret(read(file)?.trim_end().as_bytes())?,
            (None, None) => return Ok(Authentication::trusting(self.actor.clone())),
        };
        let bearer = Authentication::bearer(keys, self.audience.as_deref().unwrap_or(app.name));
        Ok(self.issuer.iter().fold(bearer, |bearer, issuer| bearer.issuer(issuer)))
    }
}

fn read(file: &std::path::Path) -> Result<String, BoxError> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Whether only this machine reaches it.
fn is_own(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Ctrl-C, or what a supervisor sends.
async fn stopped() {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "Ctrl-C cannot be waited for");
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminated) = signal(SignalKind::terminate()) else { return interrupted.await };
        tokio::select! {
            () = interrupted => {}
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupted.await;
}
