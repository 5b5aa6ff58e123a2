//! The whole link behind real fences: over the embedded broker, over Mosquitto as `iot/mosquitto/` sets it
//! up, and with vehicles that come by TLS.

mod support;

use std::time::Duration;

use holdfast_domain::VehicleId;
use holdfast_domain::vehicle::Answer;
use holdfast_iot::{Broker, BrokerError};

use support::house::House;
use support::road::Road;

const CARS: [&str; 3] = ["car-1", "car-2", "car-3"];

fn plain(house: &House) -> Broker {
    Broker::new(&format!("mqtt://{}", house.vehicles()), None).expect("a URL")
}

async fn vehicles_obey(house: House, broker: Broker) {
    let mut road = Road::over(&house).await;
    let every = Duration::from_millis(100);
    let cars = road.drive(broker, &CARS, |it| it.telemetry_every = every).await;
    for car in CARS {
        let answer = road.unlock(car).await;
        assert_eq!(answer.answer, Answer::Unlocked);
        assert_eq!((answer.odometer_m, answer.fuel_pct), (Some(12_345_678), Some(82)));
    }
    // Somebody says on another's topic that it is open: the fence lets nothing through.
    let id = VehicleId::new("car-1").expect("a name");
    cars.publish(&id, "hf/v1/v/car-2/rsp/unlock", "{}", false).await;
    road.until("telemetry", |road| road.link.health().telemetry > 6).await;
    let health = road.link.health();
    assert_eq!((health.refused, health.forged, health.telemetry_dropped), (0, 0, 0));
    cars.stop().await;
    // Each has said goodbye.
    road.until("silence", |road| road.desk.connected.lock().expect("fine").is_empty()).await;
    road.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_obey_over_the_embedded_broker() {
    let house = House::embedded(&CARS).await;
    let broker = plain(&house);
    vehicles_obey(house, broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_obey_over_mosquitto() {
    let Some(house) = House::mosquitto(&CARS) else { return };
    let broker = plain(&house);
    vehicles_obey(house, broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_obey_over_tls() {
    let Some(house) = House::mosquitto(&CARS) else { return };
    let House::Mosquitto(mosquitto) = &house else { panic!("it is Mosquitto") };
    let ca = std::fs::read(mosquitto.ca()).expect("made by init");
    let url = format!("mqtts://localhost:{}", mosquitto.tls_port());
    let broker = Broker::new(&url, Some(&ca)).expect("a URL and a CA");
    assert!(matches!(Broker::new(&url, Some(b"none")), Err(BrokerError::Ca(_))));
    vehicles_obey(house, broker).await;
}
