//! An application: its commands and views, put together once, then opened on a store.
//!
//! ## Layout
//! - `builder`: [`App`], what an application is made of
//! - `handle`: [`Annals`], an application that is open
//! - `checking`: the check of its store
//! - `reader`: [`Reader`], reading as somebody
//! - `authorise`: [`Authorise`], who may do and read what
//! - [`trail`]: reads and refusals, recorded as events of the log
//! - `soundness`: what must be true of an application before it is opened

mod authorise;
mod builder;
mod checking;
mod handle;
mod reader;
mod soundness;
pub mod trail;

pub use authorise::{Ask, Authorise, Denial};
pub use builder::{App, OpenError};
pub use handle::Annals;
pub use reader::{ReadView, ReadViews, Reader, ReaderError};
pub use soundness::Unsound;
