//! What is logged, to stderr: `ANNALS_LOG` says what, `ANNALS_LOG_FORMAT` how.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// What is told of spans beside the log, and filters for itself.
pub(super) type Beside = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins to log.
pub(super) fn to_stderr(beside: Option<Beside>) {
    let filter = EnvFilter::try_from_env("ANNALS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let json = std::env::var("ANNALS_LOG_FORMAT").is_ok_and(|format| format == "json");
    let Some(beside) = beside else {
        let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // An application that embeds this may have a subscriber of its own already.
        let _ = if json { subscriber.json().try_init() } else { subscriber.try_init() };
        return;
    };
    let stderr = fmt::layer().with_writer(std::io::stderr);
    let stderr = if json { stderr.json().boxed() } else { stderr.boxed() };
    let begun = tracing_subscriber::registry().with(beside).with(stderr.with_filter(filter)).try_init();
    if begun.is_err() {
        tracing::warn!("the application has a subscriber of its own: no spans are exported");
    }
}
