//! The OpenAPI document of the REST door, made from the table of paths.

mod schemas;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::Rule;
use crate::door::Door;
use crate::no::Code;
use crate::rest::{Route, routes};

/// `GET /openapi.json`
pub(crate) async fn get(State(door): State<Arc<Door>>) -> Response {
    Json(document(&door.config.version)).into_response()
}

/// The document, for a version of the program.
pub fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": version,
            "summary": "Seats, vehicles and stock, sold exactly once.",
            "description": "The REST paths of the five diagrams. Each does what the GraphQL mutation of the same name does. \
                            A request that changes something carries an idempotency key, in the header Idempotency-Key or in \
                            its body as idempotency_key or idempotencyKey; a repeat gets the same answer. Errors are RFC 9457.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (EdDSA, at+jwt)"}},
            "schemas": schemas::all(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = path_names(route.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(
        route
            .query
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}})),
    );
    if route.keyed {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header",
            "description": "Needed here or in the body.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}}));
        parameters.push(json!({"name": "If-Match", "in": "header", "description": "The version that you expect.",
            "schema": {"type": "string"}}));
    }
    let mut responses = Map::new();
    for status in route.succeeds {
        responses.insert(status.to_string(), succeeds(route, *status));
    }
    for (status, codes) in refusals(route) {
        responses.insert(status.to_string(), json!({
            "description": codes.iter().map(|code| code.name()).collect::<Vec<_>>().join(", "),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }));
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{body}")}}});
        operation["requestBody"] = json!({"required": body != "Nothing", "content": content});
    }
    match route.rule {
        Rule::Anyone => operation["security"] = json!([{}, {"bearer": []}]),
        Rule::SignedIn => operation["security"] = json!([{"bearer": []}]),
        Rule::OneOf(permissions) => {
            operation["security"] = json!([{"bearer": []}]);
            operation["x-permissions"] =
                permissions.iter().map(|p| p.name()).collect::<Vec<_>>().into();
        }
    }
    operation
}

/// Unique, although several paths may do what one mutation does.
fn operation_id(route: &Route) -> String {
    let place = route.path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
    let place = place.collect::<Vec<_>>().join("_").replace(['.', '-'], "_");
    if place.is_empty() { route.name.into() } else { format!("{}_{place}", route.name) }
}

fn succeeds(route: &Route, status: u16) -> Value {
    match route.answer {
        "websocket" => json!({"description": "Switches to a WebSocket."}),
        kind if kind.contains('/') => {
            json!({"description": route.summary, "content": {kind: {"schema": {"type": "string"}}}})
        }
        schema => {
            let description =
                if status == 202 { "The outcome is still open." } else { route.summary };
            let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
            let mut response = json!({"description": description, "content": content});
            if route.keyed {
                response["headers"] = json!({
                    "Holdfast-Position": {"description": "Where in the log this is true.", "schema": {"type": "string"}},
                    "Idempotent-Replayed": {"description": "true: this was said before.", "schema": {"type": "string"}},
                });
            }
            response
        }
    }
}

/// The refusals of a path by status.
fn refusals(route: &Route) -> Vec<(u16, Vec<Code>)> {
    let mut codes = Vec::new();
    if route.rule != Rule::Anyone {
        codes.push(Code::Unauthenticated);
    }
    if let Rule::OneOf(_) = route.rule {
        codes.push(Code::Forbidden);
    }
    if route.path.contains('{') {
        codes.push(Code::NotFound);
    }
    if route.keyed {
        codes.extend([
            Code::Malformed,
            Code::IdempotencyKeyMissing,
            Code::NotFound,
            Code::TooLarge,
            Code::InvalidInput,
            Code::IdempotencyKeyReused,
            Code::RequestInFlight,
            Code::OutcomeUnknown,
        ]);
    }
    if route.query.contains(&"min_position") {
        codes.extend([Code::Malformed, Code::StaleRead]);
    }
    codes.extend_from_slice(route.refuses);
    let mut by_status: std::collections::BTreeMap<u16, Vec<Code>> = Default::default();
    for code in codes {
        let listed = by_status.entry(code.status().as_u16()).or_default();
        if !listed.contains(&code) {
            listed.push(code);
        }
    }
    by_status.into_iter().collect()
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_told_and_every_reference_leads_somewhere() {
        let document = document("1");
        for route in routes() {
            let told = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            assert!(told.is_object(), "{} {}", route.method, route.path);
        }
        let text = document.to_string();
        let known = document["components"]["schemas"].as_object().expect("schemas");
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            assert!(known.contains_key(name), "{name}");
        }
    }

    #[test]
    fn operation_ids_are_unique() {
        let mut ids: Vec<_> = routes().iter().map(operation_id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
    }
}
