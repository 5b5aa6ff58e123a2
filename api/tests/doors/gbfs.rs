//! The GBFS feed: every document keeps the published rules (`schemas/gbfs`), and shows what is free to
//! rent, and nothing else.
//!
//! Vehicles tell of themselves here by the domain's own rules, straight into the log: the feed reads
//! nothing but read models, and these follow the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use holdfast_api::gbfs::{FeedSecret, GbfsConfig};
use holdfast_api::token::Role;
use holdfast_domain::vehicle::{self, ReleaseReason, Telemetry};
use holdfast_domain::{
    AttemptId, By, Decider, Period, ReservationId, Sku, Timestamp, UserId, VehicleId, derive,
    inventory,
};
use holdfast_schemas::{Actor, Metadata, StoredEvent};
use holdfast_store::{Expected, NewEvent, StreamAppend, StreamId};
use serde_json::{Value, json};

use crate::world::World;

const DOCUMENTS: [&str; 5] =
    ["gbfs", "system_information", "vehicle_types", "vehicle_status", "vehicle_availability"];

/// A fleet of one class.
struct Fleet {
    world: World,
    vehicles: BTreeMap<VehicleId, vehicle::State>,
    pool: inventory::State,
    written: u64,
}

fn van() -> Sku {
    Sku::new("van").unwrap()
}

fn vehicle_id(name: &str) -> VehicleId {
    VehicleId::new(name).unwrap()
}

fn reservation(number: u64) -> ReservationId {
    ReservationId(derive(&["reservation", &number.to_string()]))
}

fn ada() -> UserId {
    UserId::new("ada").unwrap()
}

impl Fleet {
    async fn start(config: GbfsConfig) -> Self {
        let world = World::tuned(|api, _| api.gbfs = config).await;
        let admin = world.token("admin", Role::Admin);
        let item = json!({"idempotencyKey": "van", "sku": "van", "name": "A van", "kind": "VEHICLE_CLASS",
            "price": {"amountMinor": "4500", "currency": "EUR"}});
        world.accepted(&admin, "createItem", item).await;
        let pool = inventory::State::default();
        Self { world, vehicles: BTreeMap::new(), pool, written: 0 }
    }

    fn now(&self) -> Timestamp {
        self.world.engine.now()
    }

    fn event(&mut self, event: &impl StoredEvent) -> NewEvent {
        self.written += 1;
        let metadata = Metadata {
            occurred_at: self.now(),
            command_id: derive(&["command", &self.written.to_string()]),
            actor: Actor::user("fleet"),
            tenant_id: "main".into(),
            correlation_id: None,
            causation_id: None,
            idempotency_key: None,
            fingerprint: None,
            traceparent: None,
        };
        NewEvent {
            id: derive(&["event", &self.written.to_string()]),
            kind: event.kind().into(),
            schema_version: event.schema_version(),
            metadata: metadata.encode().into(),
            data: event.encode().into(),
        }
    }

    async fn append(&self, stream: String, events: Vec<NewEvent>) {
        let stream = StreamId::new(stream);
        let append = StreamAppend { stream, expected: Expected::Any, events };
        self.world.engine.store().append(vec![append]).await.unwrap();
    }

    async fn ask(&mut self, name: &str, command: vehicle::Command) {
        let (id, now) = (vehicle_id(name), self.now());
        let state = self.vehicles.entry(id.clone()).or_default();
        let decided = state.decide(&id, &command, now).unwrap();
        decided.iter().for_each(|event| state.evolve(event));
        let events = decided.iter().map(|event| self.event(event)).collect();
        self.append(format!("vehicle-{id}"), events).await;
    }

    async fn ask_pool(&mut self, command: inventory::Command) {
        let decided = self.pool.decide(&van(), &command, self.now()).unwrap();
        decided.iter().for_each(|event| self.pool.evolve(event));
        let events = decided.iter().map(|event| self.event(event)).collect();
        self.append("inventory-van".into(), events).await;
    }

    /// A new vehicle, of which one never hears again.
    async fn register(&mut self, name: &str, fuel_pct: Option<u8>) {
        let vin_ref = format!("VIN-{name}");
        let register =
            vehicle::Command::Register { vin_ref, type_pool: van(), odometer_m: 1_000, fuel_pct };
        self.ask(name, register).await;
        self.ask_pool(inventory::Command::Receive { qty: 1, by: ada() }).await;
    }

