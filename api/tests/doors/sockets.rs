//! Halls and subscriptions, live.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use holdfast_api::token::Role;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::World;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const SOON: Duration = Duration::from_secs(20);

async fn dial(world: &World, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://{}{path}", world.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// The next text, or the code with which the server closes.
async fn heard(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let message = tokio::time::timeout(SOON, socket.next()).await.expect("something comes");
        match message {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => {
                return Err(frame.map_or(0, |frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(0),
        }
    }
}

/// One client of `graphql-transport-ws`.
pub(crate) struct Talk {
    socket: Socket,
}

impl Talk {
    async fn dial(world: &World) -> Socket {
        let protocol = [("sec-websocket-protocol", "graphql-transport-ws")];
        dial(world, "/graphql/ws", &protocol).await.unwrap()
    }

    pub(crate) async fn open(world: &World, token: Option<&str>) -> Self {
        let mut talk = Self { socket: Self::dial(world).await };
        let payload = token.map(|token| json!({"authorization": format!("Bearer {token}")}));
        talk.say(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(talk.next().await["type"], "connection_ack");
        talk
    }

    /// The code with which a token is refused.
    pub(crate) async fn refused(world: &World, token: &str) -> u16 {
        let mut talk = Self { socket: Self::dial(world).await };
        talk.say(json!({"type": "connection_init", "payload": {"token": token}})).await;
        heard(&mut talk.socket).await.expect_err("it is refused")
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.socket.send(Message::Text(message.to_string().into())).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({"id": id, "type": "subscribe", "payload": {"query": query}})).await;
    }

    pub(crate) async fn next(&mut self) -> Value {
        heard(&mut self.socket).await.expect("a message")
    }

    /// The code with which the server ends it.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = heard(&mut self.socket).await {
                return code;
            }
        }
    }

    /// The data of the next answer to that subscription.
    async fn data(&mut self, id: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["id"] == id {
                assert_eq!(message["type"], "next", "{message}");
                return message["payload"]["data"].clone();
            }
        }
    }
}

#[tokio::test]
async fn a_hall_is_shown_and_then_every_change_in_order() {
    let world = World::start().await.with_hall().await;
    let (ada, operator) = (world.token("ada", Role::Customer), world.token("op", Role::Operator));
    let seats = world.seats("hall").await;
    let taken = world
        .post("/api/v1/seats/lock", &ada, "0", json!({"seatMapId": "hall", "seatIds": [seats[9]]}))
        .await;
    let (mut one, mut two) = (
        dial(&world, "/ws/seats/hall", &[]).await.unwrap(),
        dial(&world, "/ws/seats/hall", &[]).await.unwrap(),
    );
    for page in [&mut one, &mut two] {
        let snapshot = heard(page).await.unwrap();
        assert_eq!(
            (&snapshot["type"], &snapshot["seatMapId"]),
            (&json!("SNAPSHOT"), &json!("hall"))
        );
        assert_eq!(snapshot["seats"].as_object().unwrap().len(), 20);
        assert_eq!(snapshot["seats"][&seats[9]], "LOCKED");
        assert_eq!(snapshot["seats"][&seats[0]], "FREE");
        assert!(snapshot["position"].as_str().unwrap().parse::<u64>().unwrap() >= taken.position());
    }
    let lock = world
        .post("/api/v1/seats/lock", &ada, "1", json!({"seatMapId": "hall", "seatIds": [seats[0]]}))
        .await;
    let path = format!("/api/v1/seats/lock/{}", lock.json()["lockId"].as_str().unwrap());
    world.rest(Method::DELETE, &path, &ada, "2", json!({})).await;
    let order = json!({"ticket_id": "hall-ticket", "qty": 1, "seat_ids": [seats[1]]});
    let order = world.post("/orders", &ada, "3", order).await.json();
    let paid = world
        .post(
            "/payments",
            &ada,
            "4",
            json!({"order_id": order["order_id"], "payment_method": "tok_approve"}),
        )
        .await;
    assert_eq!(paid.status, 200, "{paid:?}");
    world.engine.quiet().await;
    world.accepted(&operator, "blockSeats", json!({"idempotencyKey": "b", "seatMapId": "hall", "seatIds": [seats[2]], "reason": "broken"})).await;
    world
        .accepted(
            &operator,
            "unblockSeats",
            json!({"idempotencyKey": "u", "seatMapId": "hall", "seatIds": [seats[2]]}),
        )
        .await;
    for page in [&mut one, &mut two] {
        let mut last = 0;
        for (kind, seat) in [
            ("SEAT_LOCKED", &seats[0]),
            ("SEAT_RELEASED", &seats[0]),
            ("SEAT_LOCKED", &seats[1]),
            ("SEAT_BOOKED", &seats[1]),
            ("SEAT_BLOCKED", &seats[2]),
            ("SEAT_RELEASED", &seats[2]),
        ] {
            let change = heard(page).await.unwrap();
            assert_eq!(
                (&change["type"], &change["seatIds"]),
                (&json!(kind), &json!([seat])),
                "{change}"
            );
            let position = change["position"].as_str().unwrap().parse::<u64>().unwrap();
            assert!(position > last, "positions go up");
            last = position;
            assert!(!change.to_string().contains("ada"), "nobody is named: {change}");
            assert_eq!(change["expiresAt"].is_string(), kind == "SEAT_LOCKED");
        }
    }
    // Another plan is another picture.
    world
        .accepted(
            &operator,
            "publishSeatMap",
            json!({"idempotencyKey": "m2", "id": "hall", "name": "The hall", "sku": "hall-ticket",
        "categories": [{"name": "A", "price": {"amountMinor": "4500", "currency": "EUR"}}],
        "sections": [{"name": "S", "category": "A", "rows": 3, "seatsPerRow": 10}]}),
        )
        .await;
    let again = heard(&mut one).await.unwrap();
    assert_eq!(
        (&again["type"], again["seats"].as_object().unwrap().len()),
        (&json!("SNAPSHOT"), 30)
    );
    world.stop();
    assert_eq!(heard(&mut one).await, Err(1001));
}

