//! What both kinds of WebSockets share: who may open one, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use axum::http::{HeaderMap, HeaderValue, header};
use tokio::sync::OwnedSemaphorePermit;

use crate::door::Door;
use crate::front::allowed;
use crate::no::{Code, No};
use crate::serve::Stopping;
use crate::who::Who;

/// Judges a request to open a WebSocket. A browser says where its page comes from; a page of another
/// host may only when it is listed. What is no browser says nothing and may.
pub(crate) fn admit(door: &Arc<Door>, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, No> {
    if let Some(origin) = headers.get(header::ORIGIN)
        && !allowed(origin, &door.config.ws_origins)
        && !same_host(origin, headers.get(header::HOST))
    {
        return Err(No::new(Code::Forbidden, "pages of this origin may not connect"));
    }
    door.sockets
        .clone()
        .try_acquire_owned()
        .map_err(|_| No::new(Code::Unavailable, "too many open WebSockets; try again later"))
}

fn same_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let (Some((_, origin)), Some(host)) = (origin, host) else { return false };
    origin.as_bytes().eq_ignore_ascii_case(host.as_bytes())
}

/// Resolves when the server stops.
pub(crate) async fn stopped(stopping: Option<Stopping>) {
    match stopping {
        Some(mut stopping) => stopping.stopped().await,
        None => std::future::pending().await,
    }
}

/// Resolves when the token of whoever opened the socket has expired.
pub(crate) async fn token_over(door: &Arc<Door>, who: &Who) {
    let Who::Known(claims) = who else { return std::future::pending().await };
    let (door, end) = (door.clone(), claims.expires_at);
    loop {
        let left = end.since(door.engine.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.clamp(Duration::from_millis(50), Duration::from_secs(60))).await;
    }
}

/// A closing frame; reasons are short (125 bytes with the code).
pub(crate) fn frame(code: u16, reason: &str) -> CloseFrame {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame { code, reason: Utf8Bytes::from(&reason[..end]) }
}

/// Says why, if the client still listens within `patience`, and lets go.
pub(crate) async fn close(socket: &mut WebSocket, frame: Option<CloseFrame>, patience: Duration) {
    if let Some(frame) = frame {
        let send = socket.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(patience, send).await;
        // The client answers the close; what else it still says is not heard.
        let drain = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_same_host_is_known_by_it() {
        let value = |text| HeaderValue::from_str(text).expect("a header");
        let same = |origin, host| same_host(&value(origin), Some(&value(host)));
        assert!(same("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(same("https://Shop.example", "shop.example"));
        assert!(!same("https://shop.example.evil.example", "shop.example"));
        assert!(!same("null", "shop.example"));
        assert!(!same_host(&value("https://shop.example"), None));
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(frame(4400, &"ü".repeat(100)).reason.len(), 120);
    }
}
