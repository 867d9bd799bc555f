//! [`EndingSignals`]: the signals that ask a program to end.

use std::io;

/// Listens for the signals that ask a program to end: SIGINT (Ctrl-C), SIGTERM, SIGHUP (its terminal was closed) and SIGQUIT;
/// where there are no signals, Ctrl-C.
///
/// SIGHUP stays ignored in a program that was started with it ignored, as `nohup` does.
///
/// ```
/// use annals::cli::EndingSignals;
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// # let work = async {};
/// let mut signals = EndingSignals::listen()?;
/// tokio::select! {
///     () = work => println!("done"),
///     signal = signals.received() => println!("ended by {signal}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EndingSignals {
    #[cfg(unix)]
    listeners: Vec<(&'static str, tokio::signal::unix::Signal)>,
}

#[cfg(unix)]
impl EndingSignals {
    /// Begins to listen. From now on these signals do not end the program by themselves.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![
            ("SIGINT", SignalKind::interrupt()),
            ("SIGTERM", SignalKind::terminate()),
            ("SIGQUIT", SignalKind::quit()),
        ];
        if !is_hangup_ignored() {
            kinds.push(("SIGHUP", SignalKind::hangup()));
        }
        let listeners = kinds.into_iter().map(|(name, kind)| Ok((name, signal(kind)?)));
        Ok(Self { listeners: listeners.collect::<io::Result<_>>()? })
    }

    /// Waits for one, and returns its name. Cancel safe: a signal that arrives between two calls is not lost.
    pub async fn received(&mut self) -> &'static str {
        std::future::poll_fn(|context| {
            let mut listeners = self.listeners.iter_mut();
            match listeners.find_map(|(name, listener)| listener.poll_recv(context).is_ready().then_some(*name)) {
                Some(name) => std::task::Poll::Ready(name),
                None => std::task::Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(not(unix))]
impl EndingSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// None.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for Ctrl-C, and returns its name.
    pub async fn received(&mut self) -> &'static str {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot listen for Ctrl-C: end this process by other means");
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

/// Whether SIGHUP is ignored. Only Linux says so without unsafe code.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is the signal 1, SIGHUP.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
