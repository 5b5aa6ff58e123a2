//! `holdfast replay`: the log, told in order.
//!
//! ```text
//!   12  2026-11-21T12:40:26.000001Z  reservation-5f…#2  reservation.confirmed  by system:booking
//!       correlation 5f…  caused by 9a…
//!       {"payment_id":"…","attempt":1,…}
//! ```
//!
//! Events that are not Holdfast's are told as they are ([`crate::foreign`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use holdfast_api::EventView;
use holdfast_domain::Timestamp;
use holdfast_schemas::{CloudEvent, Stored};
use holdfast_store::embedded::Reader;
use holdfast_store::{
    Direction, EventStore as _, Filter, Position, RecordedEvent, StreamId, Subscription,
};

use crate::config::Config;
use crate::foreign;

/// How many events are read at once.
const BATCH: usize = 1_024;
/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// One stream: reservation-…, payment-…, seatmap-hall, inventory-mug, … (or an id as the API shows
    /// it: res_…, pay_…, tkt_…)
    stream: Option<String>,
    /// Begin with this position
    #[arg(long, value_name = "P", default_value_t = 1)]
    from: u64,
    /// End with this position, or with the last event of this moment (RFC 3339)
    #[arg(long, value_name = "P|TIME", value_parser = as_of, conflicts_with = "follow")]
    as_of: Option<AsOf>,
    /// Go on with what comes
    #[arg(long)]
    follow: bool,
    /// How events are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One event a line, as GET /events prints it
    Jsonl,
    /// One CloudEvent a line, as message buses get it
    Cloudevents,
}

/// Where the telling ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AsOf {
    Position(Position),
    Moment(Timestamp),
}

fn as_of(text: &str) -> Result<AsOf, String> {
    if let Ok(position) = text.parse() {
        return Ok(AsOf::Position(Position(position)));
    }
    text.parse().map(AsOf::Moment).map_err(|_| {
        format!("must be a position, or a moment such as 2026-11-21T12:00:00Z, not {text:?}")
    })
}

impl AsOf {
    fn takes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Position(last) => event.position <= last,
            Self::Moment(last) => event.recorded_at_micros <= last.micros(),
        }
    }
}

/// A stream's name; ids with their prefix are taken for what they name.
fn stream_named(text: &str) -> StreamId {
    let prefixes = [("res_", "reservation-"), ("pay_", "payment-"), ("tkt_", "ticket-")];
    for (prefix, category) in prefixes {
        if let Some(id) = text.strip_prefix(prefix) {
            return StreamId::new(format!("{category}{id}"));
        }
    }
    StreamId::new(text)
}

