//! Answers of requests that change something: given once, kept, and given again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_engine::side::StoredAnswer;
use holdfast_store::Position;
use serde_json::Value;

use crate::door::{Door, How};
use crate::front::{POSITION, REPLAYED};
use crate::no::{Code, No};
use crate::ops::{Operation, Recorded};
use crate::problem;
use crate::who::Who;

/// What is said to a request that was done.
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// `ETag`: the version that `If-Match` takes.
    pub(crate) version: Option<u32>,
    /// The status of a repeat, where the diagram draws another one.
    pub(crate) again: Option<StatusCode>,
    /// Whether this is the last word: an outcome that is still open is not kept, so that a repeat of the
    /// request looks again.
    pub(crate) last: bool,
}

impl Said {
    pub(crate) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, version: None, again: None, last: true }
    }

    pub(crate) fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// A repeat is answered with another status.
    pub(crate) fn replayed_as(mut self, status: StatusCode) -> Self {
        self.again = Some(status);
        self
    }
}

/// Does what is asked, once for each key: a repeat is given what was said before.
pub(crate) async fn once<O>(
    door: &Door,
    who: &Who,
    how: &How,
    op: Result<O, No>,
    say: impl FnOnce(&O::Answer) -> Result<Said, No>,
) -> Response
where
    O: Operation<Answer: Recorded>,
{
    match ask(door, who, how, op, say).await {
        Ok(response) => response,
        Err(no) => no.into_response(),
    }
}

async fn ask<O>(
    door: &Door,
    who: &Who,
    how: &How,
    op: Result<O, No>,
    say: impl FnOnce(&O::Answer) -> Result<Said, No>,
) -> Result<Response, No>
where
    O: Operation<Answer: Recorded>,
{
    // The rule before the input: whoever may not ask learns nothing of it.
    who.passes_field(&format!("Mutation.{}", O::NAME))?;
    let op = op?;
    let request = door.request(who, how, &op)?;
    let id = request.command_id();
    let mut first = None;
    if let Some(kept) = door.engine.side().answer(id).await {
        if kept.fingerprint != request.fingerprint {
            let message = "this idempotency key was used with another request; choose a new key";
            return Err(No::new(Code::IdempotencyKeyReused, message));
        }
        if !kept.body.is_empty() {
            return Ok(again(kept));
        }
        // It was said through the other door: only where in the log it was true is kept.
        first = Some(Position(kept.position)).filter(|position| position.0 > 0);
    }
    let mut answer = door.perform(&request, op).await?;
    if let Some(first) = first.filter(|_| answer.done().replayed) {
        answer = answer.given(&door.engine, first).await?;
    }
    let done = answer.done();
    let mut said = say(&answer)?;
    let later = said.again.unwrap_or(said.status);
    if done.replayed {
        said.status = later;
    }
    let body = said.body.to_string();
    let etag = said.version.map(|version| format!("\"{version}\""));
    if said.last {
        let headers = etag.iter().map(|etag| ("etag".to_owned(), etag.clone())).collect();
        let kept = StoredAnswer {
            fingerprint: request.fingerprint,
            status: later.as_u16(),
            body: body.clone(),
            headers,
            position: done.position.0,
            at: door.engine.now(),
        };
        door.engine.side().keep_answer(id, kept);
    }
    let headers = etag.into_iter().map(|etag| ("etag".to_owned(), etag)).collect::<Vec<_>>();
    Ok(respond(said.status, body, &headers, done.position.0, done.replayed))
}

fn again(kept: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    respond(status, kept.body, &kept.headers, kept.position, true)
}

fn respond(
    status: StatusCode,
    body: String,
    more: &[(String, String)],
    position: u64,
    replayed: bool,
) -> Response {
    let kind =
        if status.is_client_error() { "application/problem+json" } else { "application/json" };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(POSITION, position.into());
    for (name, value) in more {
        if let (Ok(name), Ok(value)) =
            (name.parse::<axum::http::HeaderName>(), HeaderValue::from_str(value))
        {
            headers.insert(name, value);
        }
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A refusal that is an answer: recorded, and kept like one (a declined payment).
pub(crate) fn refusal(no: &No, more: &[(&str, Value)]) -> Said {
    let mut body = problem::body(no);
    for (name, value) in more {
        body[*name] = value.clone();
    }
    Said::new(no.code.status(), body)
}
