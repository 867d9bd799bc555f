//! An audit service: other programs say who viewed, created, updated and deleted what, and this one keeps it and answers by actor and by
//! target.
//!
//! ## Layout
//! - `entries`: what is kept: the events, the command, and the intake by which producers reach it
//! - `settings`: the broker, from the command line or the environment
//!
//! No module has code for the audit log, its API or its page: they follow from the declarations of the events.

pub mod entries;
pub mod settings;

use annals::prelude::*;

/// The application. Without a broker, producers reach it over HTTP alone.
///
/// # Errors
/// When the URL is not that of a broker.
pub fn app(broker: Option<&str>) -> Result<App, settings::NoBroker> {
    let intake = entries::intake();
    let intake = match broker {
        Some(url) => settings::from_broker(intake, url)?,
        None => intake,
    };
    let app = App::new("auditor").command::<entries::Record>().intake(intake).locale("fr", include_str!("fr.ftl"));
    Ok(app.record_reads().record_refusals())
}
