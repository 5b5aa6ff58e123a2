//! Notices to the user who reads them.

use async_graphql::{Enum, ID, SimpleObject};
use holdfast_domain::notification::Channel;
use holdfast_projections::NotificationRow;

use super::scalars::DateTime;
use crate::names;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Channel")]
pub(crate) enum NotificationChannel {
    Email,
    Push,
    InApp,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Notification {
    #[graphql(owned)]
    pub(crate) id: ID,
    channel: NotificationChannel,
    subject: String,
    body: String,
    created_at: DateTime,
    read_at: Option<DateTime>,
}

impl From<NotificationRow> for Notification {
    fn from(row: NotificationRow) -> Self {
        Self {
            id: names::notification(&row.id).into(),
            channel: row.channel.into(),
            subject: row.subject().into(),
            body: row.body(),
            created_at: row.created_at.into(),
            read_at: row.read_at.map(DateTime),
        }
    }
}
