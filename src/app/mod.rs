//! An application: its commands and views, put together once, then opened on a store.
//!
//! ## Layout
//! - `builder`: [`App`], what an application is made of
//! - `handle`: [`Annals`], an application that is open
//! - `checking`: the check of its store
//! - `reader`: [`Reader`], reading as somebody
//! - `authorise`: [`Authorise`], who may do and read what
//! - [`access_log`]: reads and refusals, recorded as events of the log
//! - `soundness`: what must be true of an application before it is opened

pub mod access_log;
mod authorise;
mod builder;
mod checking;
mod handle;
mod reader;
mod soundness;

pub use authorise::{Ask, Authorise, Denial};
pub use builder::{App, OpenError};
pub use handle::Annals;
pub use reader::{ReadView, ReadViews, Reader, ReaderError};
pub use soundness::Unsound;
