//! Who may do what to a machine (`api.md` §1.3).

use super::{Actor, Machine, Refusal, Role};

/// A right over one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See it: administrators, its owner, and everybody while nobody has it.
    View,
    /// Command it: as `View`, and it is not locked.
    Edit,
    /// Administer it: administrators, and it is not locked.
    Admin,
    /// See what administrators see: administrators, even when it is locked.
    AdminRead,
    /// Lock and unlock it: administrators and its owner.
    Lock,
}

/// Whether `actor` has the right.
#[must_use]
pub fn allows(actor: &Actor, machine: &Machine, permission: Permission) -> bool {
    reaches(actor, machine, permission) && !(machine.locked && needs_unlocked(permission))
}

/// The same with a reason: [`Refusal::Forbidden`] before [`Refusal::Locked`], so that a stranger
/// learns nothing.
pub(super) fn require(
    actor: &Actor,
    machine: &Machine,
    permission: Permission,
    action: &str,
) -> Result<(), Refusal> {
    if !reaches(actor, machine, permission) {
        return Err(Refusal::Forbidden {
            action: action.to_owned(),
            username: actor.username.clone(),
        });
    }
    if machine.locked && needs_unlocked(permission) {
        return Err(Refusal::Locked { action: action.to_owned() });
    }
    Ok(())
}

fn needs_unlocked(permission: Permission) -> bool {
    matches!(permission, Permission::Edit | Permission::Admin)
}

fn reaches(actor: &Actor, machine: &Machine, permission: Permission) -> bool {
    let admin = actor.role == Role::Admin;
    let owns = machine.owner.as_ref() == Some(&actor.username);
    match permission {
        Permission::View | Permission::Edit => admin || owns || machine.owner.is_none(),
        Permission::Admin | Permission::AdminRead => admin,
        Permission::Lock => admin || owns,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::tests::{admin, machine, user};
    use super::*;

    #[test]
    fn the_permission_table_holds() {
        use Permission::{Admin, AdminRead, Edit, Lock, View};
        let mut machine = machine();
        let granted = |machine: &Machine, actor: &Actor| {
            [View, Edit, Admin, AdminRead, Lock].map(|right| allows(actor, machine, right))
        };
        let (yes, no) = (true, false);
        assert_eq!(granted(&machine, &user("ann")), [yes, yes, no, no, no]);
        machine.owner = Some("ann".into());
        assert_eq!(granted(&machine, &user("ann")), [yes, yes, no, no, yes]);
        assert_eq!(granted(&machine, &user("bob")), [no; 5]);
        assert_eq!(granted(&machine, &admin()), [yes; 5]);
        machine.locked = true;
        assert_eq!(granted(&machine, &user("ann")), [yes, no, no, no, yes]);
        assert_eq!(granted(&machine, &admin()), [yes, no, no, yes, yes]);
    }
}