    /// A new vehicle that is there.
    async fn arrive(&mut self, name: &str, fuel_pct: u8, place: Option<(i64, i64)>) {
        self.register(name, Some(fuel_pct)).await;
        self.ask(name, vehicle::Command::ConnectionRestored { boot: 1 }).await;
        let telemetry = Telemetry {
            boot: 1,
            seq: 1,
            odometer_m: Some(2_000),
            fuel_pct: Some(fuel_pct),
            latitude_udeg: place.map(|place| place.0),
            longitude_udeg: place.map(|place| place.1),
            device_time: self.now(),
            ..Telemetry::default()
        };
        let report = vehicle::Command::ReportTelemetry { telemetry, low_fuel: 15 };
        self.ask(name, report).await;
    }

    async fn reserve(&mut self, name: &str, number: u64) {
        let reserve = vehicle::Command::Reserve {
            reservation_id: reservation(number),
            user_id: ada(),
            epoch: 1,
            expires_at: None,
            attempt: AttemptId(derive(&["attempt"])),
            period: None,
            confirmed: true,
        };
        self.ask(name, reserve).await;
    }

    /// Drives off. Unlocking and locking is between vehicle and link.
    async fn drive(&mut self, name: &str, number: u64) {
        let reservation_id = reservation(number);
        self.ask(name, vehicle::Command::StartTrip { reservation_id }).await;
    }

    async fn come_back(&mut self, name: &str, number: u64) {
        let (reservation_id, odometer_m, fuel_pct) = (reservation(number), 9_000, 50);
        let end = vehicle::Command::EndTrip { reservation_id, odometer_m, fuel_pct, lock: false };
        self.ask(name, end).await;
    }

    /// A booking of the class for a time ahead.
    async fn book(&mut self, number: u64, period: Period) {
        let hold = inventory::Command::Hold {
            reservation_id: reservation(number),
            qty: 1,
            expires_at: self.now().plus(Duration::from_secs(900)),
            epoch: 1,
            attempt: AttemptId(derive(&["attempt"])),
            period: Some(period),
        };
        self.ask_pool(hold).await;
    }

    async fn document(&self, name: &str) -> Value {
        let answer = self.world.get(&format!("/gbfs/3/{name}.json"), None).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let document = answer.json();
        if let Err(error) = rules(name).validate(&document) {
            panic!("{name} breaks a rule at {}: {error}\n{document:#}", error.instance_path());
        }
        document
    }

    async fn shown(&self) -> BTreeSet<String> {
        ids(&self.document("vehicle_status").await)
    }
}

fn vehicles(document: &Value) -> &Vec<Value> {
    document["data"]["vehicles"].as_array().unwrap()
}

fn ids(document: &Value) -> BTreeSet<String> {
    let id = |vehicle: &Value| vehicle["vehicle_id"].as_str().unwrap().to_owned();
    vehicles(document).iter().map(id).collect()
}

