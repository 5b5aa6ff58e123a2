//! Who is asking, what this one may do, and whose things this one may see.

use holdfast_domain::{By, UserId};
use holdfast_engine::Caller;
use holdfast_schemas::Actor;

use crate::access::{self, Permission, Rule};
use crate::no::{Code, No};
use crate::token::Claims;

/// Whoever sent a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Who {
    /// Nobody that we know.
    #[default]
    Anonymous,
    /// The bearer of a token.
    Known(Claims),
}

impl Who {
    /// The user of the token.
    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Self::Anonymous => None,
            Self::Known(claims) => Some(&claims.user),
        }
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Known(claims) => claims.role.may(permission),
        }
    }

    /// Judges a rule. A stranger is asked for a token before anything else is said.
    pub(crate) fn passes(&self, rule: Rule) -> Result<(), No> {
        if rule != Rule::Anyone && self.user().is_none() {
            return Err(No::new(Code::Unauthenticated, "a token is needed"));
        }
        match rule {
            Rule::Anyone | Rule::SignedIn => Ok(()),
            Rule::OneOf(permissions) => {
                if permissions.iter().any(|permission| self.may(*permission)) {
                    Ok(())
                } else {
                    let names: Vec<_> = permissions.iter().map(|p| p.name()).collect();
                    let message = format!("this needs the permission {}", names.join(" or "));
                    Err(No::new(Code::Forbidden, message))
                }
            }
        }
    }

    /// Judges a root field of the schema by the table; a field without a rule lets nobody in.
    pub(crate) fn passes_field(&self, field: &str) -> Result<(), No> {
        let none = || No::new(Code::Forbidden, "this field has no rule yet");
        self.passes(access::of_field(field).ok_or_else(none)?)
    }

    /// Whether this one may read what belongs to `owner`. Whoever may not is told that it is absent.
    pub(crate) fn may_see(&self, owner: &UserId) -> bool {
        self.user() == Some(owner) || self.sees_everything()
    }

    /// Whether this one may read what belongs to anybody.
    pub(crate) fn sees_everything(&self) -> bool {
        self.may(Permission::Operate) || self.may(Permission::ReadAudit)
    }

    /// How the engine and the events name this one.
    pub(crate) fn caller(&self) -> Result<Caller, No> {
        let user =
            self.user().ok_or_else(|| No::new(Code::Unauthenticated, "a token is needed"))?;
        let by = if self.may(Permission::Operate) {
            By::Operator(user.clone())
        } else {
            By::Owner(user.clone())
        };
        Ok(Caller { actor: Actor::user(user.as_str()), by, user_id: user.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use holdfast_domain::Timestamp;

    fn known(name: &str, role: Role) -> Who {
        let user = UserId::new(name).expect("a name");
        Who::Known(Claims { user, role, expires_at: Timestamp::from_secs(9) })
    }

    #[test]
    fn a_stranger_is_asked_for_a_token_and_a_customer_for_a_permission() {
        let code = |who: &Who, field| who.passes_field(field).err().map(|no| no.code);
        assert_eq!(code(&Who::Anonymous, "Query.events"), Some(Code::Unauthenticated));
        assert_eq!(code(&known("ada", Role::Customer), "Query.events"), Some(Code::Forbidden));
        assert_eq!(code(&known("ada", Role::Auditor), "Query.events"), None);
        assert_eq!(code(&Who::Anonymous, "Query.seatMap"), None);
    }

    #[test]
    fn a_field_without_a_rule_lets_nobody_in() {
        let no = known("root", Role::Admin).passes_field("Query.forgotten").expect_err("no rule");
        assert_eq!(no.code, Code::Forbidden);
    }

    #[test]
    fn only_the_owner_the_operator_and_the_auditor_see_an_object() {
        let ada = UserId::new("ada").expect("a name");
        assert!(known("ada", Role::Customer).may_see(&ada));
        assert!(!known("bob", Role::Customer).may_see(&ada));
        assert!(!known("bob", Role::Analyst).may_see(&ada));
        assert!(known("bob", Role::Operator).may_see(&ada));
        assert!(known("bob", Role::Auditor).may_see(&ada));
        assert!(!Who::Anonymous.may_see(&ada));
    }
}
