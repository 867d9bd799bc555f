//! A driver: it brings the temperature, and whether somebody is at home, into the box.

use std::time::Duration;

use annals::prelude::*;

use super::Client;
use crate::sources::{Keeps, SourceId};

/// What the thermostat measures while somebody looks, in °C.
const TEMPERATURES: [f64; 6] = [18.2, 18.9, 19.6, 20.4, 21.1, 21.0];

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

pub(super) async fn run(client: &Client) -> Result<(), BoxError> {
    let (temperature, presence) = (SourceId::new("home/temperature"), SourceId::new("home/presence"));
    client.register(&temperature, Keeps::Series, "Temperature of the living room", "°C").await?;
    client.register(&presence, Keeps::Value, "How many people are at home", "people").await?;
    client.write(&presence, 1.0, &[]).await?;
    for value in TEMPERATURES {
        client.write(&temperature, value, &[]).await?;
        tokio::time::sleep(SHORT).await;
    }
    loop {
        tokio::time::sleep(LONG).await;
        client.write(&temperature, 21.0, &[]).await?;
    }
}
