//! The doors: GraphQL, REST, WebSockets and webhooks for people and programs.
//!
//! A door translates and decides nothing: it finds out who asks and whether this one may, reads what is
//! asked into the engine's words, and writes what came of it in the words of its protocol.
//!
//! ```text
//!   TCP ─ serve ─ front (id, limits, token) ─┬─ graphql ──┐
//!                                            ├─ rest ─────┼─ ops ──► engine      (acts)
//!                                            ├─ live ◄────┘          read models (answer)
//!                                            └─ health, pages        feed        (one follower of the log)
//! ```
//!
//! What is absent on purpose: appending events, vendors, SQL, and any `if` about business.

mod access;
mod ask;
pub mod code;
pub mod config;
mod door;
mod event;
mod feed;
mod front;
pub mod gbfs;
mod graphql;
mod health;
mod json;
mod live;
pub mod metrics;
mod names;
mod no;
mod openapi;
mod ops;
mod problem;
mod rate;
mod rest;
mod seats;
mod serve;
mod socket;
pub mod token;
mod view;
mod who;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use holdfast_domain::Timestamp;
use holdfast_engine::Engine;
use holdfast_projections::ReadModels;

use crate::access::{Permission, Rule};
use crate::door::Door;
use crate::graphql::GraphQl;
use crate::no::{Code, No};
use crate::who::Who;

pub use access::{FIELDS, Rule as AccessRule};
pub use config::{ApiConfig, Limits, Ready};
pub use event::EventView;
pub use graphql::sdl;
pub use no::Code as ProblemCode;
pub use openapi::document as openapi_document;
pub use serve::serve;

/// What handlers find.
#[derive(Clone)]
pub(crate) struct App {
    door: Arc<Door>,
    graphql: GraphQl,
}

impl FromRef<App> for Arc<Door> {
    fn from_ref(app: &App) -> Self {
        app.door.clone()
    }
}

impl FromRef<App> for GraphQl {
    fn from_ref(app: &App) -> Self {
        app.graphql.clone()
    }
}

/// All doors over one engine and its read models. Serve it with [`serve`], which has the timeouts.
pub fn router(engine: Engine, reads: ReadModels, config: ApiConfig) -> axum::Router {
    metrics::install();
    let sandbox = config.sandbox.clone();
    let door = Arc::new(Door::new(engine, reads, config));
    let app = App { graphql: GraphQl::new(door.clone()), door: door.clone() };
    let mut router = rest::router().with_state(app);
    if let Some(sandbox) = sandbox {
        router = router.merge(sandbox.layer(middleware::from_fn(guard_ledger)));
    }
    router
        .fallback(|| async { No::new(Code::NotFound, "there is no such path").into_response() })
        .method_not_allowed_fallback(|| async {
            No::new(Code::MethodNotAllowed, "this path does not take this method").into_response()
        })
        .layer(middleware::from_fn_with_state(door, front::front))
}

/// The sandbox's pages are for everybody, its ledger for operators and auditors.
async fn guard_ledger(request: axum::extract::Request, next: middleware::Next) -> Response {
    let rule = if request.uri().path().starts_with("/sandbox/ledger") {
        Rule::OneOf(&[Permission::Operate, Permission::ReadAudit])
    } else {
        Rule::Anyone
    };
    rest::guard(State(rule), request, next).await
}

/// Judges the token in a request's headers by a set of permissions, for pages that others mount: nothing
/// when one of them is there, the answer to give otherwise.
pub fn guard(
    tokens: token::TokenKeys,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
    permissions: &'static [Permission],
) -> impl Fn(&HeaderMap) -> BoxFuture<'static, Result<(), Response>> + Send + Sync + 'static {
    move |headers| {
        let bearer = headers.get(axum::http::header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let who = bearer
            .and_then(|token| tokens.verify(&token, now()).ok())
            .map_or(Who::Anonymous, Who::Known);
        let judged = who.passes(Rule::OneOf(permissions)).map_err(IntoResponse::into_response);
        async move { judged }.boxed()
    }
}
