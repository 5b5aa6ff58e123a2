//! RFC 9457: a no as `application/problem+json`, and the page behind each problem's type.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::names;
use crate::no::{Code, More, No};

tokio::task_local! {
    /// The id of the request that is being answered, for whoever must name it in an error.
    pub(crate) static REQUEST_ID: String;
}

/// The id of the request that is being answered.
pub(crate) fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// The problem as JSON.
pub(crate) fn body(no: &No) -> Value {
    let mut body = json!({
        "type": format!("/problems/{}", no.code.kebab()),
        "title": no.code.title(),
        "status": no.code.status().as_u16(),
        "detail": no.message,
        "code": no.code.name(),
        "request_id": request_id(),
    });
    if no.code == Code::OutcomeUnknown {
        body["outcome"] = "unknown".into();
    }
    if let Some(position) = no.as_of {
        body["as_of_position"] = position.to_string().into();
    }
    match &no.more {
        More::Nothing => {}
        More::OutOfStock { sku, requested, available } => {
            body["sku"] = sku.as_str().into();
            body["requested"] = (*requested).into();
            body["available"] = (*available).into();
        }
        More::SeatsTaken { taken, suggested } => {
            body["taken_seat_ids"] = json!(taken);
            body["suggested_seat_ids"] = json!(suggested);
        }
        More::LimitExceeded { limit, already_held } => {
            body["limit"] = (*limit).into();
            body["already_held"] = (*already_held).into();
        }
        More::HoldExpired { expired_at } => body["expired_at"] = expired_at.to_string().into(),
        More::PaymentInProgress { payment_id, redirect_url } => {
            body["payment_id"] = names::payment(payment_id).into();
            if let Some(url) = redirect_url {
                body["redirect_url"] = url.as_str().into();
            }
        }
    }
    body
}

/// A problem with this body and the status that it names.
pub(crate) fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let mut response = respond(self.code.status(), &body(&self));
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let secs = after.as_millis().div_ceil(1_000).max(1) as u64;
            headers.insert(header::RETRY_AFTER, secs.into());
        }
        if let Some(position) = self.as_of {
            headers.insert(crate::front::POSITION, position.0.into());
        }
        if self.code == Code::Unauthenticated {
            let ask = HeaderValue::from_static("Bearer realm=\"holdfast\"");
            headers.insert(header::WWW_AUTHENTICATE, ask);
        }
        response
    }
}

/// The page of one problem type.
pub(crate) async fn page(axum::extract::Path(kebab): axum::extract::Path<String>) -> Response {
    let Some(code) = Code::ALL.iter().find(|code| code.kebab() == kebab) else {
        return No::absent("problem type").into_response();
    };
    let text = format!(
        "{}\n\ncode:   {}\nstatus: {}\n\n{}\n",
        code.title(),
        code.name(),
        code.status(),
        code.help()
    );
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
