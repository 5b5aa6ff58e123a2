//! What a command and its answer take through a broker, with nothing of ours between: two publications of
//! QoS 1, 200 bytes each, one pair after the other. With more than one vehicle all of them are connected,
//! send telemetry (QoS 0, 200 bytes) once a second, and are commanded in turn.
//!
//! ```sh
//! ulimit -n 16384
//! cargo bench -p holdfast-iot --bench brokers -- --vehicles 1,1000 --seconds 10
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event, Incoming};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use support::client::Dial;
use support::house::{House, password, topic};
use support::mosquitto::{Mosquitto, line};

const PAYLOAD: usize = 200;
/// Between two commands when vehicles also send: a fleet does not unlock as fast as it can.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Embedded,
    Mosquitto,
    MosquittoDelaying,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
    let fleets: Vec<usize> = value("--vehicles")
        .map_or("1,1000", String::as_str)
        .split(',')
        .map(|n| n.parse().expect("--vehicles takes numbers with commas between"))
        .collect();
    let seconds = value("--seconds").map_or(5, |n| n.parse().expect("--seconds takes a number"));
    println!(
        "| broker | vehicles | TCP_NODELAY | p50 | p99 | longest | pairs | telemetry/s | connected in |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for &vehicles in &fleets {
        for (kind, nodelay, name, sides) in [
            (Kind::Mosquitto, true, "Mosquitto", "both sides"),
            (Kind::Embedded, true, "embedded", "both sides"),
            (Kind::Mosquitto, false, "Mosquitto", "broker"),
            (Kind::Embedded, false, "embedded", "broker"),
            (Kind::MosquittoDelaying, true, "Mosquitto", "clients"),
            (Kind::MosquittoDelaying, false, "Mosquitto", "neither"),
        ] {
            if vehicles > 1 && !(nodelay && kind != Kind::MosquittoDelaying) {
                continue;
            }
            let Some(house) = house(kind, vehicles).await else { continue };
            let row = measure(&house, vehicles, nodelay, Duration::from_secs(seconds)).await;
            println!("| {name} | {vehicles} | {sides} | {row} |");
            if let House::Embedded(running, _) = house {
                running.stop().await;
            }
        }
    }
}

fn name(vehicle: usize) -> String {
    format!("car-{vehicle:05}")
}

async fn house(kind: Kind, vehicles: usize) -> Option<House> {
    let names: Vec<String> = (0..vehicles).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if kind == Kind::Embedded {
        return Some(House::embedded(&names).await);
    }
    let mut broker = Mosquitto::start()?;
    broker.admit_lines(&names.iter().map(|id| line(id, &password(id))).collect::<String>());
    if kind == Kind::MosquittoDelaying {
        let file = broker.path("mosquitto.conf");
        let settings = std::fs::read_to_string(&file).expect("made by init");
        let delaying = settings.replace("set_tcp_nodelay true", "set_tcp_nodelay false");
        std::fs::write(&file, delaying).expect("written");
        broker.stop();
        broker.start_again();
    }
    Some(House::Mosquitto(Box::new(broker)))
}

