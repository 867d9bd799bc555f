//! A small platform for personal data: drivers bring data in, apps use it, and its owner sees what they do.
//!
//! ## Layout
//! - `packages`: apps and drivers that publishers offer
//! - `apps`: installed apps and drivers, and what they send out of the box
//! - `sources`: stores, their data sources and values
//! - `manager`: the container manager: asks the owner for rights, and runs what is installed
//! - `programs`: a driver and two apps, each a process of its own
//! - `demo`: a scripted day
//! - `overhead`: what the records of reads cost
//! - `command_line`: the subcommands
//!
//! No module contains code for auditing, access or provenance: they follow from the declarations of the events.

pub mod apps;
mod command_line;
pub mod demo;
pub mod manager;
mod overhead;
pub mod packages;
pub mod programs;
pub mod sources;

use annals::access::Access;
use annals::prelude::*;
use annals::projections::flows::Flows;
use annals::projections::provenance::Agents;

/// The id of a user.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

/// Whose box it is: a personal data store has one owner, who has every right.
#[must_use]
pub fn owner() -> UserId {
    UserId::new("ann")
}

/// The application. Reads and refusals are part of its log.
#[must_use]
pub fn app() -> App {
    command_line::add_to(unrecorded().record_reads().record_refusals())
}

/// The application without records of reads and refusals: only to measure what they cost.
fn unrecorded() -> App {
    App::new("databox")
        .command::<packages::PublishPackage>()
        .command::<apps::InstallApp>()
        .command::<apps::RestartApp>()
        .command::<apps::UninstallApp>()
        .command::<apps::SendData>()
        .command::<sources::OpenStore>()
        .command::<sources::RegisterSource>()
        .command::<sources::WriteValue>()
        .view::<apps::Apps>()
        .view::<sources::Catalogue>()
        .view::<sources::Values>()
        .access(Access::new().owner(owner()))
        .provenance(Agents::default())
        .flows(Flows::default())
}
