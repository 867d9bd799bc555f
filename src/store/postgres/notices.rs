//! Warnings of the server while it answers, which sqlx only logs.
//!
//! A commit waits for its synchronous standbys. If somebody cancels that wait (`pg_cancel_backend`), the server sends the
//! warning 01000, "canceling wait for synchronous replication", and then answers as if the commit had been replicated: it may be
//! lost with the server. So no answer with a warning is an answer.
//!
//! sqlx passes warnings to `tracing` alone. While a request is polled, [`watch`] therefore makes this module the subscriber. It
//! passes all other events on to the subscriber of the application.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tracing::dispatcher::{Dispatch, get_default, with_default};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// The target under which sqlx logs what the server says.
const TARGET: &str = "sqlx::postgres::notice";

/// Two, of which the first is used: where there is only one, `tracing` lets the subscriber of the thread that meets a kind of event
/// first decide whether anybody ever wants it.
static WATCHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(Watcher)));

thread_local! {
    /// The request that this thread polls.
    static POLLED: RefCell<Option<Polled>> = const { RefCell::new(None) };
}

struct Polled {
    /// The subscriber of the application.
    outer: Dispatch,
    warned: bool,
}

/// Runs a request. Returns its result, and whether the server warned meanwhile.
pub(super) async fn watch<T>(request: impl Future<Output = T>) -> (T, bool) {
    let mut request = pin!(request);
    let mut warned = false;
    let result = std::future::poll_fn(|context| {
        let (polled, now) = poll(request.as_mut(), context);
        warned |= now;
        polled
    });
    (result.await, warned)
}

fn poll<F: Future>(request: Pin<&mut F>, context: &mut Context<'_>) -> (Poll<F::Output>, bool) {
    let outer = get_default(Dispatch::clone);
    let before = POLLED.replace(Some(Polled { outer, warned: false }));
    let polled = with_default(&WATCHERS[0], || request.poll(context));
    let warned = POLLED.replace(before).is_some_and(|polled| polled.warned);
    (polled, warned)
}

/// The subscriber while a request is polled. sqlx makes no spans.
struct Watcher;

impl Watcher {
    fn is_warning(metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && *metadata.level() <= Level::WARN
    }

    fn with_outer<T>(ask: impl FnOnce(&mut Polled) -> T) -> Option<T> {
        POLLED.with(|polled| polled.try_borrow_mut().ok()?.as_mut().map(ask))
    }
}

impl Subscriber for Watcher {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::is_warning(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let passed_on = || Self::with_outer(|polled| polled.outer.enabled(metadata));
        !metadata.is_span() && (Self::is_warning(metadata) || passed_on().unwrap_or(false))
    }

    fn event(&self, event: &Event<'_>) {
        Self::with_outer(|polled| {
            if Self::is_warning(event.metadata()) {
                // Logged by the writer, with what comes of it.
                polled.warned = true;
            } else if polled.outer.enabled(event.metadata()) {
                polled.outer.event(event);
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(u64::MAX)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
