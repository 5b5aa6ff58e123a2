//! Payments.

use async_graphql::{Enum, ID, SimpleObject};
use holdfast_domain::payment::{self, Status};

use super::common::Money;
use crate::names;
use crate::view::PaymentView;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum PaymentStatus {
    Pending,
    RequiresAction,
    Authorized,
    Succeeded,
    Failed,
    VoidRequested,
    Voided,
    RefundPending,
    PartiallyRefunded,
    Refunded,
    Disputed,
}

impl From<Status> for PaymentStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::None | Status::Pending => Self::Pending,
            Status::RequiresAction => Self::RequiresAction,
            Status::Authorized | Status::CaptureRequested => Self::Authorized,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::VoidRequested => Self::VoidRequested,
            Status::Voided => Self::Voided,
            Status::RefundPending => Self::RefundPending,
            Status::PartiallyRefunded => Self::PartiallyRefunded,
            Status::Refunded => Self::Refunded,
            Status::Disputed => Self::Disputed,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payment::Kind")]
pub(crate) enum PaymentKind {
    Reservation,
    DamageCharge,
    Extra,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Payment {
    #[graphql(owned)]
    pub(crate) id: ID,
    kind: PaymentKind,
    status: PaymentStatus,
    version: u32,
    amount: Money,
    captured: Money,
    refunded: Money,
    gateway: String,
    approval_code: Option<String>,
    attempt: u16,
}

impl From<PaymentView> for Payment {
    fn from(view: PaymentView) -> Self {
        Self {
            id: names::payment(&view.id).into(),
            kind: view.kind.into(),
            status: view.status.into(),
            version: view.version,
            amount: view.amount.into(),
            captured: view.captured.into(),
            refunded: view.refunded.into(),
            gateway: view.gateway,
            approval_code: view.approval_code,
            attempt: view.attempt,
        }
    }
}

/// The client must do something: follow a redirect to a hosted page, or pass a challenge.
#[derive(SimpleObject, Clone)]
pub(crate) struct NextAction {
    pub(crate) kind: String,
    pub(crate) url: Option<String>,
}
