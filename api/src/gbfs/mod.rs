//! The GBFS v3 feed under `/gbfs/3/`: which vehicles are free to rent, for route planners and maps. It
//! needs no token, and reads nothing but read models.
//!
//! ```text
//!   vehicles ─┐                    ┌─► vehicle_status        now
//!   claims  ──┼─► free ─► documents ┼─► vehicle_availability  ahead of time
//!   items   ──┘  (V6)              └─► vehicle_types         classes
//!   settings ───────────────────────► system_information, gbfs (where the others are)
//! ```
//!
//! A document is built when the read models have moved or its time to live is over, by one request at a
//! time, and kept: however many ask, and they are strangers, a fleet is read once for each change. Its
//! `last_updated` and `ETag` change only when what it says does, or with its time to live.

mod documents;
mod free;
mod identity;
mod settings;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Timestamp, item};
use holdfast_projections::{ItemRow, MOST_ROWS, PageRequest};
use holdfast_store::Position;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::door::{Door, trouble};
use crate::no::No;
use documents::Document;

pub use settings::{FeedSecret, FormFactor, GbfsConfig, Propulsion};

/// The documents as they were built last.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    kept: Mutex<HashMap<Document, Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    /// What the read models had seen.
    position: Position,
    /// What it depends on besides: under which URL it was asked.
    base: String,
    last_updated: Timestamp,
    data: Value,
    body: Bytes,
    etag: HeaderValue,
}

impl Kept {
    fn is_fresh(&self, document: Document, now: Timestamp) -> bool {
        now.since(self.last_updated).as_secs() < u64::from(document.ttl())
    }
}

/// `GET /gbfs/3/gbfs.json`
pub(crate) async fn discovery(State(door): State<Arc<Door>>, asked: Asked) -> Response {
    answer(&door, Document::Discovery, &asked).await
}

/// `GET /gbfs/3/system_information.json`
pub(crate) async fn system_information(State(door): State<Arc<Door>>, asked: Asked) -> Response {
    answer(&door, Document::SystemInformation, &asked).await
}

/// `GET /gbfs/3/vehicle_types.json`
pub(crate) async fn vehicle_types(State(door): State<Arc<Door>>, asked: Asked) -> Response {
    answer(&door, Document::VehicleTypes, &asked).await
}

/// `GET /gbfs/3/vehicle_status.json`
pub(crate) async fn vehicle_status(State(door): State<Arc<Door>>, asked: Asked) -> Response {
    answer(&door, Document::VehicleStatus, &asked).await
}

/// `GET /gbfs/3/vehicle_availability.json`
pub(crate) async fn vehicle_availability(State(door): State<Arc<Door>>, asked: Asked) -> Response {
    answer(&door, Document::VehicleAvailability, &asked).await
}

/// Where the request was sent, and what its sender has already.
#[derive(FromRequestParts)]
pub(crate) struct Asked {
    uri: Uri,
    headers: HeaderMap,
}

async fn answer(door: &Door, document: Document, asked: &Asked) -> Response {
    // Only one of them says where it is.
    let base = match document {
        Document::Discovery => base(door, asked),
        Document::SystemInformation
        | Document::VehicleTypes
        | Document::VehicleStatus
        | Document::VehicleAvailability => String::new(),
    };
    match kept(door, document, base).await {
        Ok(kept) => shown(document, &kept, &asked.headers),
        Err(no) => no.into_response(),
    }
}

/// The document as it is now.
async fn kept(door: &Door, document: Document, base: String) -> Result<Kept, No> {
    door.fresh().await;
    // One at a time: who waits finds what the one before has built.
    let mut all = door.gbfs.kept.lock().await;
    let (now, position) = (door.engine.now(), door.reads.position());
    let before =
        all.get(&document).filter(|kept| kept.base == base && kept.is_fresh(document, now));
    if let Some(kept) = before.filter(|kept| kept.position == position) {
        return Ok(kept.clone());
    }
    let data = data(door, document, &base, now).await?;
    let kept = match before {
        Some(before) if before.data == data => Kept { position, ..before.clone() },
        _ => {
            let body = documents::envelope(document, now, &data).to_string();
            let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&body)[..16]);
            let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hexadecimal digits");
            Kept { position, base, last_updated: now, data, body: body.into(), etag }
        }
    };
    all.insert(document, kept.clone());
    Ok(kept)
}

async fn data(door: &Door, document: Document, base: &str, now: Timestamp) -> Result<Value, No> {
    let config = &door.config.gbfs;
    Ok(match document {
        Document::Discovery => documents::discovery(base),
        Document::SystemInformation => documents::system_information(config),
        Document::VehicleTypes => documents::vehicle_types(config, &classes(door).await?),
        Document::VehicleStatus => {
            documents::vehicle_status(config, &all_free(door, now).await?, now)
        }
        Document::VehicleAvailability => {
            documents::vehicle_availability(config, &all_free(door, now).await?, now)
        }
    })
}

async fn all_free(door: &Door, now: Timestamp) -> Result<Vec<free::Free>, No> {
    let config = &door.config.gbfs;
    let least_fuel = config.propulsion.has_a_range().then_some(config.least_fuel_pct);
    free::free(&door.reads, least_fuel, now).await.map_err(trouble)
}

/// The vehicle classes of the catalogue.
async fn classes(door: &Door) -> Result<Vec<ItemRow>, No> {
    let mut all = Vec::new();
    let mut page = PageRequest { first: MOST_ROWS, after: None };
    loop {
        let found = door.reads.items(None, Some(item::Kind::VehicleClass), &page).await;
        let found = found.map_err(trouble)?;
        page.after = found.rows.last().map(|(cursor, _)| cursor.clone());
        all.extend(found.rows.into_iter().map(|(_, row)| row));
        if !found.has_next {
            return Ok(all);
        }
    }
}

/// The document, or that the reader has it already.
fn shown(document: Document, kept: &Kept, headers: &HeaderMap) -> Response {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim().trim_start_matches("W/").as_bytes() == kept.etag.as_bytes());
    let cache = format!("public, max-age={}", document.ttl());
    let about = [
        (header::ETAG, kept.etag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_str(&cache).expect("words and digits")),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::OK, about, kind, kept.body.clone()).into_response()
}

/// Under which URL the feed is reached: as it is set, else as it was asked.
fn base(door: &Door, asked: &Asked) -> String {
    if let Some(url) = &door.config.gbfs.public_url {
        return url.trim_end_matches('/').into();
    }
    let host = asked.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let authority = authority.or_else(|| asked.uri.authority().cloned());
    authority.map_or_else(|| "http://localhost".into(), |authority| format!("http://{authority}"))
}