#[tokio::test]
async fn a_page_that_opens_in_a_storm_misses_nothing_and_sees_nothing_twice() {
    let world = World::start().await.with_hall().await;
    let operator = world.token("op", Role::Operator);
    let seats = world.seats("hall").await;
    let storm = async {
        for n in 0..60 {
            let seat = &seats[n % 20];
            let field = if (n / 20) % 2 == 0 { "blockSeats" } else { "unblockSeats" };
            world.accepted(&operator, field, json!({"idempotencyKey": format!("k{n}"), "seatMapId": "hall", "seatIds": [seat]})).await;
        }
        world.head()
    };
    let looks = async {
        let mut pages = Vec::new();
        for _ in 0..8 {
            let mut page = dial(&world, "/ws/seats/hall", &[]).await.unwrap();
            pages.push((heard(&mut page).await.unwrap(), page));
        }
        pages
    };
    let (end, pages) = tokio::join!(storm, looks);
    for (snapshot, mut page) in pages {
        let mut picture = snapshot["seats"].clone();
        let mut at: u64 = snapshot["position"].as_str().unwrap().parse().unwrap();
        while at < end.0 {
            let change = heard(&mut page).await.unwrap();
            let position: u64 = change["position"].as_str().unwrap().parse().unwrap();
            assert!(position > at, "seen twice: {change}");
            at = position;
            let status = if change["type"] == "SEAT_BLOCKED" { "BLOCKED" } else { "FREE" };
            for seat in change["seatIds"].as_array().unwrap() {
                picture[seat.as_str().unwrap()] = status.into();
            }
        }
        let expected: serde_json::Map<_, _> =
            seats.iter().map(|seat| (seat.clone(), json!("BLOCKED"))).collect();
        assert_eq!(picture, Value::Object(expected));
    }
}

