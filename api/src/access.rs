//! Who may do what: roles, permissions, and one rule for every field and path.
//!
//! What has no rule is refused; a test walks the schema and the route table and fails when a new field
//! or path has none. Whose object it is comes on top of the rule: see [`crate::who`].

use std::str::FromStr;

/// One thing that a role allows. DOMAIN.md C.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// To lock seats, to reserve, to pay.
    CreateOrder,
    /// To change the catalogue.
    ManageCatalog,
    /// To change stock and to open and close sales.
    ManageInventory,
    /// To publish maps, to block seats.
    ManageSeatmaps,
    /// To register vehicles and take them out of service.
    ManageVehicles,
    /// To act on any reservation: cancel, refund, extend, redrive.
    Operate,
    /// To let people in.
    CheckIn,
    /// To read the log, and every object.
    ReadAudit,
    /// To read figures.
    ReadAnalytics,
    /// To make and grant roles.
    ManageRoles,
}

impl Permission {
    /// All of them.
    pub const ALL: [Permission; 10] = [
        Self::CreateOrder,
        Self::ManageCatalog,
        Self::ManageInventory,
        Self::ManageSeatmaps,
        Self::ManageVehicles,
        Self::Operate,
        Self::CheckIn,
        Self::ReadAudit,
        Self::ReadAnalytics,
        Self::ManageRoles,
    ];

    /// As the diagrams write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateOrder => "CREATE_ORDER",
            Self::ManageCatalog => "MANAGE_CATALOG",
            Self::ManageInventory => "MANAGE_INVENTORY",
            Self::ManageSeatmaps => "MANAGE_SEATMAPS",
            Self::ManageVehicles => "MANAGE_VEHICLES",
            Self::Operate => "OPERATE",
            Self::CheckIn => "CHECK_IN",
            Self::ReadAudit => "READ_AUDIT",
            Self::ReadAnalytics => "READ_ANALYTICS",
            Self::ManageRoles => "MANAGE_ROLES",
        }
    }
}

/// A built-in role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Buys, and reads and changes what is its own.
    Customer,
    /// Runs the shop.
    Operator,
    /// Reads everything, changes nothing.
    Auditor,
    /// Reads figures.
    Analyst,
    /// May do everything (the seeds' SUPER_ADMIN).
    Admin,
}

/// A role that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role {0:?}; roles are CUSTOMER, OPERATOR, AUDITOR, ANALYST and ADMIN")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "CUSTOMER" => Ok(Self::Customer),
            "OPERATOR" => Ok(Self::Operator),
            "AUDITOR" => Ok(Self::Auditor),
            "ANALYST" => Ok(Self::Analyst),
            "ADMIN" | "SUPER_ADMIN" => Ok(Self::Admin),
            other => Err(UnknownRole(other.chars().take(40).collect())),
        }
    }
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] =
        [Self::Customer, Self::Operator, Self::Auditor, Self::Analyst, Self::Admin];

    /// As tokens carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Operator => "OPERATOR",
            Self::Auditor => "AUDITOR",
            Self::Analyst => "ANALYST",
            Self::Admin => "ADMIN",
        }
    }

    /// What it allows.
    pub fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Customer => &[Permission::CreateOrder],
            Self::Operator => &[
                Permission::ManageCatalog,
                Permission::ManageInventory,
                Permission::ManageSeatmaps,
                Permission::ManageVehicles,
                Permission::Operate,
                Permission::CheckIn,
            ],
            Self::Auditor => &[Permission::ReadAudit],
            Self::Analyst => &[Permission::ReadAnalytics],
            Self::Admin => &Permission::ALL,
        }
    }

    /// Whether it allows that.
    pub fn may(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }
}

/// Who gets past a field or path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everybody, with or without a token.
    Anyone,
    /// Everybody with a token; objects are told by their owner.
    SignedIn,
    /// Whoever has one of these permissions.
    OneOf(&'static [Permission]),
}

/// To buy for oneself, or to act for a customer.
const OWN_OR_OPERATE: Rule = Rule::OneOf(&[Permission::CreateOrder, Permission::Operate]);

const fn one(permission: &'static [Permission]) -> Rule {
    Rule::OneOf(permission)
}

