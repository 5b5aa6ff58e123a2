//! The hot counter: 64 clients who all want one of the same thing.
//!
//! Ours is a pool of inventory behind the engine's dispatch, on the embedded log: every hold is judged by
//! the rules (room, epoch, deadline), recorded with its metadata and durable before it is answered. The
//! engine runs as in the server: its followers read every fact meanwhile. PostgreSQL counts one row down.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::item::{Description, Kind};
use holdfast_domain::process::Command;
use holdfast_domain::reservation::{Channel, LatePayment, OnDecline};
use holdfast_domain::{AttemptId, By, Currency, Money, ReservationId, Sku, UserId, inventory};
use holdfast_engine::clock::SystemClock;
use holdfast_engine::side::Side;
use holdfast_engine::{
    Caller, Engine, LineRequest, Parts, Request, Running, Settings, Snapshots, SystemIds,
};
use holdfast_schemas::Actor;
use holdfast_store::EventStore;
use holdfast_store::embedded::{Embedded, Options};
use uuid::Uuid;

use crate::Plan;
use crate::appends::prepared;
use crate::common::{Round, produce};
use crate::report::{Line, Report, Verdict};
use crate::servers::Cluster;

const CLIENTS: usize = 64;
/// More than anybody will take.
const STOCK: u32 = 1_000_000_000;

pub(crate) async fn run(plan: &Plan, home: &Path, cluster: Option<&Cluster>, report: &mut Report) {
    let (mut holds, mut reservations, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..plan.rounds {
        let home = home.join(format!("counter-{number}"));
        std::fs::create_dir_all(&home).expect("a directory");
        holds.push(one_pool(&home.join("holds"), plan.span, Ask::Hold).await);
        if let Some(cluster) = cluster {
            rows.push(one_row(cluster, plan.span).await);
        }
        reservations.push(one_pool(&home.join("whole"), plan.span, Ask::Reservation).await);
        std::fs::remove_dir_all(&home).expect("the directory goes");
        report.progress(&format!("hot counter, round {}", number + 1));
    }
    let holds = Round::median(holds);
    let ratio = |round: &Round| Some(holds.per_second / round.per_second);
    let whole = Round::median(reservations);
    let mut lines = vec![
        Line::of("Holdfast, holds of one pool", holds, None),
        Line::of("Holdfast, whole reservations (two appends each)", whole, ratio(&whole)),
    ];
    if !rows.is_empty() {
        let row = Round::median(rows);
        lines.push(Line::of("PostgreSQL 15, UPDATE of one row", row, ratio(&row)));
        let what = "hot counter, 64 clients / PostgreSQL UPDATE of one row";
        report.verdict(Verdict::at_least(what, holds.per_second / row.per_second, 50.0));
    }
    report.table(&format!("Hot counter, {CLIENTS} clients, in process"), "times", &lines);
}

/// What each client asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// One unit of the pool.
    Hold,
    /// A reservation of one unit, with its key, as a door asks for it.
    Reservation,
}

async fn one_pool(home: &Path, span: Duration, ask: Ask) -> Round {
    std::fs::create_dir_all(home).expect("a directory");
    let store = Arc::new(Embedded::open(home, Options::default()).expect("a log"));
    prepared(home).await;
    let (engine, running) = engine(Arc::clone(&store), home).await;
    let sku = Sku::new("last-tickets").expect("a sku");
    let description = Description {
        name: "The last tickets".into(),
        kind: Kind::Stock,
        category: None,
        price: Money::new(3_000, Currency::new("EUR").expect("a currency")),
        max_per_user: None,
        on_decline: OnDecline::KeepHold,
        late_payment: LatePayment::TryReacquire,
        remote_unlock: false,
    };
    let admin = request("admin", "createItem", "item");
    engine.create_item(&admin, sku.clone(), description).await.expect("an item");
    let admin = request("admin", "receiveStock", "stock");
    engine.receive_stock(&admin, sku.clone(), STOCK).await.expect("stock");

    let asked = engine.clone();
    let round = produce(CLIENTS, span, move |client, count, ()| {
        let (engine, sku) = (asked.clone(), sku.clone());
        async move {
            match ask {
                Ask::Hold => hold(&engine, sku, client, count).await,
                Ask::Reservation => reserve(&engine, sku, client, count).await,
            }
        }
    })
    .await;
    running.stop().await;
    store.close().await;
    round
}

async fn engine(store: Arc<Embedded>, home: &Path) -> (Engine, Running) {
    let parts = Parts {
        store: store as Arc<dyn EventStore>,
        clock: Arc::new(SystemClock::new()),
        ids: Arc::new(SystemIds),
        gateways: Vec::new(),
        vehicles: Arc::new(holdfast_engine::ports::NoLink),
        side: Side::open(home.join("side.sqlite")).await.expect("a side file"),
        snapshots: Snapshots::open(home.join("snapshots")),
        settings: Settings { live_holds_per_customer: u32::MAX, ..Settings::default() },
    };
    Engine::start(parts).await.expect("an engine")
}

async fn hold(engine: &Engine, sku: Sku, client: usize, count: u64) {
    // Names that the customer brings along. From the system each would be a call for randomness, three
    // of them a twentieth of the whole work.
    let name = |what: u64| Uuid::from_u64_pair(what << 32 | client as u64, count);
    let command = inventory::Command::Hold {
        reservation_id: ReservationId(name(1)),
        qty: 1,
        expires_at: engine.now().plus(Duration::from_secs(900)),
        epoch: 1,
        attempt: AttemptId(name(2)),
        period: None,
    };
    engine.order(name(3), &Command::Inventory(sku, command)).await.expect("there is plenty");
}

async fn reserve(engine: &Engine, sku: Sku, client: usize, count: u64) {
    let who = format!("user-{client}-{}", count / 10);
    let request = request(&who, "createReservation", &format!("{client}-{count}"));
    let line =
        LineRequest::Item { sku, quantity: 1, seat_ids: Vec::new(), section: None, period: None };
    engine.create_reservation(&request, vec![line], Channel::Other).await.expect("there is plenty");
}

fn request(who: &str, operation: &'static str, key: &str) -> Request {
    let user = UserId::new(who).expect("a name");
    let by = if who == "admin" { By::Operator(user.clone()) } else { By::Owner(user.clone()) };
    let caller = Caller { actor: Actor::user(who), by, user_id: user };
    let fingerprint = key.to_owned();
    let key = key.to_owned();
    Request { caller, operation, key, fingerprint, if_version: None, traceparent: None }
}

async fn one_row(cluster: &Cluster, span: Duration) -> Round {
    let admin = cluster.connect().await;
    admin
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS counter; CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
             INSERT INTO counter VALUES (1, {STOCK})"
        ))
        .await
        .expect("a table");
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        let client = cluster.connect().await;
        let update = client
            .prepare("UPDATE counter SET n = n - 1 WHERE id = 1 AND n > 0")
            .await
            .expect("a statement");
        connections.push(Arc::new((client, update)));
    }
    produce(CLIENTS, span, move |client, _, ()| {
        let connection = Arc::clone(&connections[client]);
        async move {
            let (client, update) = &*connection;
            let changed = client.execute(update, &[]).await.expect("an update");
            assert_eq!(changed, 1, "there is plenty");
        }
    })
    .await
}
