//! A running server on a port of its own, and short ways to ask it things.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_api::code::TicketKey;
use holdfast_api::token::{self, Role, TokenKey, TokenKeys};
use holdfast_api::{ApiConfig, router, serve};
use holdfast_domain::UserId;
use holdfast_engine::clock::SystemClock;
use holdfast_engine::side::Side;
use holdfast_engine::{Engine, Parts, Running, Settings, SystemIds};
use holdfast_projections::ReadModels;
use holdfast_store::memory::Memory;
use holdfast_store::{EventStore, Position};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::garage::Garage;
use crate::till::Till;

pub(crate) const SEED: [u8; 32] = [42; 32];

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) reads: ReadModels,
    pub(crate) client: reqwest::Client,
    /// What vehicles were sent, and how they behave.
    pub(crate) garage: Arc<Garage>,
    stop: watch::Sender<bool>,
    _running: Running,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn position(&self) -> u64 {
        self.header("holdfast-position").unwrap().parse().unwrap()
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::tuned(|_, _| {}).await
    }

    pub(crate) async fn tuned(tune: impl FnOnce(&mut ApiConfig, &mut Settings)) -> Self {
        let keys = TokenKeys::new(TokenKey::from_seed(&SEED));
        let mut config = ApiConfig::new(keys, TicketKey::from_seed(&SEED));
        let mut settings = Settings { live_holds_per_customer: 1_000, ..Settings::default() };
        tune(&mut config, &mut settings);
        let store: Arc<dyn EventStore> = Arc::new(Memory::new());
        let garage = Arc::new(Garage::default());
        let parts = Parts {
            store: store.clone(),
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds),
            gateways: vec![Arc::new(Till::default())],
            vehicles: garage.clone(),
            side: Side::in_memory().await.unwrap(),
            snapshots: holdfast_engine::Snapshots::none(),
            settings,
        };
        let (engine, running) = Engine::start(parts).await.unwrap();
        garage.opens(engine.clone());
        let reads = ReadModels::in_memory().await.unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(reads.runner(store).run(stopped.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = config.limits.clone();
        let router = router(engine.clone(), reads.clone(), config);
        tokio::spawn(async move { serve(listener, router, &limits, stopped).await });
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { address, engine, reads, client, garage, stop, _running: running }
    }

    pub(crate) fn stop(&self) {
        let _ = self.stop.send(true);
    }

    pub(crate) fn token(&self, user: &str, role: Role) -> String {
        let hour = Duration::from_secs(3_600);
        let user = UserId::new(user).unwrap();
        token::issue(&TokenKey::from_seed(&SEED), &user, role, hour, self.engine.now())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(bearing(request, token)).await
    }

    /// A REST request with a key in its header.
    pub(crate) async fn rest(
        &self,
        method: Method,
        path: &str,
        token: &str,
        key: &str,
        body: Value,
    ) -> Answer {
        let request = self.request(method, path).header("idempotency-key", key).json(&body);
        self.send(bearing(request, Some(token))).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, key: &str, body: Value) -> Answer {
        self.rest(Method::POST, path, token, key, body).await
    }

    pub(crate) async fn graphql(
        &self,
        token: Option<&str>,
        query: &str,
        variables: Value,
    ) -> Value {
        let body = json!({"query": query, "variables": variables});
        let request = self.request(Method::POST, "/graphql").json(&body);
        self.send(bearing(request, token)).await.json()
    }

    /// A mutation's own answer.
    pub(crate) async fn mutate(
        &self,
        token: &str,
        field: &str,
        input: Value,
        wanted: &str,
    ) -> Value {
        let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let kind = match field {
            "receiveStock" | "adjustStock" => "StockInput",
            "blockSeats" | "unblockSeats" => "SeatsInput",
            "setSales" => "SalesInput",
            "redriveDeadLetter" => "RedriveInput",
            "cancelReservation" | "extendHold" => "ReservationInput",
            "unlockVehicle" | "lockVehicle" => "VehicleCommandInput",
            "setVehicleService" => "VehicleServiceInput",
            _ => &kind,
        };
        let query = format!(
            "mutation($input: {kind}!) {{ {field}(input: $input) {{ __typename {wanted} }} }}"
        );
        let answer = self.graphql(Some(token), &query, json!({"input": input})).await;
        assert!(answer.get("errors").is_none(), "{field}: {answer}");
        answer["data"][field].clone()
    }

    pub(crate) async fn mutate_owned(
        &self,
        token: String,
        field: &str,
        input: Value,
        wanted: &str,
    ) -> Value {
        self.mutate(&token, field, input, wanted).await
    }

    pub(crate) async fn accepted(&self, token: &str, field: &str, input: Value) {
        let wanted = "... on Accepted { position } ... on Refused { code message }";
        let answer = self.mutate(token, field, input, wanted).await;
        assert_eq!(answer["__typename"], "Accepted", "{field}: {answer}");
    }

    /// A hall of two rows of ten, and tickets for it.
    pub(crate) async fn with_hall(self) -> Self {
        self.hall("hall", 2, 10).await;
        self
    }

    pub(crate) async fn hall(&self, id: &str, rows: u32, seats: u32) {
        let admin = self.token("admin", Role::Admin);
        let eur = |amount: &str| json!({"amountMinor": amount, "currency": "EUR"});
        let ticket = format!("{id}-ticket");
        self.accepted(
            &admin,
            "createItem",
            json!({"idempotencyKey": format!("item-{id}"), "sku": ticket,
            "name": "An evening", "kind": "TICKET", "price": eur("4500")}),
        )
        .await;
        self.accepted(
            &admin,
            "receiveStock",
            json!({"idempotencyKey": format!("stock-{id}"), "sku": ticket,
            "quantity": rows * seats}),
        )
        .await;
        self.accepted(
            &admin,
            "publishSeatMap",
            json!({"idempotencyKey": format!("map-{id}"), "id": id,
            "name": "The hall", "sku": ticket, "categories": [{"name": "A", "price": eur("4500")}],
            "sections": [{"name": "S", "category": "A", "rows": rows, "seatsPerRow": seats}]}),
        )
        .await;
        self.settled().await;
    }

    /// Waits until the read models have everything.
    pub(crate) async fn settled(&self) {
        let head = self.engine.store().head();
        self.reads.wait_for(head, Duration::from_secs(10)).await.unwrap();
    }

    pub(crate) fn head(&self) -> Position {
        self.engine.store().head()
    }

    /// The names of seats of the hall, as its plan gives them.
    pub(crate) async fn seats(&self, map: &str) -> Vec<String> {
        let answer = self.get(&format!("/seatmaps/{map}"), None).await.json();
        let seats = answer["seats"].as_array().unwrap();
        seats.iter().map(|seat| seat["id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn bearing(
    request: reqwest::RequestBuilder,
    token: Option<&str>,
) -> reqwest::RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}
