//! `/metrics`: what the parts count, for Prometheus.

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::door::Door;

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts counting, once for the process; later calls are the first one's. Called by
/// [`crate::router`], and earlier by whoever wants what happens before to be counted.
pub fn install() -> PrometheusHandle {
    let start = || {
        let builder = PrometheusBuilder::new().set_buckets(&[
            0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
        ]);
        let recorder = builder.expect("there are buckets").build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("somebody else counts in this process: /metrics stays empty");
        }
        handle
    };
    RECORDER.get_or_init(start).clone()
}

/// `GET /metrics`.
pub(crate) async fn get(State(door): State<Arc<Door>>) -> Response {
    crate::health::count(&door).await;
    let handle = install();
    handle.run_upkeep();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, handle.render()).into_response()
}
