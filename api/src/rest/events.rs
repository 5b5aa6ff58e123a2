//! `/events`: the log for auditors, a line an event, or as server-sent events that follow it live.
//!
//! ```text
//!   GET /events?stream=reservation-…&from=12          history up to now, from position 12 (inclusive)
//!   GET /events?follow=true                           history, then whatever comes
//!   Accept: text/event-stream   Last-Event-ID: 41     live, from position 42 on
//!   &format=cloudevents[&aliases=seeds]               CloudEvents 1.0; also under the diagrams' names
//! ```
//!
//! Nothing is kept for a reader: it reads the log at its own pace, a page at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream;
use holdfast_domain::{Decider, reservation};
use holdfast_schemas::{CloudEvent, Stored, seed_topics};
use holdfast_store::{
    Direction, EventStore, Filter, Position, ReadError, RecordedEvent, StreamId, Subscription,
};
use serde::Deserialize;

use crate::door::Door;
use crate::event::EventView;
use crate::graphql::read_position;
use crate::names;
use crate::no::No;
use crate::serve::Stopping;
use crate::socket;
use crate::who::Who;

/// How long a live reader hears nothing before it is told that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Owners that one reader remembers, for the partition key of envelopes.
const OWNERS: usize = 10_000;

/// What can be asked of `/events`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    stream: Option<String>,
    from: Option<String>,
    to: Option<String>,
    follow: Option<String>,
    types: Option<String>,
    correlation_id: Option<String>,
    limit: Option<usize>,
    format: Option<String>,
    aliases: Option<String>,
}

/// The same, understood.
struct Plan {
    filter: Filter,
    kinds: Option<Vec<String>>,
    correlation: Option<String>,
    from: Position,
    /// The last position; none when the log is followed.
    until: Option<Position>,
    left: Option<usize>,
    format: Format,
    sse: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines,
    CloudEvents { seeds: bool },
}

fn plan(wish: Wish, headers: &HeaderMap, head: Position) -> Result<Plan, No> {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let sse = accept.contains("text/event-stream");
    let position = |text: &str, what: &str| {
        read_position(text).ok_or_else(|| No::malformed(format!("{what} is a decimal number")))
    };
    let last_seen = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let from = match (last_seen.filter(|_| sse), &wish.from) {
        (Some(seen), _) => position(seen, "Last-Event-ID")?.next(),
        (None, Some(from)) => position(from, "from")?,
        (None, None) => Position::FIRST,
    };
    let to = wish.to.as_deref().map(|to| position(to, "to")).transpose()?;
    let follow = match wish.follow.as_deref() {
        None => sse,
        Some("true" | "1" | "") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(No::malformed("follow is true or false")),
    };
    let seeds = match wish.aliases.as_deref() {
        None => false,
        Some("seeds") => true,
        Some(_) => return Err(No::malformed("aliases is seeds")),
    };
    let format = match wish.format.as_deref() {
        None | Some("jsonl" | "ndjson") if seeds => {
            return Err(No::malformed("aliases go with format=cloudevents"));
        }
        None | Some("jsonl" | "ndjson") => Format::Lines,
        Some("cloudevents") => Format::CloudEvents { seeds },
        Some(_) => return Err(No::malformed("format is jsonl or cloudevents")),
    };
    let kinds: Option<Vec<String>> =
        wish.types.map(|types| types.split(',').map(|kind| kind.trim().to_owned()).collect());
    let filter = match (&wish.stream, &kinds) {
        (Some(stream), _) => Filter::Stream(StreamId::new(names::read_stream(stream)?)),
        (None, Some(kinds)) => Filter::Kinds(kinds.clone()),
        (None, None) => Filter::All,
    };
    Ok(Plan {
        filter,
        kinds,
        correlation: wish.correlation_id.map(|id| names::read_correlation(&id)),
        from,
        until: if follow { to } else { Some(to.map_or(head, |to| to.min(head))) },
        left: wish.limit,
        format,
        sse,
    })
}

