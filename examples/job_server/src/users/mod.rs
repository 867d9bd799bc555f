//! Users and their roles in all projects.
//!
//! ## Layout
//! - `events`: the events
//! - `user`: the aggregate
//! - `update_user_roles`, `clear_user_roles`: one command each

mod clear_user_roles;
mod events;
mod update_user_roles;
mod user;

pub use clear_user_roles::ClearUserRoles;
pub use events::UserEvent;
pub use update_user_roles::UpdateUserRoles;
pub use user::{User, UserError, UserId};
