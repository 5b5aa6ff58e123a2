//! S3: somebody counted again.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::{Said, once};
use super::input::{self, Asked, StockBody};
use crate::door::Door;
use crate::ops;
use crate::who::Who;

/// `PATCH /inventory/{sku}/stock`
pub(crate) async fn adjust(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(sku): Path<String>,
    Asked { how, body }: Asked<StockBody>,
) -> Response {
    let said = json!({"sku": sku, "delta": body.delta});
    let op = input::sku(&sku).map(|sku| ops::AdjustStock(sku, body.delta, body.reason));
    once(&door, &who, &how, op, |_| Ok(Said::new(StatusCode::OK, said))).await
}
