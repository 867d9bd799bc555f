//! The audit application: it sees who does what to which thing, and no contents. It counts what its owner should look at.
//!
//! It is an app like the others: its right is `audit metadata observe`. Its own reads and writes are in the log too.

use annals::prelude::*;

use super::Client;
use crate::sources::{Keeps, SourceId};

/// The events to look at: something was denied, or was sent to a host that a package does not name.
const ALERTS: [&str; 2] = ["annals_refusal.denied", "app_data.sent_elsewhere"];

pub(super) async fn run(client: &Client) -> Result<(), BoxError> {
    let alerts = SourceId::new("watcher/alerts");
    client.register(&alerts, Keeps::Series, "How many things the owner should look at", "events").await?;
    let (mut seen, itself) = (0.0, client.app().to_string());
    let mut rows = client.follow("/live/audit").await?;
    loop {
        let row = rows.next().await?;
        let is = |field: &str, text: &str| row[field].as_str() == Some(text);
        if !is("actor", &itself) && ALERTS.iter().any(|alert| is("event_type", alert)) {
            seen += 1.0;
            client.write(&alerts, seen, &[]).await?;
        }
    }
}
