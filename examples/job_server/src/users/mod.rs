//! Users: the roles that they have everywhere.

mod clear_user_roles;
mod events;
mod update_user_roles;
mod user;

pub use clear_user_roles::ClearUserRoles;
pub use events::UserEvent;
pub use update_user_roles::UpdateUserRoles;
pub use user::{User, UserError, UserId};
