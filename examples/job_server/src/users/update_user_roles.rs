//! Change a user's roles.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{User, UserError, UserEvent, UserId};
use crate::roles::Roles;

/// Change a user's roles
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UpdateUserRoles {
    /// The user
    #[on(User)]
    #[schemars(example = &"bob")]
    pub user: UserId,
    /// The new roles
    pub roles: Roles,
}

impl Handle for UpdateUserRoles {
    fn handle(&self, user: &Loaded<User>, _: &Context) -> Result<Vec<UserEvent>, UserError> {
        let change = Change::between(user.roles.clone(), self.roles.clone());
        Ok(change.map(|roles| UserEvent::RolesUpdated { roles }).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::nothing;

    use super::*;
    use crate::roles::{Role, roles};

    /// Mission A6: a command that changes nothing records no event.
    #[test]
    fn a_change_records_old_and_new_roles_and_no_change_records_nothing() {
        let admin = Context::by(UserId::new("admin"));
        let update =
            |list: &[Role]| UpdateUserRoles { user: UserId::new("bob"), roles: roles(list.iter().copied()) };
        let to = roles([Role::Developer]);
        nothing()
            .when(update(&[Role::Developer]), admin.clone())
            .then(vec![UserEvent::RolesUpdated { roles: Change { from: roles([]), to } }]);
        nothing().when(update(&[]), admin).then_nothing();
    }
}
