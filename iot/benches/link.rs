//! What a command takes by the whole link: signed, sent, checked and obeyed by a simulated vehicle, its
//! answer checked and told, while every vehicle sends telemetry once a second, which goes to the raw file.
//! Beside it the bare round trips of `brokers.rs`.
//!
//! ```sh
//! ulimit -n 16384
//! cargo bench -p holdfast-iot --bench link -- --vehicles 1000 --seconds 300
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use holdfast_iot::Broker;

use support::house::House;
use support::road::Road;

/// Between two commands: a fleet does not unlock as fast as it can.
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
    let number = |name, usual| value(name).map_or(usual, |n| n.parse().expect("a number"));
    let (vehicles, seconds) = (number("--vehicles", 1_000), number("--seconds", 10));
    let names: Vec<String> = (0..vehicles).map(|number| format!("car-{number:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    println!(
        "| broker | vehicles | p50 | p99 | longest | commands | telemetry/s | dropped | memory at first | at the end |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    if let Some(house) = House::mosquitto(&names) {
        measure("Mosquitto", &house, &names, seconds).await;
    }
    measure("embedded", &House::embedded(&names).await, &names, seconds).await;
}

async fn measure(name: &str, house: &House, names: &[&str], seconds: u64) {
    let mut road = Road::over(house).await;
    let broker = Broker::new(&format!("mqtt://{}", house.vehicles()), None).expect("a URL");
    let cars = road.drive(broker, names, |it| it.ramp = Duration::from_secs(2)).await;
    let (mut took, before) = (Vec::new(), road.link.health().telemetry);
    let (begun, first) = (Instant::now(), resident_mib());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let vehicle = names[took.len() * 7 % names.len()];
        let sent = Instant::now();
        road.unlock(vehicle).await;
        took.push(sent.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    let health = road.link.health();
    let heard = (health.telemetry - before) as f64 / begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_micros();
    println!(
        "| {name} | {} | {} µs | {} µs | {} µs | {} | {heard:.0} | {} | {first} MiB | {} MiB |",
        names.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        took.len(),
        health.telemetry_dropped,
        resident_mib(),
    );
    drop(cars);
    road.stop().await;
}

/// What this process has in memory: the link, all vehicles, and the embedded broker if it is that one.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0) / 1_024
}
