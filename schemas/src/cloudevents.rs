//! The envelope in which events leave the house: CloudEvents 1.0, JSON, structured mode.
//!
//! ```text
//! {"specversion":"1.0","id":"018f…","source":"/holdfast/reservation",
//!  "type":"dev.holdfast.reservation.hold-created.v1","subject":"7b1c…","time":"2026-11-21T12:00:00.000000Z",
//!  "datacontenttype":"application/json","dataschema":"https://holdfast.dev/schemas/events/….schema.json",
//!  "sequence":"00000000000000000042","partitionkey":"ada","correlationid":"7b1c…","causationid":"…",
//!  "data":{…}}
//! ```
//!
//! **Order and partitions.** Consumers are promised order per subject, and S4 wants a customer's events
//! on one partition. Both hold when what belongs to one customer (reservations, payments, tickets,
//! notices, limits, inspections) is keyed by that user, and what is shared (pools, seat maps, items,
//! vehicles) by the aggregate: keying a seat map's events by their users would scatter one subject over partitions.
//! The user is told by the payload's `user_id` or the limit's name (`sku/user`), else by the first
//! event of the reservation that the event is about, which never changes; [`Stored::owner_needed`]
//! says which one has to be looked up. So the key of an event is the same whoever makes the envelope,
//! and whenever.
//!
//! **Seeds' names.** With `aliases=seeds` the same event is told again for each of its
//! [`crate::seed_topics`]: `type` carries the seed's name, the extension `topic` the seed's topic and
//! `holdfasttype` the usual type. `id` and `source` stay, for it is the same event: a consumer that reads
//! several topics and drops repeats by source and id sees it once, on whichever comes first.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Alias, DecodeError, Metadata};

/// A recorded event as every store has it.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'e> {
    /// Its id.
    pub id: Uuid,
    /// Its place in the log.
    pub position: u64,
    /// Its stream.
    pub stream: &'e str,
    /// Its stored name.
    pub kind: &'e str,
    /// The version of its shape.
    pub schema_version: u16,
    /// Its metadata, as stored.
    pub metadata: &'e [u8],
    /// Its payload, as stored.
    pub data: &'e [u8],
}

/// An event on its way out. Attributes in CloudEvents' own words.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "CloudEvents 1.0 names and explains its attributes")]
pub struct CloudEvent<'e> {
    pub specversion: &'static str,
    pub id: Uuid,
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: &'e str,
    pub time: String,
    pub datacontenttype: &'static str,
    pub dataschema: String,
    pub sequence: String,
    pub partitionkey: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The seed's topic, of an alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'static, str>>,
    /// The usual type, of an alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdfasttype: Option<String>,
    pub data: &'e RawValue,
}

/// Where a version of an event's payload is described; also the `$id` of that JSON Schema.
pub fn data_schema(kind: &str, version: u16) -> String {
    format!("https://holdfast.dev/schemas/events/{kind}.v{version}.schema.json")
}

/// The few fields of payloads that say whose an event is.
#[derive(serde::Deserialize)]
struct Whose<'e> {
    #[serde(borrow, default)]
    user_id: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    reservation_id: Option<Cow<'e, str>>,
}

impl<'e> Stored<'e> {
    fn split(&self) -> (&'e str, &'e str) {
        self.stream.split_once('-').unwrap_or((self.stream, ""))
    }

    fn whose(&self) -> Whose<'e> {
        let nobody = Whose { user_id: None, reservation_id: None };
        serde_json::from_slice(self.data).unwrap_or(nobody)
    }

    /// Whether its aggregate belongs to one customer.
    fn is_owned(&self) -> bool {
        const OWNED: [&str; 6] =
            ["reservation", "payment", "ticket", "notification", "limit", "inspection"];
        OWNED.contains(&self.split().0)
    }

    /// The user that the event itself names.
    fn own_user(&self) -> Option<Cow<'e, str>> {
        let (category, key) = self.split();
        let of_limit = || key.split_once('/').map(|(_, user)| Cow::Borrowed(user));
        if category == "limit" { of_limit() } else { self.whose().user_id }
    }

    /// The reservation whose owner is the event's user, when the event does not name one itself:
    /// look it up (the `user_id` of the first event of `reservation-{id}`) and give it to
    /// [`CloudEvent::of`].
    pub fn owner_needed(&self) -> Option<String> {
        if !self.is_owned() || self.own_user().is_some() {
            return None;
        }
        let (category, key) = self.split();
        if category == "reservation" {
            return Some(key.into());
        }
        if let Some(reservation) = self.whose().reservation_id {
            return Some(reservation.into_owned());
        }
        Metadata::decode(self.metadata).ok()?.correlation_id
    }
}

impl<'e> CloudEvent<'e> {
    /// The envelope of an event. `owner`: the user of the reservation that
    /// [`Stored::owner_needed`] names, if it names one.
    pub fn of(event: &Stored<'e>, owner: Option<&str>) -> Result<Self, DecodeError> {
        let Stored { id, position, kind, schema_version, .. } = *event;
        let (category, subject) = event.split();
        let metadata = Metadata::decode(event.metadata)?;
        let data = serde_json::from_slice(event.data).map_err(|error| DecodeError::Payload {
            kind: kind.into(),
            version: schema_version,
            error: error.to_string(),
        })?;
        let user = event.own_user().map(Cow::into_owned).or_else(|| owner.map(Into::into));
        let user = user.filter(|_| event.is_owned());
        Ok(Self {
            specversion: "1.0",
            id,
            source: format!("/holdfast/{category}"),
            kind: format!("dev.holdfast.{kind}.v{schema_version}"),
            subject,
            time: metadata.occurred_at.to_string(),
            datacontenttype: "application/json",
            dataschema: data_schema(kind, schema_version),
            sequence: format!("{position:020}"),
            partitionkey: user.unwrap_or_else(|| subject.into()),
            correlationid: metadata.correlation_id,
            causationid: metadata.causation_id,
            traceparent: metadata.traceparent,
            topic: None,
            holdfasttype: None,
            data,
        })
    }

    /// The same event under a seed's name.
    pub fn under(&self, alias: &Alias) -> Self {
        Self {
            kind: alias.name.clone().into_owned(),
            topic: Some(alias.topic.clone()),
            holdfasttype: Some(self.kind.clone()),
            ..self.clone()
        }
    }
}
