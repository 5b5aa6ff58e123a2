//! `/ws/seats/{seatMapId}`: a hall, live. First every seat's status, then every change behind it.
//!
//! ```text
//!   ► {"type":"SNAPSHOT","seatMapId":"hall","seats":{"A-1-1":"FREE",…},"position":"41"}
//!   ► {"type":"SEAT_LOCKED","seatMapId":"hall","seatIds":["A-1-1"],"expiresAt":"…","position":"42"}
//! ```
//!
//! The snapshot's position and the changes meet without gap or repeat (see [`crate::feed`]). Nobody's
//! name is ever sent. What the client says is not listened to. A client that reads too slowly is closed
//! with 1013: it opens again and gets a new snapshot, which is cheaper for everybody than a backlog.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use holdfast_domain::{SeatMapId, seatmap};
use holdfast_store::Position;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::door::{Door, trouble};
use crate::no::No;
use crate::seats::What;
use crate::serve::Stopping;
use crate::socket::{self, frame};

/// How often an idle connection is asked whether it still lives.
const PING: Duration = Duration::from_secs(30);

/// `GET /ws/seats/{seatMapId}`. No token is needed.
pub(crate) async fn upgrade(
    State(door): State<Arc<Door>>,
    Path(map): Path<String>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let admitted =
        known(&door, &map).await.and_then(|map| Ok((map, socket::admit(&door, &headers)?)));
    let (map, permit) = match admitted {
        Ok(admitted) => admitted,
        Err(no) => return no.into_response(),
    };
    let (most, take) = (door.config.limits.ws_message_bytes, door.config.limits.ws_take);
    let stopping = stopping.map(|Extension(stopping)| stopping);
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    upgrade.on_upgrade(move |mut socket| async move {
        metrics::gauge!("holdfast_seat_pages").increment(1.0);
        let close = Page { door, map }.show(&mut socket, stopping).await;
        metrics::gauge!("holdfast_seat_pages").decrement(1.0);
        socket::close(&mut socket, close, take).await;
        drop(permit);
    })
}

/// The map, if there is one of this name: in the rows, or published a moment ago.
async fn known(door: &Door, map: &str) -> Result<SeatMapId, No> {
    let map = SeatMapId::new(map).map_err(|_| No::absent("seat map"))?;
    if door.reads.seat_map(&map).await.map_err(trouble)?.is_some() {
        return Ok(map);
    }
    let loaded = door.engine.load::<seatmap::State>(&map).await?;
    loaded.version.map(|_| map).ok_or_else(|| No::absent("seat map"))
}

struct Page {
    door: Arc<Door>,
    map: SeatMapId,
}

impl Page {
    /// Shows the hall until one of the two has enough.
    async fn show(&self, socket: &mut WebSocket, stopping: Option<Stopping>) -> Option<CloseFrame> {
        let (mut changes, gone_by) = self.door.feed.join();
        let mut shown = match self.snapshot(socket, gone_by).await {
            Ok(shown) => shown,
            Err(close) => return close,
        };
        let stopped = socket::stopped(stopping);
        tokio::pin!(stopped);
        let mut ping = tokio::time::interval(PING);
        ping.tick().await;
        loop {
            tokio::select! {
                () = &mut stopped => return Some(frame(1001, "the server stops")),
                _ = ping.tick() => {
                    if let Err(close) = self.send(socket, Message::Ping(Default::default())).await {
                        return close;
                    }
                }
                batch = changes.recv() => {
                    let batch = match batch {
                        Ok(batch) if batch.is_empty() => return Some(frame(1012, "the log has stopped")),
                        Ok(batch) => batch,
                        Err(RecvError::Lagged(_)) => return Some(frame(1013, "too slow: open again")),
                        Err(RecvError::Closed) => return Some(frame(1012, "the log has stopped")),
                    };
                    for fact in batch.iter() {
                        let Some(change) = &fact.seats else { continue };
                        if change.seat_map_id != self.map || fact.event.position <= shown {
                            continue;
                        }
                        let sent = match &change.what {
                            What::Seats { message, .. } => {
                                self.send(socket, Message::Text(message.clone())).await
                            }
                            What::Plan => match self.snapshot(socket, fact.event.position).await {
                                Ok(position) => { shown = position; Ok(()) }
                                Err(close) => Err(close),
                            },
                        };
                        if let Err(close) = sent { return close; }
                    }
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    /// Sends every seat's status, as it was at `least` or later; the position at which it was so.
    async fn snapshot(
        &self,
        socket: &mut WebSocket,
        least: Position,
    ) -> Result<Position, Option<CloseFrame>> {
        let later = || Some(frame(1013, "the seats cannot be shown yet: open again"));
        self.door.seen(Some(least)).await.map_err(|_| later())?;
        let snapshot = self.door.reads.seat_snapshot(&self.map).await;
        let snapshot = snapshot.map_err(|failed| {
            let _ = trouble(failed); // logged there
            Some(frame(1011, "something is wrong here"))
        })?;
        let snapshot = snapshot.ok_or_else(later)?;
        let seats: Map<String, Value> = snapshot
            .seats
            .iter()
            .map(|(seat, status)| (seat.to_string(), status.as_str().into()))
            .collect();
        let message = json!({
            "type": "SNAPSHOT",
            "seatMapId": self.map,
            "seats": seats,
            "position": snapshot.as_of.to_string(),
        });
        self.send(socket, Message::Text(message.to_string().into())).await?;
        Ok(snapshot.as_of)
    }

    async fn send(
        &self,
        socket: &mut WebSocket,
        message: Message,
    ) -> Result<(), Option<CloseFrame>> {
        let take = self.door.config.limits.ws_take;
        match tokio::time::timeout(take, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(frame(1013, "too slow: open again"))),
        }
    }
}
