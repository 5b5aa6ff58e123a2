//! What the doors may be told: limits, keys, and who may knock from where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::code::TicketKey;
use crate::gbfs::GbfsConfig;
use crate::token::TokenKeys;

/// Everything that bounds a stranger. CONTRACT.md, *Limits*: the defaults are its numbers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A request's body.
    pub body_bytes: usize,
    /// How deep JSON may nest.
    pub json_depth: usize,
    /// A request's line and headers together.
    pub header_bytes: usize,
    /// How long a request's head may take to come.
    pub header_read: Duration,
    /// How long a request's body may take to come.
    pub body_read: Duration,
    /// How long a request may take to be answered (an answer that streams has begun by then).
    pub answer: Duration,
    /// How long a client may leave an answer unread.
    pub write_stall: Duration,
    /// How many connections are open at once; more wait in the operating system's queue.
    pub connections: usize,
    /// How long a stop waits for requests that are under way.
    pub drain: Duration,
    /// GraphQL: how deep selections may nest.
    pub graphql_depth: usize,
    /// GraphQL: what one document may cost; a field costs one.
    pub graphql_complexity: usize,
    /// GraphQL: aliases in one document.
    pub graphql_aliases: usize,
    /// GraphQL: directives in one document.
    pub graphql_directives: usize,
    /// GraphQL: length of one document.
    pub graphql_document_bytes: usize,
    /// GraphQL: operations in one request.
    pub graphql_batch: usize,
    /// Rows of one page.
    pub page: usize,
    /// One message from a client over a WebSocket.
    pub ws_message_bytes: usize,
    /// Subscriptions of one WebSocket.
    pub ws_subscriptions: usize,
    /// WebSockets that are open at once.
    pub ws_connections: usize,
    /// How many changes a slow reader of a WebSocket may fall behind before it is sent away.
    pub ws_queue: usize,
    /// How long the reader of a WebSocket may leave a message untaken, and a closing frame.
    pub ws_take: Duration,
    /// How long a client may take to send `connection_init`.
    pub ws_init: Duration,
    /// How long a read waits at most for what was recorded before it began, when it names no position:
    /// whoever reads what it has just written sees it, unless the read models are far behind.
    pub freshness: Duration,
    /// How long `?min_position=` and `minPosition` wait.
    pub min_position_wait: Duration,
    /// Requests a minute of one address; 0 is no limit.
    pub requests_per_minute_per_address: u32,
    /// Holds and seat locks a minute of one customer; 0 is no limit.
    pub holds_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            body_bytes: 1 << 20,
            json_depth: 64,
            header_bytes: 16 << 10,
            header_read: secs(10),
            body_read: secs(30),
            answer: secs(60),
            write_stall: secs(60),
            connections: 8_192,
            drain: secs(10),
            graphql_depth: 12,
            graphql_complexity: 1_000,
            graphql_aliases: 50,
            graphql_directives: 20,
            graphql_document_bytes: 16 << 10,
            graphql_batch: 10,
            page: 100,
            ws_message_bytes: 64 << 10,
            ws_subscriptions: 32,
            ws_connections: 4_096,
            ws_queue: 1_024,
            ws_take: secs(10),
            ws_init: secs(10),
            freshness: Duration::from_millis(100),
            min_position_wait: secs(2),
            requests_per_minute_per_address: 0,
            holds_per_minute: 0,
        }
    }
}

/// When `/health/ready` says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// How many events a consumer may lie behind.
    pub max_lag: u64,
    /// How many dead letters may be parked.
    pub max_dead_letters: u64,
}

impl Default for Ready {
    fn default() -> Self {
        // One letter is an operator's task; a pile of a hundred is a server's trouble.
        Self { max_lag: 10_000, max_dead_letters: 99 }
    }
}

/// What a router is made with.
#[derive(Clone)]
pub struct ApiConfig {
    /// What bounds a stranger.
    pub limits: Limits,
    /// Whose tokens are taken.
    pub tokens: TokenKeys,
    /// What signs tickets.
    pub tickets: TicketKey,
    /// The paths of the sandbox gateway, each beginning with `/sandbox/`, when there is one. Its ledger
    /// is reached with OPERATE or READ_AUDIT only; the rest is for everybody.
    pub sandbox: Option<axum::Router>,
    /// The program's version, as `/health/live` and the OpenAPI document tell it.
    pub version: String,
    /// Web pages of other origins that may call (CORS); none unless they are listed.
    pub cors_origins: Vec<String>,
    /// Web pages of other origins that may open WebSockets. A client that sends no `Origin` is no
    /// browser and may; a page of our own host may.
    pub ws_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// What the GBFS feed says of the system.
    pub gbfs: GbfsConfig,
    /// When `/health/ready` says no.
    pub ready: Ready,
    /// Further reasons not to be ready (disk below its reserve, a part that died); asked at each
    /// `/health/ready`.
    pub unready: Option<Arc<dyn Fn() -> Vec<String> + Send + Sync>>,
}

impl ApiConfig {
    /// Defaults around the keys, which have none.
    pub fn new(tokens: TokenKeys, tickets: TicketKey) -> Self {
        Self {
            limits: Limits::default(),
            tokens,
            tickets,
            sandbox: None,
            version: env!("CARGO_PKG_VERSION").into(),
            cors_origins: Vec::new(),
            ws_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            gbfs: GbfsConfig::default(),
            ready: Ready::default(),
            unready: None,
        }
    }
}
