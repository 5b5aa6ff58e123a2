//! Somebody at the doors: REST, GraphQL, WebSocket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// What a door answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The position at which the answer is true.
    pub(crate) fn position(&self) -> u64 {
        let header = self.header("holdfast-position");
        let header =
            header.unwrap_or_else(|| panic!("an answer of a mutation has a position: {self:?}"));
        header.parse().expect("a number")
    }

    /// A field that is a text.
    pub(crate) fn text_of(&self, pointer: &str) -> String {
        let value = self.body.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{pointer} is a text in {}", self.text)).to_owned()
    }

    /// The answer, if it has that status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The answer, if it is a problem of that status and code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        self
    }
}

/// Keys that no two requests of a test share.
fn fresh_key() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("key-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Somebody, with or without a token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) url: String,
    client: Client,
    pub(crate) user: String,
    pub(crate) token: Option<String>,
}

impl Person {
    pub(crate) fn new(url: &str, client: Client, user: &str, token: Option<String>) -> Self {
        Self { url: url.into(), client, user: user.into(), token }
    }

    /// One request, as it stands.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, reqwest::Error> {
        let began = Instant::now();
        let url =
            if path.starts_with("http") { path.into() } else { format!("{}{path}", self.url) };
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, text, body, took: began.elapsed() })
    }

    /// A mutation under a key.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Value,
    ) -> Result<Answer, reqwest::Error> {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        self.ask(method, path, &headers, Some(body.to_string().into_bytes())).await
    }

    /// A POST under a fresh key.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_as(path, &fresh_key(), body).await
    }

    /// A POST under this key.
    pub(crate) async fn post_as(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(Method::POST, path, key, body).await.expect("the door answers")
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &fresh_key(), json!({})).await.expect("the door answers")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], None).await.expect("the door answers")
    }

    /// A GraphQL request; its whole answer.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Answer {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let headers = [("content-type", "application/json")];
        let asked = self.ask(Method::POST, "/graphql", &headers, Some(body.into_bytes()));
        asked.await.expect("the door answers")
    }

    /// The data of a GraphQL request without errors.
    pub(crate) async fn query(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql(query, variables).await;
        assert!(answer.body.get("errors").is_none(), "{query}: {}", answer.text);
        answer.body["data"].clone()
    }

    /// A mutation with one input; the key is put in when it has none. Its result.
    pub(crate) async fn mutate(
        &self,
        name: &str,
        kind: &str,
        mut input: Value,
        fields: &str,
    ) -> Value {
        if input.get("idempotencyKey").is_none() {
            input["idempotencyKey"] = fresh_key().into();
        }
        let query = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ __typename {fields} }} }}"
        );
        self.query(&query, json!({ "input": input })).await[name].clone()
    }

    /// The log, event by event, as an auditor reads it.
    pub(crate) async fn events(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/events{query}")).await.expect(200);
        answer
            .text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// Events that were published under one of the diagrams' topics.
    pub(crate) async fn topic(&self, topic: &str) -> Vec<Value> {
        let events = self.events("?format=cloudevents&aliases=seeds").await;
        events.into_iter().filter(|event| names_topic(event, topic)).collect()
    }
}

/// Whether a line of `/events?format=cloudevents&aliases=seeds` is about that topic.
fn names_topic(event: &Value, topic: &str) -> bool {
    // Under an alias an event carries the diagram's own name, and the bus topic that it would go to.
    event["type"] == topic || event["topic"] == topic
}

/// The messages of `/ws/seats/{map}`, as JSON; the first is the snapshot.
pub(crate) async fn seats_socket(
    person: &Person,
    map: &str,
) -> impl futures::Stream<Item = Value> + Unpin + use<> {
    let url = format!("{}/ws/seats/{map}", person.url.replace("http://", "ws://"));
    let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("the socket opens");
    Box::pin(socket.filter_map(async |message| match message {
        Ok(Message::Text(text)) => Some(serde_json::from_str(&text).expect("JSON")),
        Ok(_) => None,
        Err(error) => panic!("the socket broke: {error}"),
    }))
}