#[tokio::test]
async fn a_slow_reader_is_sent_away_and_keeps_nobody_waiting() {
    let world = World::tuned(|config, _| {
        config.limits.ws_queue = 4;
        // However busy this machine is: what must hold is the bound, and the code behind it.
        config.limits.ws_take = Duration::from_secs(120);
    })
    .await;
    world.hall("wide", 20, 100).await;
    let operator = world.token("op", Role::Operator);
    let seats = world.seats("wide").await;
    let (mut slow, mut quick) = (
        dial(&world, "/ws/seats/wide", &[]).await.unwrap(),
        dial(&world, "/ws/seats/wide", &[]).await.unwrap(),
    );
    heard(&mut quick).await.unwrap();
    let storm = async {
        // Ten megabytes, more than the sockets' buffers hold.
        for n in 0..400 {
            let field = if n % 2 == 0 { "blockSeats" } else { "unblockSeats" };
            let input =
                json!({"idempotencyKey": format!("k{n}"), "seatMapId": "wide", "seatIds": seats});
            world.accepted(&operator, field, input).await;
        }
    };
    let reading = async {
        let mut changes = 0;
        while changes < 400 {
            match heard(&mut quick).await {
                Ok(_) => changes += 1,
                // On a busy machine even this one may fall behind four batches: it opens again.
                Err(code) => {
                    assert_eq!(code, 1013);
                    break;
                }
            }
        }
    };
    tokio::join!(storm, reading);
    let mut heard_by_slow = 0;
    let code = loop {
        match heard(&mut slow).await {
            Ok(_) => heard_by_slow += 1,
            Err(code) => break code,
        }
    };
    assert_eq!(code, 1013, "after {heard_by_slow} messages");
    assert!(heard_by_slow < 401);
}

#[tokio::test]
async fn halls_that_are_not_there_and_pages_from_elsewhere_are_refused() {
    let world = World::tuned(|config, _| {
        config.ws_origins = vec!["https://shop.example".into()];
        config.limits.ws_connections = 2;
    })
    .await
    .with_hall()
    .await;
    assert_eq!(dial(&world, "/ws/seats/nowhere", &[]).await.err(), Some(404));
    let evil = [("origin", "https://evil.example")];
    assert_eq!(dial(&world, "/ws/seats/hall", &evil).await.err(), Some(403));
    assert_eq!(dial(&world, "/graphql/ws", &evil).await.err(), Some(403));
    let one = dial(&world, "/ws/seats/hall", &[("origin", "https://shop.example")]).await.unwrap();
    let own = format!("http://{}", world.address);
    let two = dial(&world, "/ws/seats/hall", &[("origin", &own)]).await.unwrap();
    assert_eq!(dial(&world, "/ws/seats/hall", &[]).await.err(), Some(503), "there is a bound");
    drop((one, two));
}

#[tokio::test]
async fn what_a_client_sends_is_bounded() {
    let world = World::start().await.with_hall().await;
    let mut page = dial(&world, "/ws/seats/hall", &[]).await.unwrap();
    heard(&mut page).await.unwrap();
    let _ = page.send(Message::Text("x".repeat((64 << 10) + 1).into())).await;
    assert!(heard(&mut page).await.is_err(), "it is closed");
}

