//! Installed apps and drivers.
//!
//! ## Layout
//! - `events`: the events
//! - `app`: the aggregate
//! - `install_app`, `restart_app`, `uninstall_app`: one command each, of the owner
//! - `send_data`: the command of an app: the way out of the box
//! - `status`: a view

mod app;
mod events;
mod install_app;
mod restart_app;
mod send_data;
mod status;
mod uninstall_app;

pub use app::{App, AppError, AppId};
pub use events::{AppEvent, OutEvent};
pub use install_app::InstallApp;
pub use restart_app::RestartApp;
pub use send_data::SendData;
pub use status::Apps;
pub use uninstall_app::UninstallApp;
