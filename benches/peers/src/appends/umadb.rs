//! UmaDB, an event store of its own process: guarded by tag and position, over gRPC. Its client needs a
//! protocol compiler to be built; the five messages of an append are written here by hand.

use std::time::Duration;

use bytes::Bytes;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::common::{Round, produce};
use crate::servers::Uma;

/// How many connections there are at most; more producers share them.
const CONNECTIONS: usize = 64;

#[derive(Clone, PartialEq, prost::Message)]
struct AppendRequest {
    #[prost(message, repeated, tag = "1")]
    events: Vec<Event>,
    #[prost(message, optional, tag = "2")]
    condition: Option<AppendCondition>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(string, tag = "1")]
    event_type: String,
    #[prost(string, repeated, tag = "2")]
    tags: Vec<String>,
    #[prost(bytes = "bytes", tag = "3")]
    data: Bytes,
    #[prost(string, tag = "4")]
    uuid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AppendCondition {
    #[prost(message, optional, tag = "1")]
    fail_if_events_match: Option<Query>,
    #[prost(uint64, optional, tag = "2")]
    after: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Query {
    #[prost(message, repeated, tag = "1")]
    items: Vec<QueryItem>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct QueryItem {
    #[prost(string, repeated, tag = "1")]
    types: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    tags: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AppendResponse {
    #[prost(uint64, tag = "1")]
    position: u64,
}

pub(crate) async fn round(server: &Uma, producers: usize, span: Duration, data: Bytes) -> Round {
    let run = Uuid::now_v7();
    let mut channels = Vec::new();
    for _ in 0..producers.min(CONNECTIONS) {
        let endpoint = Endpoint::from_shared(server.url()).expect("an address").tcp_nodelay(true);
        channels.push(endpoint.connect().await.expect("a connection"));
    }
    produce(producers, span, move |producer, _, last: Option<u64>| {
        let channel = channels[producer % channels.len()].clone();
        // A tag of its own for each round: the server goes on from round to round.
        let tags = vec![format!("{run}:{producer}")];
        let guard = AppendCondition {
            fail_if_events_match: Some(Query {
                items: vec![QueryItem { types: vec![], tags: tags.clone() }],
            }),
            after: last,
        };
        let event = Event {
            event_type: super::KIND.into(),
            tags,
            data: data.clone(),
            uuid: Uuid::now_v7().to_string(),
        };
        let request = AppendRequest { events: vec![event], condition: Some(guard) };
        async move { Some(append(channel, request).await) }
    })
    .await
}

async fn append(channel: Channel, request: AppendRequest) -> u64 {
    let mut client = Grpc::new(channel);
    client.ready().await.expect("a connection");
    let answer: tonic::Response<AppendResponse> = client
        .unary(
            tonic::Request::new(request),
            PathAndQuery::from_static("/umadb.v1.DCB/Append"),
            ProstCodec::default(),
        )
        .await
        .expect("an append");
    answer.into_inner().position
}