async fn measure(house: &House, vehicles: usize, nodelay: bool, lasting: Duration) -> String {
    let mut tasks = JoinSet::new();
    let telemetry = Arc::new(AtomicU64::new(0));
    let (told, mut answers) = mpsc::unbounded_channel();
    let (engine, ready) = serve_engine(house, nodelay, &mut tasks, told, Arc::clone(&telemetry));
    ready.await.expect("the engine is let in");
    let begun = Instant::now();
    let mut fleet = Vec::new();
    for vehicle in 0..vehicles {
        let dial = house.dial(&name(vehicle)).nodelay(nodelay);
        fleet.push(obey(dial, name(vehicle), &mut tasks).await);
    }
    let connected = begun.elapsed();
    if vehicles > 1 {
        for (vehicle, client) in fleet.into_iter().enumerate() {
            tasks.spawn(chatter(client, vehicle));
        }
        // One round of telemetry before it counts.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    telemetry.store(0, Ordering::Relaxed);
    let (mut took, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < lasting {
        let number = took.len();
        let mut payload = vec![b'c'; PAYLOAD];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        let to = topic(&name(number * 7 % vehicles), "cmd/unlock");
        let sent = Instant::now();
        engine.publish(to, QoS::AtLeastOnce, false, payload).await.expect("it runs");
        let mine = async { while answers.recv().await.expect("it runs") != number {} };
        tokio::time::timeout(Duration::from_secs(10), mine).await.expect("an answer");
        took.push(sent.elapsed());
        if vehicles > 1 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let heard = telemetry.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    tasks.shutdown().await;
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let mut row = String::new();
    for duration in [at(0.5), at(0.99), at(1.0)] {
        let micros = duration.as_secs_f64() * 1e6;
        let shown = if micros < 10_000.0 {
            format!("{micros:.0} µs")
        } else {
            format!("{:.0} ms", micros / 1e3)
        };
        write!(row, "{shown} | ").expect("a string takes all");
    }
    write!(row, "{} | {heard:.0} | {} ms", took.len(), connected.as_millis())
        .expect("a string takes all");
    row
}

type Ready = tokio::sync::oneshot::Receiver<()>;

/// The engine's side: tells the numbers of answers, counts telemetry.
fn serve_engine(
    house: &House,
    nodelay: bool,
    tasks: &mut JoinSet<()>,
    told: mpsc::UnboundedSender<usize>,
    telemetry: Arc<AtomicU64>,
) -> (AsyncClient, Ready) {
    let (engine, mut events) = AsyncClient::new(house.dial_engine().nodelay(nodelay).0, 1024);
    let (up, ready) = tokio::sync::oneshot::channel();
    for (filter, qos) in [("rsp/unlock", QoS::AtLeastOnce), ("tel", QoS::AtMostOnce)] {
        engine.try_subscribe(topic("+", filter), qos).expect("room");
    }
    tasks.spawn(async move {
        let (mut up, mut granted) = (Some(up), 0);
        loop {
            match events.poll().await.expect("the engine stays connected") {
                Event::Incoming(Incoming::Publish(publish)) if publish.topic.ends_with(b"tel") => {
                    telemetry.fetch_add(1, Ordering::Relaxed);
                }
                Event::Incoming(Incoming::Publish(publish)) => {
                    let number = publish.payload[..8].try_into().expect("eight bytes");
                    // The measurement may be over.
                    let _ = told.send(usize::from_be_bytes(number));
                }
                Event::Incoming(Incoming::SubAck(_)) => {
                    granted += 1;
                    if granted == 2
                        && let Some(up) = up.take()
                    {
                        let _ = up.send(());
                    }
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    });
    (engine, ready)
}

/// A vehicle that answers each command at once; returns when it is subscribed.
async fn obey(dial: Dial, name: String, tasks: &mut JoinSet<()>) -> AsyncClient {
    let (client, mut events) = AsyncClient::new(dial.0, 64);
    client.subscribe(topic(&name, "cmd/unlock"), QoS::AtLeastOnce).await.expect("room");
    let (up, ready) = tokio::sync::oneshot::channel();
    let answering = client.clone();
    tasks.spawn(async move {
        let mut up = Some(up);
        let answer = topic(&name, "rsp/unlock");
        loop {
            match events.poll().await.expect("the vehicle stays connected") {
                Event::Incoming(Incoming::Publish(publish)) => answering
                    .try_publish(answer.clone(), QoS::AtLeastOnce, false, publish.payload)
                    .expect("room"),
                Event::Incoming(Incoming::SubAck(_)) => {
                    if let Some(up) = up.take() {
                        let _ = up.send(());
                    }
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    });
    ready.await.expect("the vehicle is let in");
    client
}

/// Telemetry once a second, at a moment of its own.
async fn chatter(client: AsyncClient, vehicle: usize) {
    tokio::time::sleep(Duration::from_millis(vehicle as u64 % 1000)).await;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        // Sent once; the next one comes in a second.
        let _ = client.try_publish(
            topic(&name(vehicle), "tel"),
            QoS::AtMostOnce,
            false,
            vec![b't'; PAYLOAD],
        );
    }
}
