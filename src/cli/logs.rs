//! The configuration of log lines on stderr: the filter in `ANNALS_LOG`, the format in `ANNALS_LOG_FORMAT`.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::stderr;
use crate::BoxError;

/// A layer for spans beside the log lines; it has a filter of its own.
pub(super) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging.
///
/// # Errors
/// When one of the two variables has an invalid value.
pub(super) fn to_stderr(spans: Option<SpanLayer>) -> Result<(), BoxError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let filter = variable("ANNALS_LOG").unwrap_or_else(|| "warn".to_owned());
    let filter: EnvFilter = filter.parse().map_err(|error| {
        format!("ANNALS_LOG=`{filter}`: {error}: set it to a level, like debug, or annals=debug")
    })?;
    let json = match variable("ANNALS_LOG_FORMAT").as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(format!("ANNALS_LOG_FORMAT=`{other}`: set it to json or text").into()),
    };
    // Internal errors are off: the subscriber reports them with a macro that panics when stderr is closed.
    let Some(spans) = spans else {
        let subscriber = fmt().with_env_filter(filter).with_writer(stderr::writer).log_internal_errors(false);
        // The application may have set its own subscriber already.
        let _ = if json { subscriber.json().try_init() } else { subscriber.try_init() };
        return Ok(());
    };
    let lines = fmt::layer().with_writer(stderr::writer).log_internal_errors(false);
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    let begun = tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init();
    if begun.is_err() {
        tracing::warn!("no spans are exported: the application has set its own tracing subscriber");
    }
    Ok(())
}
