//! Subscriptions: the protocol `graphql-transport-ws`, with its closing codes.
//!
//! ```text
//!   client                         server
//!   connection_init {token} ────►
//!                           ◄──── connection_ack          4403 bad token · 4408 none within 10 s
//!   subscribe {id, query}   ────►                         4401 before the ack · 4409 id in use
//!                           ◄──── next {id} … complete {id}
//!   complete {id}           ────►
//! ```
//!
//! The library's own server closes a refused `connection_init` with 1002; the protocol wants 4403.
//! Each subscription is a task that waits while the client does not read, and catches up from the log
//! afterwards: nothing piles up here.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Request;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::common::{Highest, Traceparent};
use super::{GraphQl, http};
use crate::door::Door;
use crate::no::{Code, No};
use crate::problem::REQUEST_ID;
use crate::serve::Stopping;
use crate::socket;
use crate::who::Who;

const PROTOCOL: &str = "graphql-transport-ws";
/// Answers that wait for the client to read.
const WAITING: usize = 16;

/// `GET /graphql/ws`.
pub(crate) async fn upgrade(
    State(graphql): State<GraphQl>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let permit = match socket::admit(&graphql.door, &headers) {
        Ok(permit) => permit,
        Err(no) => return no.into_response(),
    };
    let limits = &graphql.door.config.limits;
    let (most, take) = (limits.ws_message_bytes, limits.ws_take);
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(most).max_frame_size(most);
    let spoken = upgrade.selected_protocol().is_some();
    let stopping = stopping.map(|Extension(stopping)| stopping);
    upgrade.on_upgrade(move |mut socket| async move {
        let close = if spoken {
            Talk::new(graphql).run(&mut socket, stopping).await
        } else {
            Some(frame(4406, "the subprotocol is graphql-transport-ws"))
        };
        socket::close(&mut socket, close, take).await;
        drop(permit);
    })
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Incoming {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Value>,
    },
    Subscribe {
        id: String,
        payload: Value,
    },
    Complete {
        id: String,
    },
    Ping {
        #[serde(default)]
        #[expect(dead_code, reason = "read so that it may be there")]
        payload: Option<Value>,
    },
    Pong {
        #[serde(default)]
        #[expect(dead_code, reason = "read so that it may be there")]
        payload: Option<Value>,
    },
}

/// One connection.
struct Talk {
    graphql: GraphQl,
    who: Who,
    running: HashMap<String, AbortHandle>,
    tasks: JoinSet<String>,
    out: mpsc::Sender<String>,
    ready: mpsc::Receiver<String>,
}

impl Talk {
    fn new(graphql: GraphQl) -> Self {
        let (out, ready) = mpsc::channel(WAITING);
        let (running, tasks) = (HashMap::new(), JoinSet::new());
        Self { graphql, who: Who::Anonymous, running, tasks, out, ready }
    }

    fn door(&self) -> &Arc<Door> {
        &self.graphql.door
    }

