//! What is logged, to stderr: `ANNALS_LOG` says what, `ANNALS_LOG_FORMAT` how.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::stderr;
use crate::BoxError;

/// What is told of spans beside the log, and filters for itself.
pub(super) type Beside = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins to log.
///
/// # Errors
/// When one of the two variables cannot be understood.
pub(super) fn to_stderr(beside: Option<Beside>) -> Result<(), BoxError> {
    let said = |variable| std::env::var(variable).ok().filter(|value| !value.is_empty());
    let filter = said("ANNALS_LOG").unwrap_or_else(|| "warn".to_owned());
    let filter: EnvFilter = filter
        .parse()
        .map_err(|error| format!("ANNALS_LOG=`{filter}`: {error}: write a level, like debug, or annals=debug"))?;
    let json = match said("ANNALS_LOG_FORMAT").as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(format!("ANNALS_LOG_FORMAT=`{other}`: write json or text").into()),
    };
    // The subscriber says what it cannot write with a macro that panics when stderr is gone.
    let Some(beside) = beside else {
        let subscriber = fmt().with_env_filter(filter).with_writer(stderr::writer).log_internal_errors(false);
        // An application that embeds this may have a subscriber of its own already.
        let _ = if json { subscriber.json().try_init() } else { subscriber.try_init() };
        return Ok(());
    };
    let lines = fmt::layer().with_writer(stderr::writer).log_internal_errors(false);
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    let begun = tracing_subscriber::registry().with(beside).with(lines.with_filter(filter)).try_init();
    if begun.is_err() {
        tracing::warn!("the application has a subscriber of its own: no spans are exported");
    }
    Ok(())
}
