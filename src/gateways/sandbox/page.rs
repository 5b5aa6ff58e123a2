//! What people see of the sandbox: the hosted page with its two buttons, and the ledger.
//!
//! ```text
//!   GET  /sandbox/pay/{session}            the page
//!   POST /sandbox/pay/{session}/approve    the buttons; answered with 303 back to the page
//!   POST /sandbox/pay/{session}/decline
//!   GET  /sandbox/ledger                   what was authorized, captured, voided, refunded
//! ```
//!
//! Whoever knows a session's name may press its buttons, as on any gateway's page; it cannot be
//! guessed. Another site cannot press them with a visitor's browser: browsers say where a request
//! comes from, and what comes from elsewhere is turned away.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use holdfast_domain::Timestamp;
use serde::Deserialize;

use super::Sandbox;
use super::intent::{Intent, Status};

/// What pages may load and be loaded by: nothing, and nobody.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

pub(super) fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/sandbox/pay/{session}", get(show).post(press_by_field))
        .route("/sandbox/pay/{session}/{decision}", post(press_by_path))
        .route("/sandbox/ledger", get(ledger))
        .with_state(sandbox)
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Path(session): Path<String>) -> Response {
    let now = sandbox.now();
    // Waits until what it shows is on disk.
    let seen = sandbox.change(|book, _| book.of_session(&session).cloned()).await;
    match seen {
        Ok(Some(intent)) => page(StatusCode::OK, &body(&intent, &session, now)),
        Ok(None) => page(StatusCode::NOT_FOUND, UNKNOWN),
        Err(_) => page(StatusCode::SERVICE_UNAVAILABLE, BROKEN),
    }
}

#[derive(Deserialize)]
struct Pressed {
    decision: String,
}

async fn press_by_field(
    State(sandbox): State<Arc<Sandbox>>,
    Path(session): Path<String>,
    headers: HeaderMap,
    Form(pressed): Form<Pressed>,
) -> Response {
    press(&sandbox, &session, &pressed.decision, &headers).await
}

async fn press_by_path(
    State(sandbox): State<Arc<Sandbox>>,
    Path((session, decision)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    press(&sandbox, &session, &decision, &headers).await
}

async fn press(sandbox: &Sandbox, session: &str, decision: &str, headers: &HeaderMap) -> Response {
    if comes_from_elsewhere(headers) {
        return page(StatusCode::FORBIDDEN, ELSEWHERE);
    }
    let approve = match decision {
        "approve" => true,
        "decline" => false,
        _ => return page(StatusCode::NOT_FOUND, UNKNOWN),
    };
    let pressed = sandbox
        .change(|book, now| {
            book.press(session, approve, now);
            book.of_session(session).is_some()
        })
        .await;
    match pressed {
        Ok(true) => Redirect::to(&format!("/sandbox/pay/{session}")).into_response(),
        Ok(false) => page(StatusCode::NOT_FOUND, UNKNOWN),
        Err(_) => page(StatusCode::SERVICE_UNAVAILABLE, BROKEN),
    }
}

/// Browsers say where a request comes from, and no page can change what they say. Programs say
/// nothing; they have no visitor whose trust they could abuse.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => false,
        (Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, at)| at != host),
        (Some(_), None) => true,
    }
}

/// A line of the ledger as people see it: ids as the doors show them.
#[derive(serde::Serialize)]
struct Shown<'a> {
    key: &'a str,
    payment_id: String,
    kind: &'a str,
    state: &'a str,
    amount_minor: i64,
    currency: &'a str,
    at: Timestamp,
}

/// The door has asked for the permission before.
async fn ledger(State(sandbox): State<Arc<Sandbox>>) -> Response {
    match sandbox.change(|book, _| book.entries().to_vec()).await {
        Ok(entries) => {
            let shown = entries.iter().map(|entry| Shown {
                key: &entry.key,
                payment_id: format!("pay_{}", entry.payment_id),
                kind: &entry.kind,
                state: &entry.state,
                amount_minor: entry.amount_minor,
                currency: &entry.currency,
                at: entry.at,
            });
            Json(shown.collect::<Vec<_>>()).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!("{HEAD}{body}{FOOT}");
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn body(intent: &Intent, session: &str, now: Timestamp) -> String {
    let amount = intent.amount;
    let reservation = intent.reservation_id;
    let what = match intent.status(now) {
        Status::RequiresAction => {
            return format!(
                "<h1>Pay {amount}</h1><p class=note>This is a sandbox: no money moves.</p>\
                 <dl><dt>For<dd>Reservation <code>res_{reservation}</code>\
                 <dt>Attempt<dd>{attempt}</dl>\
                 <div class=buttons>\
                 <form method=post action=\"/sandbox/pay/{session}/approve\">\
                 <button class=approve name=decision value=approve>Approve</button></form>\
                 <form method=post action=\"/sandbox/pay/{session}/decline\">\
                 <button class=decline name=decision value=decline>Decline</button></form></div>",
                attempt = intent.attempt,
            );
        }
        Status::RequiresCapture | Status::Succeeded => {
            ("Approved", "The shop knows; you can close this page.")
        }
        Status::RequiresMethod => ("Declined", "Nothing was charged. You can close this page."),
        Status::Canceled => ("Cancelled", "This payment is over; nothing was charged."),
        Status::Processing => ("Processing", "The bank is at it."),
    };
    let (title, note) = what;
    format!(
        "<h1>{title}</h1><p>{amount}</p><p class=note>{note}</p>\
         <dl><dt>For<dd>Reservation <code>res_{reservation}</code></dl>"
    )
}

const UNKNOWN: &str = "<h1>No such payment</h1><p class=note>Check the address.</p>";
const ELSEWHERE: &str = "<h1>Not from there</h1><p class=note>These buttons can only be pressed on \
                         this page.</p>";
const BROKEN: &str = "<h1>Not now</h1><p class=note>The sandbox cannot write; try again later.</p>";

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>Sandbox payment</title>\
<style>:root{color-scheme:light dark;--card:#fff;--page:#eef1f5;--ink:#18202b;--soft:#5c6a7a}\
@media(prefers-color-scheme:dark){:root{--card:#1c232d;--page:#11161d;--ink:#eef2f7;--soft:#9aa8b8}}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--page);\
color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{background:var(--card);padding:2rem 2.5rem;border-radius:14px;max-width:26rem;\
box-shadow:0 8px 30px #0002}h1{margin:.2rem 0;font-size:1.6rem}.tag{letter-spacing:.08em;\
font-size:.75rem;text-transform:uppercase;color:var(--soft)}.note,dt{color:var(--soft)}\
dl{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem;font-size:.9rem}dd{margin:0}\
code{word-break:break-all}.buttons{display:flex;gap:.75rem;margin-top:1.5rem}\
button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border-radius:9px;border:1px solid #0003;\
cursor:pointer}.approve{background:#12805c;color:#fff}.decline{background:none;color:inherit;\
border-color:currentColor}button:focus-visible{outline:3px solid #4c9ffe;outline-offset:2px}\
</style><main><div class=tag>Holdfast sandbox gateway</div>";
const FOOT: &str = "</main></html>";