/// The rule of every field of the three root types of the schema.
pub const FIELDS: &[(&str, Rule)] = &[
    ("Query.node", Rule::Anyone),
    ("Query.me", Rule::Anyone),
    ("Query.items", Rule::Anyone),
    ("Query.item", Rule::Anyone),
    ("Query.availability", Rule::Anyone),
    ("Query.seatMap", Rule::Anyone),
    ("Query.reservation", Rule::SignedIn),
    ("Query.reservations", Rule::SignedIn),
    ("Query.payment", Rule::SignedIn),
    ("Query.ticket", Rule::SignedIn),
    ("Query.vehicle", Rule::SignedIn),
    ("Query.vehicles", Rule::SignedIn),
    ("Query.inspection", Rule::SignedIn),
    ("Query.notifications", Rule::SignedIn),
    ("Query.events", one(&[Permission::ReadAudit])),
    ("Query.reservationAsOf", one(&[Permission::ReadAudit])),
    ("Query.rejectedCommands", one(&[Permission::ReadAudit])),
    ("Query.deadLetters", one(&[Permission::ReadAudit])),
    ("Query.stockMovements", one(&[Permission::ReadAnalytics])),
    ("Query.projections", one(&[Permission::ReadAnalytics])),
    ("Mutation.lockSeats", one(&[Permission::CreateOrder])),
    ("Mutation.releaseSeatLock", OWN_OR_OPERATE),
    ("Mutation.createReservation", one(&[Permission::CreateOrder])),
    ("Mutation.extendHold", one(&[Permission::Operate])),
    ("Mutation.cancelReservation", OWN_OR_OPERATE),
    ("Mutation.startPayment", OWN_OR_OPERATE),
    ("Mutation.confirmPayment", OWN_OR_OPERATE),
    ("Mutation.refundPayment", one(&[Permission::Operate])),
    ("Mutation.unlockVehicle", OWN_OR_OPERATE),
    ("Mutation.lockVehicle", OWN_OR_OPERATE),
    ("Mutation.completeRental", OWN_OR_OPERATE),
    ("Mutation.submitInspection", OWN_OR_OPERATE),
    ("Mutation.decideDamageClaim", one(&[Permission::Operate])),
    ("Mutation.createItem", one(&[Permission::ManageCatalog])),
    ("Mutation.receiveStock", one(&[Permission::ManageInventory])),
    ("Mutation.adjustStock", one(&[Permission::ManageInventory])),
    ("Mutation.setSales", one(&[Permission::ManageInventory])),
    ("Mutation.publishSeatMap", one(&[Permission::ManageSeatmaps])),
    ("Mutation.blockSeats", one(&[Permission::ManageSeatmaps])),
    ("Mutation.unblockSeats", one(&[Permission::ManageSeatmaps])),
    ("Mutation.registerVehicle", one(&[Permission::ManageVehicles])),
    ("Mutation.setVehicleService", one(&[Permission::ManageVehicles])),
    ("Mutation.checkInTicket", one(&[Permission::CheckIn])),
    ("Mutation.redriveDeadLetter", one(&[Permission::Operate])),
    ("Subscription.seatChanged", Rule::Anyone),
    ("Subscription.availabilityChanged", Rule::Anyone),
    ("Subscription.reservationChanged", Rule::SignedIn),
    ("Subscription.vehicleChanged", Rule::SignedIn),
    ("Subscription.notificationAdded", Rule::SignedIn),
    ("Subscription.eventRecorded", one(&[Permission::ReadAudit])),
];

/// The rule of a root field (`Mutation.lockSeats`); none when it was forgotten, which refuses everybody.
pub(crate) fn of_field(name: &str) -> Option<Rule> {
    FIELDS.iter().find(|(field, _)| *field == name).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_admin_is_the_seeds_name_for_admin() {
        assert_eq!("SUPER_ADMIN".parse(), Ok(Role::Admin));
        assert_eq!("super_admin".parse::<Role>(), Err(UnknownRole("super_admin".into())));
    }

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
    }

    #[test]
    fn only_the_admin_makes_roles_and_only_who_sells_may_not_audit() {
        for role in Role::ALL {
            assert_eq!(role.may(Permission::ManageRoles), role == Role::Admin);
        }
        assert!(!Role::Auditor.may(Permission::Operate));
        assert!(!Role::Operator.may(Permission::ReadAudit));
        assert!(!Role::Analyst.may(Permission::ReadAudit));
    }
}
