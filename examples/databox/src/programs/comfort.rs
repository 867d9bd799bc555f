//! An app that makes data of other data: from each temperature, whether the room is comfortable.

use annals::prelude::*;

use super::Client;
use crate::sources::{Keeps, SourceId};

pub(super) async fn run(client: &Client) -> Result<(), BoxError> {
    let (temperature, comfort) = (SourceId::new("home/temperature"), SourceId::new("comfort/level"));
    client.register(&comfort, Keeps::Series, "How comfortable the living room is", "0 to 1").await?;
    let mut rows = client.follow(&format!("/live/audit?target={temperature}&event=source_value.written")).await?;
    loop {
        // Its own values are about the temperature too: they were made of it.
        if rows.next().await?["aggregate"].as_str() != Some(temperature.reference().as_str()) {
            continue;
        }
        // The row is the signal; the data comes from the store.
        let values = client.get("/views/values/home%2Ftemperature").await?;
        let latest =
            values["readings"].as_array().and_then(|all| all.last()).and_then(|last| last["value"].as_f64());
        if let Some(degrees) = latest {
            let level = if (19.5..23.0).contains(&degrees) { 1.0 } else { 0.0 };
            client.write(&comfort, level, &[&temperature]).await?;
        }
    }
}
