//! An application: its commands and views are registered once, then it is opened on a store.
//!
//! ## Layout
//! - `builder`: [`App`], the parts of an application
//! - `handle`: [`Annals`], an open application
//! - `read_handle`: [`ReadHandle`], its half that only reads
//! - `checking`: checks its store, and copies it
//! - `reader`: [`Reader`], which reads as an actor
//! - `authorise`: [`Authorise`], which allows or denies commands and reads
//! - `access_context`: [`AccessContext`], what the authoriser gets
//! - [`access_log`]: reads and refusals, recorded as events of the log
//! - `log_rights`: a log that has rights is opened only by a program that asks them
//! - `unopened`: `UnopenedApp`, what a subcommand of the command line receives
//! - `soundness`: checks that the parts of an application fit together

mod access_context;
pub mod access_log;
mod authorise;
mod builder;
mod checking;
mod handle;
mod log_rights;
mod read_handle;
mod reader;
mod soundness;
#[cfg(feature = "cli")]
pub(crate) mod unopened;

pub use access_context::AccessContext;
pub use authorise::{Ask, Authorise, Denial};
#[cfg(all(feature = "cli", feature = "http"))]
pub(crate) use builder::Routes;
pub use builder::{App, OpenError};
pub use handle::Annals;
pub use read_handle::ReadHandle;
pub use reader::{ReadView, ReadViews, Reader, ReaderError};
pub use soundness::Unsound;

#[doc(inline)]
pub use crate::projections::audit::Detail;
#[cfg(feature = "cli")]
pub(crate) use unopened::{CustomSubcommand, UnopenedApp};
