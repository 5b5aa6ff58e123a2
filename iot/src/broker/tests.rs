//! What is the embedded broker's alone: its limits, its end, and each protection's twin, which shows what
//! happens without it. What it shares with Mosquitto is in `tests/brokers.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use holdfast_domain::VehicleId;
use tokio::net::TcpStream;

use super::twin::{Twin, Twins};
use super::{DEFAULT_LISTEN, ENGINE, Embedded, Limits, Principal, Running, VehicleAuth};

#[allow(dead_code, reason = "shared with tests/, which use all of it")]
#[path = "../../tests/support/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with tests/, which use all of it")]
#[path = "../../tests/support/raw.rs"]
mod raw;

use client::{Client, Dial};
use raw::Raw;

const CAR: &str = "car-1";
const WOLF: &str = "car-2";
const COMMAND: &str = "hf/v1/v/car-1/cmd/unlock";

/// Lets everybody in whose password is the user name.
struct Trusting;

#[async_trait]
impl VehicleAuth for Trusting {
    async fn verify(&self, user: &str, password: &[u8]) -> Option<Principal> {
        Principal::of(user).filter(|_| user.as_bytes() == password)
    }
}

async fn broker(limits: Limits, missing: Option<Twin>) -> Running {
    let any_port = SocketAddr::new(DEFAULT_LISTEN.ip(), 0);
    let twins = Twins { missing };
    Embedded::start_lacking(any_port, Arc::new(Trusting), limits, twins).await.expect("a free port")
}

fn dial(broker: &Running, user: &str) -> Dial {
    Dial::new(broker.addr(), user, user)
}

async fn connect(broker: &Running, user: &str) -> Client {
    dial(broker, user).connect().await.expect("let in")
}

async fn car(broker: &Running) -> Client {
    let mut car = connect(broker, CAR).await;
    assert!(car.subscribe(COMMAND).await);
    car
}

/// Whether a forged command of another vehicle reaches the car before the engine's own.
async fn is_fooled(missing: Option<Twin>) -> bool {
    let broker = broker(Limits::default(), missing).await;
    let (mut car, mut wolf) = (car(&broker).await, connect(&broker, WOLF).await);
    wolf.publish(COMMAND, false, "forged").await;
    connect(&broker, ENGINE).await.publish(COMMAND, false, "genuine").await;
    car.text().await == "forged"
}

#[tokio::test]
async fn without_the_fence_a_vehicle_commands_another() {
    assert!(!is_fooled(None).await);
    assert!(is_fooled(Some(Twin::Fence)).await);
}

/// Whether the car still gets its command after another vehicle has come under its client id.
async fn keeps_its_session(missing: Option<Twin>) -> bool {
    let broker = broker(Limits::default(), missing).await;
    let mut car = car(&broker).await;
    let wolf = dial(&broker, WOLF).client_id(CAR).connect().await;
    connect(&broker, ENGINE).await.publish(COMMAND, false, "open").await;
    let heard = car.next().await;
    drop(wolf);
    matches!(heard, client::Heard::Message(_))
}

#[tokio::test]
async fn without_the_client_ids_rule_a_session_is_taken_over() {
    assert!(keeps_its_session(None).await);
    assert!(!keeps_its_session(Some(Twin::OwnClientId)).await);
}

/// The first command that a car hears which comes after a command was published retained.
async fn first_command(missing: Option<Twin>) -> String {
    let broker = broker(Limits::default(), missing).await;
    let mut engine = connect(&broker, ENGINE).await;
    engine.publish(COMMAND, true, "of yesterday").await;
    let mut car = car(&broker).await;
    engine.publish(COMMAND, false, "of today").await;
    car.text().await
}

#[tokio::test]
async fn without_its_rule_a_retained_command_is_obeyed_at_every_connection() {
    assert_eq!(first_command(None).await, "of today");
    assert_eq!(first_command(Some(Twin::Retained)).await, "of yesterday");
}

/// How long the first payload is that the engine hears after a vehicle has sent a long one.
async fn first_length(missing: Option<Twin>) -> usize {
    let broker = broker(Limits::default(), missing).await;
    let mut engine = connect(&broker, ENGINE).await;
    assert!(engine.subscribe("hf/v1/v/+/evt").await);
    let mut car = connect(&broker, CAR).await;
    car.publish("hf/v1/v/car-1/evt", false, &"x".repeat(100_000)).await;
    car.publish("hf/v1/v/car-1/evt", false, "short").await;
    engine.message().await.payload.len()
}

#[tokio::test]
async fn without_its_rule_a_vehicle_fills_the_engines_queue_with_long_payloads() {
    assert_eq!(first_length(None).await, 5);
    assert_eq!(first_length(Some(Twin::PayloadLength)).await, 100_000);
}

/// The shortest of some round trips: a command that the car answers.
async fn round_trip(missing: Option<Twin>) -> Duration {
    let broker = broker(Limits::default(), missing).await;
    let (mut car, mut engine) = (car(&broker).await, connect(&broker, ENGINE).await);
    assert!(engine.subscribe("hf/v1/v/+/rsp/unlock").await);
    let mut shortest = Duration::MAX;
    for _ in 0..12 {
        let begun = Instant::now();
        let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
        engine.handle.publish(COMMAND, qos, false, "open").await.expect("it runs");
        car.message().await;
        car.handle
            .publish("hf/v1/v/car-1/rsp/unlock", qos, false, "opened")
            .await
            .expect("it runs");
        engine.message().await;
        shortest = shortest.min(begun.elapsed());
    }
    shortest
}