/// The published rules of a document, in our words.
fn rules(name: &str) -> jsonschema::Validator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/gbfs");
    let file = std::fs::read(folder.join(format!("{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_slice(&file).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

#[tokio::test]
async fn every_document_keeps_the_published_rules_and_needs_no_token() {
    let mut fleet = Fleet::start(GbfsConfig::default()).await;
    // Also when there is nothing to tell of.
    for name in DOCUMENTS {
        fleet.document(name).await;
    }
    fleet.arrive("here", 82, Some((52_520_008, -13_404_954))).await;
    fleet.arrive("somewhere", 15, None).await;
    for name in DOCUMENTS {
        let document = fleet.document(name).await;
        let version = if name == "vehicle_availability" { "3.1-RC3" } else { "3.0" };
        assert_eq!(document["version"], version);
    }
    let discovery = fleet.document("gbfs").await;
    let feeds = discovery["data"]["feeds"].as_array().unwrap();
    assert_eq!(feeds.len(), 4);
    for feed in feeds {
        let url = feed["url"].as_str().unwrap();
        let answer = fleet.world.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }
    let types = fleet.document("vehicle_types").await;
    let kind = &types["data"]["vehicle_types"][0];
    assert_eq!((&kind["vehicle_type_id"], &kind["form_factor"]), (&json!("van"), &json!("car")));

    let status = fleet.document("vehicle_status").await;
    let told = vehicles(&status);
    assert_eq!(told.len(), 2);
    let here = told.iter().find(|it| it.get("lat").is_some()).unwrap();
    assert_eq!((&here["lat"], &here["lon"]), (&json!(52.520_008), &json!(-13.404_954)));
    assert_eq!(here["current_fuel_percent"], json!(0.82));
    assert_eq!(here["current_range_meters"], json!(410_000));
    assert_eq!(here["vehicle_type_id"], "van");
    let system = fleet.document("system_information").await;
    assert_eq!(system["data"]["timezone"], "UTC");
}

/// Rules that let everything pass would prove nothing.
#[tokio::test]
async fn documents_that_break_a_rule_are_told() {
    let mut fleet = Fleet::start(GbfsConfig::default()).await;
    fleet.arrive("here", 82, Some((1, 2))).await;
    let broken: [(&str, &str, Value); 12] = [
        ("gbfs", "/version", json!("2.3")),
        ("gbfs", "/data/feeds/1/name", json!("vehicle_availability")),
        ("gbfs", "/data/feeds/0/url", json!("nowhere")),
        ("system_information", "/data/name", json!("a name")),
        ("system_information", "/data/feed_contact_email", json!("nobody")),
        ("vehicle_types", "/data/vehicle_types/0/form_factor", json!("van")),
        ("vehicle_status", "/data/vehicles/0/current_fuel_percent", json!(82)),
        ("vehicle_status", "/data/vehicles/0/lat", json!(91)),
        (
            "vehicle_status",
            "/data/vehicles/0/available_until",
            json!("2026-11-21T12:00:00.000001Z"),
        ),
        ("vehicle_status", "/last_updated", json!(1_795_000_000)),
        (
            "vehicle_availability",
            "/data/vehicles/0/availabilities/0",
            json!({"until": "2026-11-21T12:00:00Z"}),
        ),
        ("vehicle_availability", "/data/vehicles/0/vehicle_id", json!("with a space")),
    ];
    for (name, place, wrong) in broken {
        let mut document = fleet.document(name).await;
        match document.pointer_mut(place) {
            Some(value) => *value = wrong,
            None => {
                let (parent, field) = place.rsplit_once('/').unwrap();
                document.pointer_mut(parent).unwrap()[field] = wrong;
            }
        }
        assert!(!rules(name).is_valid(&document), "{name}{place}");
    }
}

#[tokio::test]
async fn a_vehicles_id_is_another_one_after_each_trip_and_stays_the_same_between() {
    let mut fleet = Fleet::start(GbfsConfig::default()).await;
    fleet.arrive("van-1", 80, Some((1, 2))).await;
    let first = fleet.shown().await;
    assert_eq!(first.len(), 1);
    assert!(!first.iter().any(|id| id.contains("van-1")));

    // A hold that came to nothing is no trip.
    fleet.reserve("van-1", 1).await;
    assert_eq!(fleet.shown().await, BTreeSet::new());
    let release = vehicle::Command::ReleaseReservation {
        reservation_id: reservation(1),
        epoch: 1,
        reason: ReleaseReason::Cancelled,
    };
    fleet.ask("van-1", release).await;
    assert_eq!(fleet.shown().await, first);

    let mut seen = first;
    for number in 2..6 {
        fleet.reserve("van-1", number).await;
        fleet.drive("van-1", number).await;
        assert_eq!(fleet.shown().await, BTreeSet::new(), "rented vehicles are absent");
        fleet.come_back("van-1", number).await;
        let shown = fleet.shown().await;
        assert_eq!(shown.len(), 1);
        assert!(shown.is_disjoint(&seen), "an id that was there before");
        assert_eq!(ids(&fleet.document("vehicle_availability").await), shown);
        seen.extend(shown);
    }
}

#[tokio::test]
async fn ids_follow_from_the_installations_secret() {
    let with = async |secret: [u8; 32]| {
        let secret = FeedSecret::new(secret);
        let mut fleet = Fleet::start(GbfsConfig { secret, ..GbfsConfig::default() }).await;
        fleet.arrive("van-1", 80, None).await;
        fleet.shown().await
    };
    let (one, same, other) = (with([1; 32]).await, with([1; 32]).await, with([2; 32]).await);
    assert_eq!(one, same, "a restart changes nothing");
    assert!(one.is_disjoint(&other));
}

/// V6: available, online, with fuel; and what is out of service, reserved or on a trip is not there.
#[tokio::test]
async fn only_what_can_be_rented_is_shown() {
    let mut fleet = Fleet::start(GbfsConfig::default()).await;
    fleet.register("never-seen", Some(90)).await;
    for name in ["free", "lost", "reserved", "driving", "broken"] {
        fleet.arrive(name, 60, Some((1, 2))).await;
    }
    fleet.arrive("empty", 14, Some((1, 2))).await;
    let last_seen = fleet.now();
    fleet.ask("lost", vehicle::Command::ConnectionLost { last_seen, boot: 1 }).await;
    fleet.reserve("reserved", 1).await;
    fleet.reserve("driving", 2).await;
    fleet.drive("driving", 2).await;
    let (by, reason) = (By::Operator(ada()), "a dent".to_owned());
    fleet.ask("broken", vehicle::Command::SetOutOfService { by, reason }).await;

    let status = fleet.document("vehicle_status").await;
    assert_eq!(vehicles(&status).len(), 1, "{status:#}");
    for vehicle in vehicles(&status) {
        let fuel = vehicle["current_fuel_percent"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&fuel));
        assert_eq!(
            (&vehicle["is_reserved"], &vehicle["is_disabled"]),
            (&json!(false), &json!(false))
        );
    }
    // It comes back to where it was.
    fleet.ask("lost", vehicle::Command::ConnectionRestored { boot: 2 }).await;
    assert_eq!(fleet.shown().await.len(), 2);
}

/// A class that is booked ahead shows as many vehicles as could be rented at each moment.
#[tokio::test]
async fn bookings_ahead_of_time_end_what_can_be_rented_now() {
    let mut fleet = Fleet::start(GbfsConfig::default()).await;
    fleet.arrive("van-1", 80, None).await;
    fleet.arrive("van-2", 70, None).await;
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let now = fleet.now();
    let soon = Period { from: now.plus(hours(2)), until: now.plus(hours(4)) };
    fleet.book(1, soon).await;
    let status = fleet.document("vehicle_status").await;
    assert_eq!(vehicles(&status).len(), 2);
    let ends: Vec<_> =
        vehicles(&status).iter().filter_map(|it| it.get("available_until")).collect();
    assert_eq!(ends.len(), 1, "one of the two is promised to somebody from then on");
    assert!(soon.from.to_string().starts_with(ends[0].as_str().unwrap().trim_end_matches('Z')));

    let availability = fleet.document("vehicle_availability").await;
    let slots: Vec<usize> = vehicles(&availability)
        .iter()
        .map(|vehicle| vehicle["availabilities"].as_array().unwrap().len())
        .collect();
    assert_eq!(slots, [1, 2], "always; and before the booking and after it");

    // A booking of the whole class that has begun: nothing is free to rent.
    for number in [2, 3] {
        fleet.book(number, Period { from: now, until: now.plus(hours(1)) }).await;
    }
    assert_eq!(fleet.shown().await, BTreeSet::new());
    let availability = fleet.document("vehicle_availability").await;
    assert_eq!(vehicles(&availability).len(), 2, "but it will be");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let mut fleet = Fleet::start(GbfsConfig::default()).await;
    fleet.arrive("van-1", 80, Some((1, 2))).await;
    let path = "/gbfs/3/vehicle_status.json";
    let first = fleet.world.get(path, None).await;
    assert_eq!(first.header("cache-control"), Some("public, max-age=10"));
    let etag = first.header("etag").unwrap().to_owned();
    let again = async |fleet: &Fleet| {
        let request = fleet.world.request(reqwest::Method::GET, path);
        fleet.world.send(request.header("if-none-match", &etag)).await
    };
    // Something happens meanwhile that the document does not tell of.
    fleet.ask_pool(inventory::Command::Receive { qty: 1, by: ada() }).await;
    let same = again(&fleet).await;
    assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
    assert_eq!(same.header("etag"), Some(etag.as_str()));
    fleet.reserve("van-1", 1).await;
    let other = again(&fleet).await;
    assert_eq!(other.status, 200);
    assert_ne!(other.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn links_lead_to_where_the_server_is_reached_from_outside() {
    let config =
        GbfsConfig { public_url: Some("https://rent.example/".into()), ..GbfsConfig::default() };
    let fleet = Fleet::start(config).await;
    let discovery = fleet.document("gbfs").await;
    for feed in discovery["data"]["feeds"].as_array().unwrap() {
        assert!(feed["url"].as_str().unwrap().starts_with("https://rent.example/gbfs/3/"));
    }
}
