//! What every request passes on its way in and out, whichever door it knocks at.
//!
//! ```text
//!   request id ► panic guard ► headers ► CORS ► rate ► body (1 MiB, 30 s) ► token ► the router
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tracing::Instrument;

use crate::door::Door;
use crate::no::{Code, No};
use crate::problem::REQUEST_ID;
use crate::who::Who;

/// The position at which an answer is true.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("holdfast-position");
/// Says that the answer was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The customer's key.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Names a request in answers and in the log.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything around the router. The order is the picture above.
pub(crate) async fn front(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = request.method().clone();
    let began = Instant::now();
    let span = tracing::info_span!(
        "request", id = %id, method = %method, path = %request.uri().path(), phase = tracing::field::Empty
    );
    let guarded = async {
        let answered =
            std::panic::AssertUnwindSafe(inner(&door, request, next)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            // The panic itself is on standard error; strangers learn nothing of it.
            No::new(Code::Internal, "something is wrong here").into_response()
        })
    };
    let mut response = REQUEST_ID.scope(id.clone(), guarded.instrument(span)).await;
    let status = response.status();
    metrics::counter!("holdfast_http_requests_total", "method" => method_label(&method),
        "status" => status_class(status))
    .increment(1);
    metrics::histogram!("holdfast_http_seconds").record(began.elapsed().as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    secure(headers);
    response
}

async fn inner(door: &Arc<Door>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let cors = origin.filter(|origin| allowed(origin, &door.config.cors_origins));
    let path = request.uri().path();
    let graphql = path == "/graphql";
    let changes = matches!(*request.method(), Method::POST | Method::PATCH | Method::DELETE)
        && !graphql
        && !path.starts_with("/sandbox");
    let mut response = if request.method() == Method::OPTIONS && cors.is_some() {
        preflight()
    } else {
        match admit(door, request).await {
            Ok(request) => {
                let answer = next.run(request);
                let answered = tokio::time::timeout(door.config.limits.answer, answer).await;
                answered.map_or_else(
                    |_| No::new(Code::OutcomeUnknown, "the answer took too long").into_response(),
                    retold,
                )
            }
            Err(no) if graphql => crate::graphql::http::refuse(&no),
            Err(no) => no.into_response(),
        }
    };
    if changes {
        // What recorded nothing is true of the log as it stands.
        let head = door.engine.store().head().0;
        response.headers_mut().entry(POSITION).or_insert(head.into());
    }
    if let Some(origin) = cors {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "holdfast-position, idempotent-replayed, retry-after, etag, x-request-id",
            ),
        );
    }
    response
}

/// What the framework refuses by itself (a query string, a path, a half upgrade) it tells as bare text.
fn retold(response: Response) -> Response {
    let text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let code = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED => Code::Malformed,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        _ => return response,
    };
    if text { No::new(code, code.title()).into_response() } else { response }
}

/// Takes the whole request in, within its limits, and finds out whose it is.
async fn admit(door: &Door, request: Request) -> Result<Request, No> {
    let limits = &door.config.limits;
    let address = client_address(&request, &door.config.trusted_proxies);
    door.rates.request(address)?;
    let (mut parts, mut body) = request.into_parts();
    let limit = limits.body_bytes;
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if announced.and_then(|v| v.parse::<u64>().ok()).is_some_and(|len| len > limit as u64) {
        // Who asks first whether to send has not begun.
        if !parts.headers.contains_key(header::EXPECT) {
            hear_out(body).await;
        }
        return Err(No::new(Code::TooLarge, format!("a body has at most {limit} bytes")));
    }
    let who = identify(door, &parts.headers)?;
    let read = Limited::new(&mut body, limit).collect();
    let body = match tokio::time::timeout(limits.body_read, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            hear_out(body).await;
            return Err(No::new(Code::TooLarge, format!("a body has at most {limit} bytes")));
        }
        Ok(Err(_)) => return Err(No::malformed("the body broke off")),
        Err(_) => return Err(No::new(Code::RequestTimeout, "the body took too long to arrive")),
    };
    parts.extensions.insert(who);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// How much of a body that is too large is heard and forgotten.
const HEARD_BYTES: usize = 8 << 20;
/// How long that may take.
const HEARD_IN: Duration = Duration::from_millis(150);

/// Hears a body that is too large to its end, within reason: a client that is cut off while it still
/// sends sees a broken pipe and never reads why.
async fn hear_out(mut body: Body) {
    let mut left = HEARD_BYTES;
    let heard = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
            if left == 0 {
                return;
            }
        }
    };
    // Whoever takes longer is cut off after all.
    let _ = tokio::time::timeout(HEARD_IN, heard).await;
}

/// The bearer of the token; a bad token is refused everywhere, it does not make one anonymous.
fn identify(door: &Door, headers: &HeaderMap) -> Result<Who, No> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Who::Anonymous) };
    let refuse = || No::new(Code::Unauthenticated, "the token is not valid, or has expired");
    let value = value.to_str().map_err(|_| refuse())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(refuse)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refuse());
    }
    door.identify(token.trim()).ok_or_else(refuse)
}

/// The client's address; what `X-Forwarded-For` says counts only when a trusted proxy says it.
fn client_address(request: &Request, trusted: &[IpAddr]) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())?;
    if !trusted.contains(&peer) {
        return Some(peer);
    }
    let values = request.headers().get_all("x-forwarded-for").iter();
    let named: Vec<IpAddr> = values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    // From the right: the first that is not a proxy of ours.
    named.into_iter().rev().find(|address| !trusted.contains(address)).or(Some(peer))
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&X_REQUEST_ID).and_then(|v| v.to_str().ok());
    let fits = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    given.filter(fits).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

pub(crate) fn allowed(origin: &HeaderValue, list: &[String]) -> bool {
    list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, idempotency-key, if-match, traceparent, x-request-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn secure(headers: &mut HeaderMap) {
    let set = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    set(headers, header::CACHE_CONTROL, "no-store");
    set(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
