//! GraphQL over HTTP: `POST /graphql` with JSON, alone or in batches of ten; GraphiQL for browsers.
//!
//! A form or a text cannot be sent (a web page of somebody else could send those without asking), and
//! a GET runs nothing.

use std::sync::Arc;

use async_graphql::parser::types::{OperationDefinition, OperationType};
use async_graphql::{Request, Response as Answer, ServerError};
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

use super::common::{Highest, Traceparent};
use super::{GraphQl, limits};
use crate::door::Door;
use crate::front::{POSITION, REPLAYED};
use crate::json;
use crate::no::{Code, No};
use crate::who::Who;

/// `POST /graphql`.
pub(crate) async fn post(
    State(graphql): State<GraphQl>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let door = graphql.door.clone();
    if !is_json(&headers) {
        return refuse(&No::new(Code::UnsupportedMediaType, "send application/json"));
    }
    let highest = Highest::default();
    let traceparent = Traceparent(crate::rest::traceparent(&headers));
    let body: Value = match json::read(&body, door.config.limits.json_depth) {
        Ok(body) => body,
        Err(no) => return refuse(&no),
    };
    let (requests, batch) = match body {
        Value::Array(requests) => {
            let most = door.config.limits.graphql_batch;
            if requests.is_empty() || requests.len() > most {
                return refuse(&No::malformed(format!("a batch has 1 to {most} operations")));
            }
            (requests, true)
        }
        request @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)) => (vec![request], false),
    };
    let prepared: Vec<_> = requests.into_iter().map(|request| prepare(&door, request)).collect();
    let may = door.config.limits.graphql_complexity;
    let costs = prepared.iter().flatten().map(|prepared| prepared.cost);
    if costs.fold(0, usize::saturating_add) > may {
        let message = format!("the operations of a batch may cost at most {may} together");
        return refuse(&No::new(Code::GraphqlInvalid, message));
    }
    let mutates = prepared.iter().flatten().any(|prepared| prepared.mutates);
    let seats = prepared.iter().flatten().any(|prepared| prepared.seats);
    // Held until the answer is written out.
    let _hall = match door.hall(seats).await {
        Ok(permit) => permit,
        Err(no) => return refuse(&no),
    };
    let runs =
        prepared.into_iter().map(|request| run(&graphql, &who, &highest, &traceparent, request));
    let answers = futures::future::join_all(runs).await;
    if mutates && highest.get().is_none() {
        // Refused: that is true of the log as it stands.
        highest.at_least(door.engine.store().head());
    }
    match answers.as_slice() {
        [answer] if !batch => respond(status(answer), answer, &highest),
        answers => respond(StatusCode::OK, &answers, &highest),
    }
}

async fn run(
    graphql: &GraphQl,
    who: &Who,
    highest: &Highest,
    traceparent: &Traceparent,
    prepared: Result<Prepared, No>,
) -> Answer {
    match prepared {
        Ok(Prepared { mut request, .. }) => {
            if only_reads(&mut request) {
                graphql.door.fresh().await;
            }
            let request =
                graphql.with_data(request, who).data(highest.clone()).data(traceparent.clone());
            graphql.execute(request).await
        }
        Err(no) => failed(&no),
    }
}

/// An operation that may be run.
pub(crate) struct Prepared {
    pub(crate) request: Request,
    cost: usize,
    /// Whether seats are asked for, of which few are shown at once.
    pub(crate) seats: bool,
    mutates: bool,
}

/// Reads one operation, within the limits of documents.
pub(crate) fn prepare(door: &Arc<Door>, request: Value) -> Result<Prepared, No> {
    let mut request: Request = serde_json::from_value(request).map_err(|error| {
        No::malformed(format!("an operation has query, variables, operationName: {error}"))
    })?;
    let limits::Judged { document, cost, seats } =
        limits::read(&request.query, &request.variables, &door.config.limits)?;
    let named = request.operation_name.as_deref();
    // A subscription shows no seats, and may stay open for as long as it likes.
    let subscribes = document.operations.iter().any(|(name, operation)| {
        operation.node.ty == OperationType::Subscription
            && name.is_none_or(|name| Some(name.as_str()) == named)
    });
    let mutates = document.operations.iter().any(|(_, it)| it.node.ty == OperationType::Mutation);
    request.set_parsed_query(document);
    Ok(Prepared { request, cost, seats: seats && !subscribes, mutates })
}

/// Whether nothing but queries stand in the document.
fn only_reads(request: &mut Request) -> bool {
    let read = |(_, operation): (_, &async_graphql::Positioned<OperationDefinition>)| {
        operation.node.ty == OperationType::Query
    };
    request.parsed_query().is_ok_and(|document| document.operations.iter().all(read))
}

/// Errors of the library get a code too, and every error the request's id.
pub(super) fn finished(mut answer: Answer) -> Answer {
    for error in &mut answer.errors {
        let extensions = error.extensions.get_or_insert_with(Default::default);
        if extensions.get("code").is_none() {
            extensions.set("code", Code::GraphqlInvalid.name());
            extensions.set("requestId", crate::problem::request_id());
        }
    }
    answer
}

/// The answer of an operation that was not run.
pub(crate) fn failed(no: &No) -> Answer {
    let error = super::common::error(no.clone());
    Answer::from_errors(vec![ServerError {
        extensions: error.extensions,
        ..ServerError::new(error.message, None)
    }])
}

/// 400 when nothing was run because of how the operation was written; 200 otherwise, errors included.
fn status(answer: &Answer) -> StatusCode {
    let names = [Code::GraphqlInvalid, Code::Malformed, Code::InvalidInput].map(Code::name);
    let written_wrong = |error: &ServerError| {
        let code = error.extensions.as_ref().and_then(|e| e.get("code"));
        matches!(code, Some(async_graphql::Value::String(code)) if names.contains(&code.as_str()))
    };
    let nothing = answer.data == async_graphql::Value::Null;
    if nothing && !answer.errors.is_empty() && answer.errors.iter().all(written_wrong) {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    }
}

fn respond(status: StatusCode, body: &impl serde::Serialize, highest: &Highest) -> Response {
    let body = serde_json::to_string(body).expect("an answer makes JSON");
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, json, body).into_response();
    if let Some(position) = highest.get() {
        response.headers_mut().insert(POSITION, position.into());
    }
    if highest.replayed() {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A request to `/graphql` that is refused as a whole, in GraphQL's own shape.
pub(crate) fn refuse(no: &No) -> Response {
    let mut response = respond(no.code.status(), &failed(no), &Highest::default());
    if no.code == Code::Unauthenticated {
        let ask = HeaderValue::from_static("Bearer realm=\"holdfast\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    if let Some(after) = no.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().max(1).into());
    }
    response
}

/// Whether the body says that it is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// `GET /graphql`: GraphiQL in a browser; a query in the address is not run.
pub(crate) async fn get(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    if !accept.contains("text/html") {
        let no = No::new(Code::MethodNotAllowed, "POST the operation as JSON");
        let mut response = refuse(&no);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let page = async_graphql::http::GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql/ws")
        .title("Holdfast")
        .version("3.9.0")
        .finish();
    let policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self' ws: wss:; \
                  img-src 'self' data: https:; font-src https: data:; worker-src blob:; \
                  style-src 'unsafe-inline' https://unpkg.com; script-src 'unsafe-inline' https://unpkg.com";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}