    /// Talks until one of the two has enough; then the frame to close with, if the client still listens.
    async fn run(
        mut self,
        socket: &mut WebSocket,
        stopping: Option<Stopping>,
    ) -> Option<CloseFrame> {
        let limits = &self.door().config.limits;
        let (init, take) = (limits.ws_init, limits.ws_take);
        match tokio::time::timeout(init, self.initialise(socket)).await {
            Ok(Ok(())) => {}
            Ok(Err(close)) => return close,
            Err(_) => return Some(frame(4408, "connection_init did not come in time")),
        }
        let stopped = socket::stopped(stopping);
        let (door, who) = (self.door().clone(), self.who.clone());
        let over = socket::token_over(&door, &who);
        tokio::pin!(stopped, over);
        loop {
            tokio::select! {
                () = &mut stopped => return Some(frame(1001, "the server stops")),
                () = &mut over => return Some(frame(4403, "the token has expired")),
                Some(text) = self.ready.recv() => {
                    let sent = socket.send(Message::Text(text.into()));
                    if !matches!(tokio::time::timeout(take, sent).await, Ok(Ok(()))) {
                        return Some(frame(1013, "too slow"));
                    }
                }
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(id) = ended { self.running.remove(&id); }
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if let Err(close) = self.take(socket, &text).await { return close; }
                    }
                    Some(Ok(Message::Binary(_))) => return Some(frame(4400, "send text")),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return None,
                },
            }
        }
    }

    async fn initialise(&mut self, socket: &mut WebSocket) -> Result<(), Option<CloseFrame>> {
        loop {
            let text = match socket.recv().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Binary(_))) => return Err(Some(frame(4400, "send text"))),
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return Err(None),
            };
            match read(self.door(), &text)? {
                Incoming::ConnectionInit { payload } => {
                    self.who = identify(self.door(), payload.as_ref())
                        .ok_or_else(|| Some(frame(4403, "Forbidden")))?;
                    let ack = Message::Text(Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#));
                    return socket.send(ack).await.map_err(|_| None);
                }
                Incoming::Ping { .. } => pong(socket).await?,
                Incoming::Pong { .. } => {}
                Incoming::Subscribe { .. } | Incoming::Complete { .. } => {
                    return Err(Some(frame(4401, "Unauthorized")));
                }
            }
        }
    }

    async fn take(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), Option<CloseFrame>> {
        match read(self.door(), text)? {
            Incoming::ConnectionInit { .. } => {
                Err(Some(frame(4429, "Too many initialisation requests")))
            }
            Incoming::Ping { .. } => pong(socket).await,
            Incoming::Pong { .. } => Ok(()),
            Incoming::Complete { id } => {
                if let Some(task) = self.running.remove(&id) {
                    task.abort();
                }
                Ok(())
            }
            Incoming::Subscribe { id, payload } => self.subscribe(socket, id, payload).await,
        }
    }

    async fn subscribe(
        &mut self,
        socket: &mut WebSocket,
        id: String,
        payload: Value,
    ) -> Result<(), Option<CloseFrame>> {
        if id.is_empty() || id.len() > 128 {
            return Err(Some(frame(4400, "an id has 1 to 128 characters")));
        }
        if self.running.contains_key(&id) {
            return Err(Some(frame(4409, "there is a subscription with this id")));
        }
        let most = self.door().config.limits.ws_subscriptions;
        let request = if self.running.len() >= most {
            Err(No::new(Code::RateLimited, format!("at most {most} subscriptions at once")))
        } else {
            http::prepare(self.door(), payload)
        };
        match request {
            Ok(http::Prepared { request, seats, .. }) => {
                let request = self
                    .graphql
                    .with_data(request, &self.who)
                    .data(Highest::default())
                    .data(Traceparent::default());
                let task =
                    stream(self.graphql.clone(), request, seats, id.clone(), self.out.clone());
                let name = uuid::Uuid::now_v7().to_string();
                let task = self.tasks.spawn(REQUEST_ID.scope(name, task));
                self.running.insert(id, task);
                Ok(())
            }
            Err(no) => {
                let errors = REQUEST_ID
                    .sync_scope(uuid::Uuid::now_v7().to_string(), || http::failed(&no).errors);
                let message = json!({"id": id, "type": "error", "payload": errors}).to_string();
                socket.send(Message::Text(message.into())).await.map_err(|_| None)
            }
        }
    }
}

/// Runs one operation and hands out what comes of it.
async fn stream(
    graphql: GraphQl,
    request: Request,
    seats: bool,
    id: String,
    out: mpsc::Sender<String>,
) -> String {
    let mut hall = match graphql.door.hall(seats).await {
        Ok(permit) => permit,
        Err(no) => {
            let errors = http::failed(&no).errors;
            let message = json!({"id": id, "type": "error", "payload": errors}).to_string();
            let _ = out.send(message).await;
            return id;
        }
    };
    let mut answers = std::pin::pin!(graphql.execute_stream(request));
    let mut first = true;
    while let Some(answer) = answers.next().await {
        // Refused before it ran: that is an error message, and no complete follows.
        let refused = first
            && answer.data == async_graphql::Value::Null
            && answer.errors.iter().all(|error| error.path.is_empty())
            && !answer.errors.is_empty();
        first = false;
        let message = if refused {
            json!({"id": id, "type": "error", "payload": answer.errors})
        } else {
            json!({"id": id, "type": "next", "payload": answer})
        };
        let message = message.to_string();
        drop(hall.take()); // a hall is asked for once, and who does not read it keeps nobody waiting
        if out.send(message).await.is_err() || refused {
            return id;
        }
    }
    let _ = out.send(json!({"id": id, "type": "complete"}).to_string()).await;
    id
}

fn read(door: &Door, text: &str) -> Result<Incoming, Option<CloseFrame>> {
    let message = crate::json::read::<Incoming>(text.as_bytes(), door.config.limits.json_depth);
    message.map_err(|no| Some(frame(4400, &no.message)))
}

async fn pong(socket: &mut WebSocket) -> Result<(), Option<CloseFrame>> {
    let pong = Message::Text(Utf8Bytes::from_static(r#"{"type":"pong"}"#));
    socket.send(pong).await.map_err(|_| None)
}

/// The bearer of the token in `connection_init`, or a stranger when it has none.
fn identify(door: &Door, payload: Option<&Value>) -> Option<Who> {
    let names = ["authorization", "Authorization", "token", "accessToken"];
    let headers = payload.and_then(|payload| payload.get("headers"));
    let found = [payload, headers]
        .into_iter()
        .flatten()
        .flat_map(|payload| names.iter().filter_map(|name| payload.get(*name)))
        .find(|value| !value.is_null());
    let Some(found) = found else { return Some(Who::Anonymous) };
    let text = found.as_str()?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        Some(_) => return None,
        None => text,
    };
    door.identify(token.trim())
}

fn frame(code: u16, reason: &str) -> CloseFrame {
    socket::frame(code, reason)
}
