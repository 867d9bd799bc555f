//! Remove all roles of a user.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{User, UserError, UserEvent, UserId};

/// Remove all roles of a user
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClearUserRoles {
    /// The user
    #[on(User)]
    #[schemars(example = &"bob")]
    pub user: UserId,
}

impl Handle for ClearUserRoles {
    fn handle(&self, user: &Loaded<User>, _: &Context) -> Result<Vec<UserEvent>, UserError> {
        match user.roles.is_empty() {
            true => Err(UserError::NoRoles(self.user.clone())),
            false => Ok(vec![UserEvent::RolesCleared { roles: user.roles.clone() }]),
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::roles::{Role, roles};

    #[test]
    fn roles_are_cleared_only_if_the_user_has_roles() {
        let (admin, bob) = (Context::by(UserId::new("admin")), UserId::new("bob"));
        let some = roles([Role::Coordinator]);
        let had = UserEvent::RolesUpdated { roles: Change { from: roles([]), to: some.clone() } };
        let clear = ClearUserRoles { user: bob.clone() };
        given::<User>(&bob, [had])
            .when(clear.clone(), admin.clone())
            .then(vec![UserEvent::RolesCleared { roles: some }]);
        nothing().when(clear, admin).then_refused(UserError::NoRoles(bob));
    }
}
