//! A driver and two apps. Each is a process of its own, which has nothing but the address of the platform and a token. A third app,
//! `apps/sleepwell.py`, is in another language.
//!
//! ## Layout
//! - `client`: the platform as an app sees it
//! - `thermostat`: a driver
//! - `comfort`: an app that makes data of other data
//! - `watcher`: an app that audits the others, without contents

mod client;
mod comfort;
mod thermostat;
mod watcher;

use annals::prelude::*;

pub use client::{Client, Rows};

/// The names of the programs.
pub const NAMES: [&str; 3] = ["thermostat", "comfort", "watcher"];

/// Runs a program until the platform ends it.
///
/// # Errors
/// When there is no such program, or the platform refuses something.
pub async fn run(name: &str, client: &Client) -> Result<(), BoxError> {
    match name {
        "thermostat" => thermostat::run(client).await,
        "comfort" => comfort::run(client).await,
        "watcher" => watcher::run(client).await,
        other => Err(format!("there is no program `{other}`: there are {}", NAMES.join(", ")).into()),
    }
}