pub(super) async fn run(config: &Config, args: ReplayArgs) -> anyhow::Result<()> {
    let directory = super::log_directory(config)?;
    let opened = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || Reader::open(directory)
    });
    let reader = opened.await?.with_context(|| format!("the log in {}", directory.display()))?;
    let reader = Arc::new(reader);
    let filter = match &args.stream {
        Some(stream) => Filter::Stream(stream_named(stream)),
        None => Filter::All,
    };
    let mut teller = Teller { reader: reader.clone(), format: args.format, owners: HashMap::new() };
    let mut next = Position(args.from.max(1));
    let mut any = false;
    'pages: loop {
        let page = reader.read_all(next, &filter, BATCH).await?;
        let mut text = String::new();
        for event in &page.events {
            if args.as_of.is_some_and(|end| !end.takes(event)) {
                super::print(&text)?;
                break 'pages;
            }
            any = true;
            teller.tell(event, &mut text).await?;
        }
        super::print(&text)?;
        if page.next <= next || page.next > reader.head() {
            next = page.next;
            break;
        }
        next = page.next;
    }
    if let (Some(stream), false, false) = (&args.stream, any, args.follow) {
        tracing::warn!("stream {stream} has no such events");
    }
    if !args.follow {
        return Ok(());
    }
    let mut subscription = Subscription::new(reader.clone(), next, filter);
    let following = reader.follow(LOOK);
    let telling = async {
        loop {
            let mut text = String::new();
            for event in subscription.next().await? {
                teller.tell(&event, &mut text).await?;
            }
            super::print(&text)?;
        }
    };
    tokio::select! {
        error = following => Err(error.into()),
        told = telling => told,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Writes events down in one format.
struct Teller {
    reader: Arc<Reader>,
    format: Format,
    /// Whose each reservation is, for the partition of its events.
    owners: HashMap<String, Option<String>>,
}

/// How many owners are remembered.
const OWNERS: usize = 100_000;

impl Teller {
    async fn tell(&mut self, event: &RecordedEvent, out: &mut String) -> anyhow::Result<()> {
        let is_foreign = foreign::is_foreign(event);
        match self.format {
            Format::Jsonl if is_foreign => out.push_str(&foreign::line(event)),
            Format::Cloudevents if is_foreign => out.push_str(&foreign::envelope(event)),
            Format::Text if is_foreign => foreign::text(event, out),
            Format::Jsonl => out.push_str(&EventView::of(event)?.line()),
            Format::Cloudevents => out.push_str(&self.envelope(event).await?),
            Format::Text => text(&EventView::of(event)?, out),
        }
        out.push('\n');
        Ok(())
    }

    async fn envelope(&mut self, event: &RecordedEvent) -> anyhow::Result<String> {
        let stored = Stored {
            id: event.id,
            position: event.position.0,
            stream: event.stream.as_str(),
            kind: &event.kind,
            schema_version: event.schema_version,
            metadata: &event.metadata,
            data: &event.data,
        };
        let owner = match stored.owner_needed() {
            Some(reservation) => self.owner(reservation).await?,
            None => None,
        };
        Ok(serde_json::to_string(&CloudEvent::of(&stored, owner.as_deref())?)?)
    }

    /// Whose a reservation is: its first event says so, and that never changes.
    async fn owner(&mut self, reservation: String) -> anyhow::Result<Option<String>> {
        if let Some(known) = self.owners.get(&reservation) {
            return Ok(known.clone());
        }
        let stream = StreamId::new(format!("reservation-{reservation}"));
        let first = self.reader.read_stream(&stream, 0, Direction::Forward, 1).await?;
        let data: serde_json::Value = match first.first() {
            Some(first) => serde_json::from_slice(&first.data)?,
            None => serde_json::Value::Null,
        };
        let owner = data["user_id"].as_str().map(str::to_owned);
        if self.owners.len() >= OWNERS {
            self.owners.clear();
        }
        self.owners.insert(reservation, owner.clone());
        Ok(owner)
    }
}

/// For people: what, when, who and why on the first lines, the payload below.
fn text(view: &EventView, out: &mut String) {
    use std::fmt::Write as _;
    let _ = write!(
        out,
        "{}  {}  {}#{}  {}  by {}",
        view.position, view.recorded_at, view.stream, view.stream_version, view.kind, view.actor
    );
    if view.correlation_id.is_some() || view.causation_id.is_some() {
        out.push_str("\n   ");
    }
    if let Some(correlation) = &view.correlation_id {
        let _ = write!(out, " correlation {correlation}");
    }
    if let Some(cause) = &view.causation_id {
        let _ = write!(out, " caused by {cause}");
    }
    let _ = write!(out, "\n    {}", view.data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_position_or_a_moment() {
        assert_eq!(as_of("12"), Ok(AsOf::Position(Position(12))));
        let noon = "2026-11-21T12:00:00Z".parse().expect("a moment");
        assert_eq!(as_of("2026-11-21T13:00:00+01:00"), Ok(AsOf::Moment(noon)));
        assert!(as_of("noon").is_err());
    }

    #[test]
    fn ids_may_come_as_the_api_shows_them() {
        assert_eq!(stream_named("res_5f").as_str(), "reservation-5f");
        assert_eq!(stream_named("seatmap-hall").as_str(), "seatmap-hall");
    }
}
