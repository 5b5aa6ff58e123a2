//! Whether the server lives, and whether it should be sent requests. Says the truth (P19).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::door::Door;

/// `GET /health/live`: somebody answers.
pub(crate) async fn live(State(door): State<Arc<Door>>) -> Response {
    Json(json!({"status": "ok", "version": door.config.version})).into_response()
}

/// `GET /health/ready`: 200, or 503 with the reasons.
pub(crate) async fn ready(State(door): State<Arc<Door>>) -> Response {
    let health = door.engine.health();
    let ready = door.config.ready;
    let mut reasons = Vec::new();
    if let Some(trouble) = &health.store_trouble {
        reasons.push(format!("the log takes no appends: {trouble}"));
    }
    reasons.extend(health.read_troubles.iter().cloned());
    reasons.extend(health.side_troubles.iter().cloned());
    if let Some(trouble) = health.clock_trouble {
        reasons.push(format!("the clock: {trouble}"));
    }
    let read_lag = health.head.0.saturating_sub(door.reads.position().0);
    let lags = health.consumers.iter().map(|consumer| (consumer.name.as_str(), consumer.lag));
    for (name, lag) in lags.chain([("read models", read_lag)]) {
        if lag > ready.max_lag {
            reasons.push(format!("{name} is {lag} events behind"));
        }
    }
    let parked: usize = health.consumers.iter().map(|consumer| consumer.dead_letters).sum();
    if parked as u64 > ready.max_dead_letters {
        reasons.push(format!("{parked} dead letters wait for an operator"));
    }
    match door.reads.parked_count().await {
        Ok(0) => {}
        Ok(count) => reasons.push(format!("{count} events could not be read into the read models")),
        Err(_) => reasons.push("the read models do not answer".into()),
    }
    if let Some(more) = &door.config.unready {
        reasons.extend(more());
    }
    let consumers: Vec<_> = health
        .consumers
        .iter()
        .map(|consumer| {
            json!({
                "name": consumer.name,
                "checkpoint": consumer.checkpoint.to_string(),
                "lag": consumer.lag,
                "dead_letters": consumer.dead_letters,
                "timers": consumer.timers,
            })
        })
        .collect();
    let body = json!({
        "status": if reasons.is_empty() { "ready" } else { "not ready" },
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "position": health.head.to_string(),
        "read_models": {"position": door.reads.position().to_string(), "lag": read_lag},
        "consumers": consumers,
    });
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Puts what only shows when it is looked at into the figures.
pub(crate) async fn count(door: &Door) {
    let health = door.engine.health();
    metrics::gauge!("holdfast_position").set(health.head.0 as f64);
    metrics::gauge!("holdfast_open_payments").set(health.open_payments as f64);
    metrics::gauge!("holdfast_alarms").set(health.alarms.len() as f64);
    let read_lag = health.head.0.saturating_sub(door.reads.position().0);
    metrics::gauge!("holdfast_lag", "consumer" => "read_models").set(read_lag as f64);
    for consumer in &health.consumers {
        let name = consumer.name.clone();
        metrics::gauge!("holdfast_lag", "consumer" => name.clone()).set(consumer.lag as f64);
        metrics::gauge!("holdfast_dead_letters", "consumer" => name.clone())
            .set(consumer.dead_letters as f64);
        metrics::gauge!("holdfast_timers", "consumer" => name).set(consumer.timers as f64);
    }
}