#[tokio::test]
async fn subscriptions_tell_what_changes() {
    let world = World::start().await.with_hall().await;
    let ada = world.token("ada", Role::Customer);
    let seats = world.seats("hall").await;
    let order = json!({"ticket_id": "hall-ticket", "qty": 1, "seat_ids": [seats[1]]});
    let order = world.post("/orders", &ada, "o", order).await.json();
    let id = order["order_id"].as_str().unwrap();
    let mut talk = Talk::open(&world, Some(&ada)).await;
    talk.subscribe(
        "seats",
        "subscription { seatChanged(seatMapId: \"hall\") { type seatIds expiresAt position } }",
    )
    .await;
    talk.subscribe("res", &format!("subscription {{ reservationChanged(id: \"{id}\") {{ status version sagaState payments {{ status }} }} }}")).await;
    talk.subscribe("stock", "subscription { availabilityChanged(skus: [\"hall-ticket\"]) { held committed available } }").await;
    talk.subscribe("mail", "subscription { notificationAdded { channel subject body } }").await;
    // An answer to this means that those before it have begun.
    talk.subscribe("me", "{ me { id permissions } }").await;
    assert_eq!(talk.data("me").await["me"]["id"], "ada");
    let paid = world
        .post("/payments", &ada, "p", json!({"order_id": id, "payment_method": "tok_approve"}))
        .await;
    assert_eq!(paid.status, 200, "{paid:?}");
    let (mut statuses, mut booked, mut stock, mut mail) = (Vec::new(), false, false, false);
    while statuses.last().map(String::as_str) != Some("DONE") || !booked || !stock || !mail {
        let message = talk.next().await;
        let data = &message["payload"]["data"];
        match message["id"].as_str().unwrap() {
            "seats" => booked |= data["seatChanged"]["type"] == "SEAT_BOOKED",
            "res" => {
                statuses.push(data["reservationChanged"]["sagaState"].as_str().unwrap().to_owned())
            }
            "stock" => stock |= data["availabilityChanged"]["committed"] == 1,
            "mail" => mail |= data["notificationAdded"]["subject"].is_string(),
            _ => {}
        }
    }
    statuses.dedup();
    assert_eq!(statuses, ["PAYMENT_PENDING", "PAYMENT_COMPLETED", "DONE"]);
    // From a position on: history first, then live, without a seam.
    let from = "subscription { seatChanged(seatMapId: \"hall\", from: \"1\") { type position } }";
    talk.subscribe("again", from).await;
    let first = talk.data("again").await;
    assert_eq!(first["seatChanged"]["type"], "SEAT_LOCKED");
    talk.say(json!({"id": "again", "type": "complete"})).await;
    // Another's reservation is not there.
    let mut bob = Talk::open(&world, Some(&world.token("bob", Role::Customer))).await;
    bob.subscribe(
        "1",
        &format!("subscription {{ reservationChanged(id: \"{id}\") {{ status }} }}"),
    )
    .await;
    let refused = bob.next().await;
    assert!(refused.to_string().contains("NOT_FOUND"), "{refused}");
    let auditor = world.token("audit", Role::Auditor);
    let mut audit = Talk::open(&world, Some(&auditor)).await;
    audit.subscribe("log", "subscription { eventRecorded(from: \"1\") { position type } }").await;
    for position in 1..=world.head().0 {
        assert_eq!(audit.data("log").await["eventRecorded"]["position"], position.to_string());
    }
}

#[tokio::test]
async fn the_protocol_is_kept_with_its_codes() {
    let world = World::tuned(|config, _| config.limits.ws_init = Duration::from_millis(200)).await;
    let fresh = || async { Talk { socket: Talk::dial(&world).await } };
    let mut silent = fresh().await;
    assert_eq!(heard(&mut silent.socket).await, Err(4408));
    let mut early = fresh().await;
    early.subscribe("1", "{ me { id } }").await;
    assert_eq!(heard(&mut early.socket).await, Err(4401));
    let mut babble = fresh().await;
    babble.say(json!({"type": "hello"})).await;
    assert_eq!(heard(&mut babble.socket).await, Err(4400));
    let mut twice = Talk::open(&world, None).await;
    twice.say(json!({"type": "connection_init"})).await;
    assert_eq!(heard(&mut twice.socket).await, Err(4429));
    let mut same = Talk::open(&world, None).await;
    let query = "subscription { availabilityChanged(skus: [\"x\"]) { sku } }";
    same.subscribe("1", query).await;
    same.subscribe("1", query).await;
    assert_eq!(heard(&mut same.socket).await, Err(4409));
    let mut talk = Talk::open(&world, None).await;
    talk.say(json!({"type": "ping"})).await;
    assert_eq!(talk.next().await["type"], "pong");
    talk.subscribe("1", "{ nothing }").await;
    let refused = talk.next().await;
    assert_eq!(
        (&refused["type"], &refused["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("GRAPHQL_INVALID"))
    );
    for n in 0..40 {
        talk.subscribe(&format!("s{n}"), query).await;
    }
    let bounded = talk.next().await;
    assert_eq!(bounded["payload"][0]["extensions"]["code"], "RATE_LIMITED", "{bounded}");
    let mut other = dial(&world, "/graphql/ws", &[]).await.unwrap();
    assert_eq!(heard(&mut other).await, Err(4406));
}
