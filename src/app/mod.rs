//! An application: its commands and views are registered once, then it is opened on a store.
//!
//! ## Layout
//! - `builder`: [`App`], the parts of an application
//! - `open_error`: [`OpenError`], why it cannot be opened
//! - `handle`: [`Annals`], an open application
//! - `read_handle`: [`ReadHandle`], its half that only reads
//! - `load`: [`Load`], an aggregate as it is or as it was
//! - `checking`: checks its store, and copies it
//! - `check_proofs`: checks its log with checkpoints (feature `proofs`)
//! - `personal`: opens and erases personal values (feature `personal`)
//! - `projections`: rebuilds and repairs its projections
//! - `reader`: [`Reader`], which reads as an actor
//! - `reader_past`: its reads of the past
//! - `authorise`: [`Authorise`], which allows or denies commands and reads
//! - `access_context`: [`AccessContext`], what the authoriser gets
//! - [`access_log`]: reads and refusals, recorded as events of the log
//! - `feeds`: runs and shows its feeds (feature `feeds`)
//! - `flows`: keeps and answers flows
//! - `intakes`: runs and shows its intakes (feature `feeds`)
//! - `following`: reads that are followed live are asked again when the answer may have changed
//! - `log_rights`: a log that has rights is opened only by a program that asks them
//! - `proofs`: keeps proofs of the log (feature `proofs`)
//! - `provenance`: keeps and answers provenance
//! - `reactions`: runs and shows its reactions
//! - `rights_memory`: what a program remembers of withdrawn rights
//! - `takeover`: takes over a database of postgres-es (feature `postgres`)
//! - `unopened`: `UnopenedApp`, what a subcommand of the command line receives
//! - `soundness`: checks that the parts of an application fit together

mod access_context;
pub mod access_log;
mod authorise;
mod builder;
#[cfg(feature = "proofs")]
mod check_proofs;
mod checking;
#[cfg(feature = "feeds")]
mod feeds;
mod flows;
mod following;
mod handle;
#[cfg(feature = "feeds")]
mod intakes;
mod load;
mod log_rights;
mod open_error;
#[cfg(feature = "personal")]
mod personal;
mod projections;
#[cfg(feature = "proofs")]
mod proofs;
mod provenance;
mod reactions;
mod read_handle;
mod reader;
mod reader_past;
#[cfg(feature = "access")]
mod rights_memory;
mod soundness;
#[cfg(feature = "postgres")]
mod takeover;
#[cfg(feature = "cli")]
pub(crate) mod unopened;

pub use access_context::AccessContext;
pub use authorise::{Ask, Authorise, Denial};
pub use builder::App;
#[cfg(all(feature = "cli", feature = "http"))]
pub(crate) use builder::Routes;
pub use handle::Annals;
#[cfg(feature = "http")]
pub(crate) use load::JsonVersion;
pub use load::{JsonState, Load, LoadAt};
pub use open_error::OpenError;
pub use read_handle::ReadHandle;
pub use reader::{ReadView, ReadViews, Reader, ReaderError};
pub use reader_past::ReadViewAt;
#[cfg(feature = "access")]
pub(crate) use rights_memory::RightsMemory;
pub use soundness::Unsound;

#[doc(inline)]
pub use crate::projections::audit::Detail;
#[cfg(feature = "cli")]
pub(crate) use unopened::{CustomSubcommand, UnopenedApp};
