//! An application: its commands and views, put together once, then opened on a store.
//!
//! ## Layout
//! - `builder`: [`App`], what an application is made of
//! - `handle`: [`Annals`], an application that is open
//! - `soundness`: what must be true of an application before it is opened

mod builder;
mod handle;
mod soundness;

pub use builder::{App, OpenError};
pub use handle::Annals;
pub use soundness::Unsound;
