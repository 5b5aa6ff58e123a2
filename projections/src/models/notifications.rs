//! Notices: the in-app inbox. The words are made here, when a notice is read.

use holdfast_domain::notification::{About, Channel, Event};
use holdfast_domain::{Money, NotificationId, ReservationId, Timestamp, UserId};
use holdfast_store::Position;

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Value};
use crate::{Page, PageRequest, QueryError, ReadModels};

/// A notice to one person.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationRow {
    /// Its name.
    pub id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// Over what.
    pub channel: Channel,
    /// About what.
    pub about: About,
    /// About which reservation.
    pub reservation_id: ReservationId,
    /// How much money it is about, if any.
    pub amount: Option<Money>,
    /// When it was asked for; in-app notices have arrived then.
    pub created_at: Timestamp,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// The event that changed it last; also its place in the inbox.
    pub position: Position,
}

impl NotificationRow {
    /// What stands above it.
    pub fn subject(&self) -> &'static str {
        match self.about {
            About::Confirmed => "Your booking is confirmed",
            About::PaymentFailed => "Your payment was declined",
            About::HoldExpired => "Your reservation has expired",
            About::Cancelled => "Your booking was cancelled",
            About::LatePaymentAccepted => "Your late payment was accepted",
            About::LatePaymentRejected => "Your payment came too late",
            About::LateUnlock => "Your vehicle is unlocked",
            About::NoShow => "Your rental is over",
            About::DamageAssessed => "A damage was reported",
            About::DamageCharged => "A damage was charged",
        }
    }

    /// What stands in it.
    pub fn body(&self) -> String {
        let booking = format!("res_{}", self.reservation_id);
        let amount = self.amount.map(|amount| amount.to_string());
        let paid = amount.as_deref().unwrap_or("the amount due");
        let back = amount.as_deref().unwrap_or("what you paid");
        let estimate = amount.as_deref().unwrap_or("not estimated yet");
        match self.about {
            About::Confirmed => format!("Booking {booking} is paid ({paid}) and yours."),
            About::PaymentFailed => {
                format!("The payment for booking {booking} was declined. You were not charged.")
            }
            About::HoldExpired => format!(
                "Booking {booking} was not paid in time, so what it held is free again. \
                 You were not charged."
            ),
            About::Cancelled => {
                format!(
                    "Booking {booking} was cancelled. If you had paid, {back} goes back to you."
                )
            }
            About::LatePaymentAccepted => format!(
                "Your payment for booking {booking} came after the deadline, but everything was \
                 still free: the booking is confirmed."
            ),
            About::LatePaymentRejected => format!(
                "Your payment for booking {booking} came after the deadline, and not everything \
                 was free any more. {back} goes back to you."
            ),
            About::LateUnlock => format!(
                "The vehicle of booking {booking} answered late: it is unlocked now, and your \
                 rental has started."
            ),
            About::NoShow => format!(
                "The time of booking {booking} has passed and its vehicle was not used. The \
                 booking is over; {paid} is due for it."
            ),
            About::DamageAssessed => format!(
                "After your rental {booking} a damage was reported ({estimate}). You will hear \
                 before long what becomes of it."
            ),
            About::DamageCharged => format!(
                "For the damage that was reported after your rental {booking}, {paid} was charged."
            ),
        }
    }
}

pub(crate) const NOTIFICATIONS: Table = Table {
    name: "notifications",
    about: "Notices to customers; the words are made when one is read.",
    columns: &[
        Column::text("id"),
        Column::text("user_id"),
        Column::text("channel"),
        Column::text("about"),
        Column::text("reservation_id"),
        Column::int("amount_minor").or_null(),
        Column::text("currency").or_null(),
        Column::time("created_at"),
        Column::time("read_at").or_null(),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[Index {
        name: "notifications_by_user",
        columns: &["user_id", "position"],
        early: false,
    }],
};

impl Stored for NotificationRow {
    const TABLE: &'static Table = &NOTIFICATIONS;
    const KEPT: bool = false;
    type Key = NotificationId;

    fn key(&self) -> NotificationId {
        self.id
    }

    fn key_values(id: &NotificationId) -> Vec<Value> {
        vec![Value::show(id)]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            Value::show(self.id),
            self.user_id.as_str().into(),
            Value::word(&self.channel),
            Value::word(&self.about),
            Value::show(self.reservation_id),
            self.amount.map(|amount| amount.amount_minor).into(),
            self.amount.map(|amount| amount.currency.code()).into(),
            self.created_at.into(),
            self.read_at.into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            user_id: row.parse()?,
            channel: row.word()?,
            about: row.word()?,
            reservation_id: row.parse()?,
            amount: row.opt_money()?,
            created_at: row.time()?,
            read_at: row.opt_time()?,
            position: row.position()?,
        })
    }
}

/// How events change it.
pub(crate) struct Notifications {
    pub(crate) rows: Kept<NotificationRow>,
}

impl Notifications {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    pub(crate) fn apply(
        &mut self,
        id: NotificationId,
        event: &Event,
        at: Timestamp,
        position: Position,
    ) {
        match event {
            Event::Requested { user_id, channel, about, reservation_id, amount } => {
                self.rows.put(NotificationRow {
                    id,
                    user_id: user_id.clone(),
                    channel: *channel,
                    about: *about,
                    reservation_id: *reservation_id,
                    amount: *amount,
                    created_at: at,
                    read_at: None,
                    position,
                });
            }
        }
    }
}

impl ReadModels {
    /// A user's notices, newest first.
    pub async fn notifications(
        &self,
        user: &UserId,
        page: &PageRequest,
    ) -> Result<Page<NotificationRow>, QueryError> {
        let mut sql = format!("{} WHERE user_id = ?", NOTIFICATIONS.select());
        let mut values: Vec<Value> = vec![user.as_str().into()];
        if let Some(after) = page.after_number()? {
            sql.push_str(" AND position < ?");
            values.push(after.into());
        }
        sql.push_str(" ORDER BY position DESC LIMIT ?");
        values.push(page.limit().into());
        let rows: Vec<NotificationRow> = self.many(&sql, values).await?;
        Ok(Page::of(rows.into_iter().map(|row| (row.position.to_string(), row)).collect(), page))
    }
}
