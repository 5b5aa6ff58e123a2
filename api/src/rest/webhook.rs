//! Gateways tell us what happened. The signature is checked over the raw body before anything of it is
//! read; what was taken in is answered 200, also when it was known or is about nothing of ours.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use holdfast_engine::ports::WebhookError;
use serde_json::json;

use crate::door::Door;
use crate::no::{Code, No};

/// `POST /payments/webhook`: the gateway that S4 draws.
pub(crate) async fn of_default(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let gateway = door.engine.settings().default_gateway.clone();
    take(&door, &gateway, &headers, &body).await
}

/// `POST /api/v1/payments/webhook/{gateway}`
pub(crate) async fn of_gateway(
    State(door): State<Arc<Door>>,
    Path(gateway): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    take(&door, &gateway, &headers, &body).await
}

async fn take(door: &Door, gateway: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    match door.engine.webhook(gateway, &header, body).await {
        Ok(()) => Json(json!({"received": true})).into_response(),
        Err(error) => {
            let code = match error {
                WebhookError::BadSignature => Code::BadSignature,
                WebhookError::Malformed(_) => Code::Malformed,
                WebhookError::UnknownGateway => Code::NotFound,
                WebhookError::Unavailable(_) => Code::Unavailable,
            };
            metrics::counter!("holdfast_webhooks_refused_total", "code" => code.name())
                .increment(1);
            No::new(code, error.to_string()).into_response()
        }
    }
}