#[tokio::test]
async fn without_tcp_nodelay_every_command_waits_for_an_acknowledgement() {
    let (with, without) = (round_trip(None).await, round_trip(Some(Twin::NoDelay)).await);
    // The kernel delays acknowledgements by 40 ms: the shortest of many shows it on a busy machine too.
    assert!(with < Duration::from_millis(20), "{with:?}");
    assert!(without > Duration::from_millis(20), "{without:?}");
}

#[tokio::test]
async fn who_stays_silent_keeps_nobody_out() {
    let patience = Duration::from_millis(10);
    let limits = Limits { strangers: 4, patience, ..Limits::default() };
    let broker = broker(limits, None).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(broker.addr()).await.unwrap());
    }
    let mut car = car(&broker).await;
    // Those that came first went for those that came later; who has said its name stays.
    assert!(Raw(silent.remove(0)).is_hung_up_on().await);
    for _ in 0..20 {
        silent.push(TcpStream::connect(broker.addr()).await.unwrap());
    }
    let mut engine = connect(&broker, ENGINE).await;
    engine.publish(COMMAND, false, "open").await;
    assert_eq!(car.text().await, "open");
    assert_eq!(broker.connected().await, 2);
}

#[tokio::test]
async fn a_fleet_that_comes_all_at_once_comes_in() {
    // Nobody is silent: none may be closed for another, however few places there are.
    let patience = Duration::from_secs(60);
    let broker = broker(Limits { strangers: 2, patience, ..Limits::default() }, None).await;
    let fleet = (0..100).map(|number| {
        let dial = dial(&broker, &format!("car-{number}"));
        tokio::spawn(dial.connect())
    });
    let mut cars = Vec::new();
    for car in fleet.collect::<Vec<_>>() {
        cars.push(car.await.unwrap().expect("let in"));
    }
    assert_eq!(broker.connected().await, 100);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_stay() {
    let broker = broker(Limits { connections: 2, ..Limits::default() }, None).await;
    let (mut car, mut engine) = (car(&broker).await, connect(&broker, ENGINE).await);
    assert!(dial(&broker, WOLF).connect().await.is_err());
    engine.publish(COMMAND, false, "open").await;
    assert_eq!(car.text().await, "open");
}

#[tokio::test]
async fn a_vehicle_that_reads_nothing_holds_nobody_up() {
    let limits = Limits { lane: 4, queued_messages: 8, ..Limits::default() };
    let broker = broker(limits, None).await;
    // Subscribes, and never looks at its socket again.
    let mut deaf = Raw::connect(broker.addr(), CAR, CAR).await;
    deaf.subscribe(COMMAND).await;
    let mut engine = connect(&broker, ENGINE).await;
    let mut other = connect(&broker, WOLF).await;
    assert!(other.subscribe("hf/v1/v/car-2/cmd/lock").await);
    let payload = "x".repeat(10_000);
    for _ in 0..200 {
        engine.publish(COMMAND, false, &payload).await;
    }
    engine.publish("hf/v1/v/car-2/cmd/lock", false, "lock").await;
    assert_eq!(other.text().await, "lock");
}

#[tokio::test]
async fn it_stops_within_two_seconds_whoever_is_connected() {
    let broker = broker(Limits::default(), None).await;
    let mut car = car(&broker).await;
    let mut deaf = Raw::connect(broker.addr(), WOLF, WOLF).await;
    let silent = TcpStream::connect(broker.addr()).await.unwrap();
    let (addr, begun) = (broker.addr(), Instant::now());
    broker.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    car.down().await;
    assert!(deaf.is_hung_up_on().await);
    assert!(Raw(silent).is_hung_up_on().await);
    // The address is free again.
    let again = Embedded::start(addr, Arc::new(Trusting)).await.expect("free");
    again.stop().await;
}

#[tokio::test]
async fn a_taken_address_is_told_with_what_to_do() {
    let first = broker(Limits::default(), None).await;
    let refused = Embedded::start(first.addr(), Arc::new(Trusting)).await;
    let told = refused.expect_err("taken").to_string();
    for word in [&first.addr().to_string(), "mqtt.listen", "mqtt.broker"] {
        assert!(told.contains(word), "{told}");
    }
}

#[tokio::test]
async fn a_verdict_that_names_another_lets_nobody_in() {
    struct Confused;
    #[async_trait]
    impl VehicleAuth for Confused {
        async fn verify(&self, _: &str, _: &[u8]) -> Option<Principal> {
            VehicleId::new(WOLF).ok().map(Principal::Vehicle)
        }
    }
    let any_port = SocketAddr::new(DEFAULT_LISTEN.ip(), 0);
    let broker = Embedded::start(any_port, Arc::new(Confused)).await.expect("a free port");
    assert!(dial(&broker, CAR).connect().await.is_err());
    assert!(dial(&broker, WOLF).connect().await.is_ok());
}