/// `GET /events`. READ_AUDIT.
pub(crate) async fn get(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    stopping: Option<Extension<Stopping>>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response {
    let plan = match plan(wish, &headers, door.engine.store().head()) {
        Ok(plan) => plan,
        Err(no) => return no.into_response(),
    };
    let kind = match (plan.sse, plan.format) {
        (true, _) => "text/event-stream",
        (false, Format::Lines) => "application/x-ndjson",
        (false, Format::CloudEvents { .. }) => "application/x-ndjson; profile=cloudevents",
    };
    let stopping = stopping.map(|Extension(stopping)| stopping);
    let body = Body::from_stream(lines(door, who, plan, stopping));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

struct Reader {
    store: Arc<dyn EventStore>,
    log: Subscription,
    plan: Plan,
    ready: VecDeque<Bytes>,
    owners: HashMap<String, Option<String>>,
    done: bool,
    /// Why there is no more, to be told behind what came.
    failed: Option<ReadError>,
}

/// The answer's body: a page of the log at a time, as fast as it is taken. A log that cannot be read on
/// breaks the body off, so that nobody takes what came for all there is.
fn lines(
    door: Arc<Door>,
    who: Who,
    plan: Plan,
    stopping: Option<Stopping>,
) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
    let store = door.engine.store().clone();
    let log = Subscription::new(store.clone(), plan.from, plan.filter.clone());
    let done = plan.until.is_some_and(|until| until < plan.from) || plan.left == Some(0);
    let reader = Reader {
        store,
        log,
        plan,
        ready: VecDeque::new(),
        owners: HashMap::new(),
        done,
        failed: None,
    };
    stream::unfold(reader, move |mut reader| {
        let (door, who, stopping) = (door.clone(), who.clone(), stopping.clone());
        async move {
            loop {
                if let Some(line) = reader.ready.pop_front() {
                    return Some((Ok(line), reader));
                }
                if reader.done {
                    return reader.failed.take().map(|error| (Err(error), reader));
                }
                tokio::select! {
                    () = reader.more() => {}
                    () = tokio::time::sleep(HEARTBEAT), if reader.plan.sse => {
                        reader.ready.push_back(Bytes::from_static(b": still here\n\n"));
                    }
                    () = socket::stopped(stopping.clone()) => return None,
                    () = socket::token_over(&door, &who) => return None,
                }
            }
        }
    })
}

impl Reader {
    /// Reads the next page, waiting for one when the log is followed.
    async fn more(&mut self) {
        let (events, seen) = match self.log.next_page().await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a reader of /events is cut off");
                (self.done, self.failed) = (true, Some(error));
                return;
            }
        };
        for event in events {
            let position = event.position;
            if self.plan.until.is_some_and(|until| position > until) {
                self.done = true;
                return;
            }
            if let Err(error) = self.tell(&event).await {
                tracing::error!(position = position.0, %error, "an event cannot be shown");
            }
            if self.plan.left == Some(0) {
                self.done = true;
                return;
            }
        }
        self.done |= self.plan.until.is_some_and(|until| seen >= until);
    }

    async fn tell(&mut self, event: &RecordedEvent) -> Result<(), holdfast_schemas::DecodeError> {
        let view = EventView::of(event)?;
        let plan = &mut self.plan;
        let wanted = plan.kinds.as_ref().is_none_or(|kinds| kinds.contains(&view.kind))
            && plan.correlation.as_ref().is_none_or(|id| view.correlation_id.as_ref() == Some(id));
        if !wanted {
            return Ok(());
        }
        let texts = match plan.format {
            Format::Lines => vec![view.line()],
            Format::CloudEvents { seeds } => self.envelopes(event, seeds).await?,
        };
        for text in texts {
            let line = if self.plan.sse {
                format!("id: {}\nevent: {}\ndata: {text}\n\n", event.position, event.kind)
            } else {
                format!("{text}\n")
            };
            self.ready.push_back(line.into());
        }
        self.plan.left = self.plan.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    /// The event's envelope, and once more for each name that the diagrams give it.
    async fn envelopes(
        &mut self,
        event: &RecordedEvent,
        seeds: bool,
    ) -> Result<Vec<String>, holdfast_schemas::DecodeError> {
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
            Some(reservation) => self.owner(reservation).await,
            None => None,
        };
        let envelope = CloudEvent::of(&stored, owner.as_deref())?;
        let mut envelopes = vec![envelope.clone()];
        if seeds {
            let data = serde_json::from_slice(&event.data).unwrap_or_default();
            let aliases = seed_topics(event.stream.as_str(), &event.kind, &data);
            envelopes.extend(aliases.iter().map(|alias| envelope.under(alias)));
        }
        Ok(envelopes
            .iter()
            .map(|envelope| serde_json::to_string(envelope).expect("an envelope makes JSON"))
            .collect())
    }

    /// Whose a reservation is: its first event says so, and that never changes.
    async fn owner(&mut self, reservation: String) -> Option<String> {
        if let Some(known) = self.owners.get(&reservation) {
            return known.clone();
        }
        let stream = StreamId::new(format!("{}-{reservation}", reservation::State::CATEGORY));
        let first = self.store.read_stream(&stream, 0, Direction::Forward, 1).await.ok()?;
        let data = first.first().map(|event| event.data.clone())?;
        let data: serde_json::Value = serde_json::from_slice(&data).ok()?;
        let owner = data["user_id"].as_str().map(str::to_owned);
        if self.owners.len() >= OWNERS {
            self.owners.clear();
        }
        self.owners.insert(reservation, owner.clone());
        owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn planned(wish: Wish, headers: &[(&'static str, &'static str)]) -> Result<Plan, No> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        plan(wish, &map, Position(40))
    }

    #[test]
    fn history_ends_at_the_head_and_followers_do_not_end() {
        let history = planned(Wish::default(), &[]).expect("a plan");
        assert_eq!((history.from, history.until), (Position(1), Some(Position(40))));
        let wish = Wish { follow: Some("true".into()), ..Wish::default() };
        assert_eq!(planned(wish, &[]).expect("a plan").until, None);
        let sse = planned(Wish::default(), &[("accept", "text/event-stream")]).expect("a plan");
        assert_eq!(sse.until, None);
    }

    #[test]
    fn a_live_reader_goes_on_behind_the_last_event_that_it_saw() {
        let headers = [("accept", "text/event-stream"), ("last-event-id", "41")];
        assert_eq!(planned(Wish::default(), &headers).expect("a plan").from, Position(42));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for wish in [
            Wish { from: Some("x".into()), ..Wish::default() },
            Wish { format: Some("xml".into()), ..Wish::default() },
            Wish { follow: Some("maybe".into()), ..Wish::default() },
            Wish { aliases: Some("seeds".into()), ..Wish::default() },
            Wish {
                aliases: Some("all".into()),
                format: Some("cloudevents".into()),
                ..Wish::default()
            },
        ] {
            assert!(planned(wish, &[]).is_err());
        }
    }
}
