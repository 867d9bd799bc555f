//! Packages: apps and drivers as their publishers offer them.
//!
//! ## Layout
//! - `events`: the events
//! - `package`: the aggregate
//! - `publish_package`: the command

mod events;
mod package;
mod publish_package;

pub use events::{Kind, PackageEvent};
pub use package::{Package, PackageError, PackageId};
pub use publish_package::PublishPackage;
