//! What the rows say is what the domain says, however they came to be: live, in pieces, or rebuilt.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::payment::Status as PaymentStatus;
use holdfast_domain::vehicle::Reported;
use holdfast_domain::{Period, reservation};
use holdfast_projections::{Bounds, PageRequest, Projection, ReadModels, TicketStatus};
use holdfast_store::EventStore;
use holdfast_store::memory::Memory;
use proptest::prelude::*;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Column as _, Row as _, ValueRef as _};
use world::{Dice, START, World, hall, user};

/// Every row of every table of every projection, as text.
async fn dump(path: &Path) -> BTreeMap<String, Vec<String>> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .fetch_all(&pool)
            .await
            .unwrap();
    let mut all = BTreeMap::new();
    for table in tables {
        // Generations tell how often a table was rebuilt, not what is in it.
        let columns =
            if table == "checkpoints" { "name, version, position, event_id" } else { "*" };
        let sql = format!("SELECT {columns} FROM {table} ORDER BY 1, 2");
        let rows = sqlx::query(&sql).fetch_all(&pool).await.unwrap();
        let line = |row: sqlx::sqlite::SqliteRow| {
            let cells = row.columns().iter().map(|column| {
                let raw = row.try_get_raw(column.ordinal()).unwrap();
                if raw.is_null() {
                    return format!("{}=NULL", column.name());
                }
                let text = row
                    .try_get_unchecked::<String, _>(column.ordinal())
                    .or_else(|_| {
                        row.try_get_unchecked::<i64, _>(column.ordinal()).map(|n| n.to_string())
                    })
                    .unwrap();
                format!("{}={text}", column.name())
            });
            cells.collect::<Vec<_>>().join(" ")
        };
        all.insert(table, rows.into_iter().map(line).collect());
    }
    pool.close().await;
    all
}

/// Both hold the same rows; says the first that differs.
fn same(some: &BTreeMap<String, Vec<String>>, others: &BTreeMap<String, Vec<String>>) {
    assert_eq!(some.keys().collect::<Vec<_>>(), others.keys().collect::<Vec<_>>());
    for (table, rows) in some {
        for (row, other) in rows.iter().zip(&others[table]) {
            assert_eq!(row, other, "in {table}");
        }
        assert_eq!(rows.len(), others[table].len(), "rows of {table}");
    }
}

/// The rows that one pass over a log gives.
async fn followed(store: &Arc<Memory>, path: &Path) -> ReadModels {
    let reads = ReadModels::open(path).await.unwrap();
    reads.runner(Arc::clone(store) as Arc<dyn EventStore>).catch_up().await.unwrap();
    reads
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Compares every answer with the state that the domain itself has folded.
async fn compare(world: &World, reads: &ReadModels) {
    for (id, state) in &world.reservations {
        let row = reads.reservation(id).await.unwrap();
        if state.status == reservation::Status::None {
            assert_eq!(row, None);
            continue;
        }
        let row = row.expect("a reservation has a row");
        assert_eq!(
            (row.status, row.version, row.saga_state.as_str(), row.hold_expires_at, &row.lines),
            (state.status, state.version, state.saga_state(), state.hold_expires_at, &state.lines),
        );
        assert_eq!((Some(row.total), row.finalized), (state.total, state.finalized));
        let claimed = state.lines.iter().find_map(|line| line.vehicle_id.clone());
        assert_eq!(row.vehicle_id, state.vehicle_id.clone().or(claimed));
        let begun = row.rental.as_ref().map(|it| (it.started_at, it.odometer_start_m));
        assert_eq!(begun, state.rental_started_at.zip(state.odometer_start_m));
        let back = row.rental.and_then(|rental| rental.returned);
        assert_eq!(back.is_some(), state.status == reservation::Status::Completed);
        if let Some(back) = back {
            let begun = state.odometer_start_m.unwrap();
            assert_eq!(back.odometer_end_m, begun + back.distance_m);
        }
        assert_eq!(Some(&row.user_id), state.user_id.as_ref());
    }
    for number in 0..4 {
        let live = world.reservations.values().filter(|state| {
            let held = [reservation::Status::Hold, reservation::Status::AwaitingPayment];
            state.user_id == Some(user(number)) && held.contains(&state.status)
        });
        assert_eq!(reads.live_holds(&user(number)).await.unwrap(), live.count() as u32);
    }
    for (id, state) in &world.payments {
        let row = reads.payment(id).await.unwrap();
        assert_eq!(row.is_some(), state.current().is_some());
        let Some(row) = row else { continue };
        let asked_for = state.status() == PaymentStatus::CaptureRequested;
        let shown = if asked_for { PaymentStatus::Authorized } else { state.status() };
        assert_eq!((row.status, row.version), (shown, state.version));
        assert_eq!((row.kind, row.inspection_id), (state.kind, state.inspection_id));
        assert_eq!((Some(row.captured), Some(row.refunded)), (state.captured(), state.refunded()));
        let owner = reads.reservation(&row.reservation_id).await.unwrap().map(|row| row.user_id);
        if owner.is_some() {
            assert!(row.user_id.is_none() || row.user_id == owner, "another's payment");
        }
    }
    for (id, state) in &world.pools {
        let row = reads.availability(id).await.unwrap().expect("a pool has a row");
        assert_eq!(
            (row.total, row.available, row.closed),
            (state.total(), state.available(), !state.is_open())
        );
        if state.claims().all(|(_, claim)| claim.what.period.is_none()) {
            assert_eq!(
                (u64::from(row.held), u64::from(row.committed)),
                (state.held(), state.committed())
            );
        }
        for hour in (20..80).step_by(5) {
            let from = START.plus(Duration::from_secs(hour * 3_600));
            let period = Period { from, until: from.plus(Duration::from_secs(4 * 3_600)) };
            let row = reads.availability_in(id, &period).await.unwrap().expect("a pool");
            assert_eq!(row.available, state.available_in(period), "{id} in {period:?}");
        }
    }
    let map = &world.seat_maps[&hall()];
    let row = reads.seat_map(&hall()).await.unwrap().expect("the hall");
    let counts = map.counts();
    assert_eq!(
        (row.counts.free, row.counts.locked, row.counts.booked, row.counts.blocked),
        (counts.free, counts.locked, counts.booked, counts.blocked),
    );
    let seats = reads.seats(&hall(), None).await.unwrap();
    assert_eq!(seats.len(), map.seats().count());
    for (row, view) in seats.iter().zip(map.seats()) {
        assert_eq!(row.id, view.id);
        assert_eq!(word(row.status), word(view.status), "{}", row.id);
        assert_eq!(
            (row.owner(), row.user_id.as_ref(), row.expires_at, row.blocked_reason.as_deref()),
            (view.owner, view.user_id, view.expires_at, view.blocked_for),
            "{}",
            row.id,
        );
        assert_eq!((row.category.as_str(), row.price), (view.category, view.price));
    }
    for (id, state) in &world.items {
        let row = reads.item(id).await.unwrap().expect("an item");
        assert_eq!(
            (Some(row.description), row.seat_map_id),
            (state.description.clone(), state.seat_map_id.clone())
        );
    }
    for (id, state) in &world.tickets {
        let row = reads.ticket(id).await.unwrap();
        assert_eq!(row.as_ref().map(|row| &row.user_id), state.user_id.as_ref());
        let status = match (state.revoked, state.check_ins.is_empty()) {
            (true, _) => TicketStatus::Revoked,
            (false, false) => TicketStatus::CheckedIn,
            (false, true) => TicketStatus::Valid,
        };
        assert!(row.is_none_or(|row| row.status == status));
    }
}

/// The fleet, and what was found on it.
async fn compare_fleet(world: &World, reads: &ReadModels) {
    for (id, state) in &world.vehicles {
        let row = reads.vehicle(id).await.unwrap().expect("a vehicle has a row");
        assert_eq!(
            (Some(row.status), row.rental, row.lock, row.online),
            (state.reported(), state.rental(), state.lock(), state.is_online()),
            "{id}: {state:?}",
        );
        assert_eq!(
            (row.odometer_m, row.fuel_pct, row.last_seen),
            (state.odometer_m(), state.fuel_pct(), state.last_seen()),
        );
        let (holder, assigned) = (row.holder.as_ref(), state.reservation());
        assert_eq!(
            holder.map(|it| (it.reservation_id, &it.user_id, it.confirmed, it.period)),
            assigned.map(|it| (it.reservation_id, it.user_id, it.confirmed, it.period)),
        );
        assert_eq!(
            row.command.map(|it| (it.command_id, it.kind, it.deadline)),
            state.command().map(|it| (it.command_id, it.kind, it.deadline)),
        );
        assert_eq!(row.out_of_service.as_deref(), state.out_of_service());
        assert_eq!(
            (row.vin.as_str(), Some(&row.sku)),
            (state.vin_ref().unwrap(), state.type_pool())
        );
    }
    let page = PageRequest { first: 100, after: None };
    let all = reads.vehicles(None, None, &page).await.unwrap();
    assert_eq!(all.rows.len(), world.vehicles.len());
    let free = reads.vehicles_to_rent(Some(15), 100).await.unwrap();
    let may_be_rented = world.vehicles.iter().filter(|(_, state)| {
        let fuelled = state.fuel_pct().is_some_and(|fuel| fuel >= 15);
        state.reported() == Some(Reported::Available) && state.is_online() && fuelled
    });
    let ids: BTreeSet<_> = free.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, may_be_rented.map(|(id, _)| id.clone()).collect());

    for (id, state) in &world.inspections {
        let row = reads.inspection(id).await.unwrap();
        assert_eq!(row.is_some(), state.exists());
        let Some(row) = row else { continue };
        assert_eq!(
            (row.claim_status, row.claim_id, row.estimate, row.amount),
            (state.status, state.claim_id, state.estimate, state.charged.or(state.amount)),
        );
        assert_eq!((&row.photos, &row.description), (&state.photos, &state.description));
        if let Some(payment) = row.payment_id {
            assert_eq!(Some(payment), state.payment_id(id));
        }
        let of = reads.inspections_of(&row.reservation_id).await.unwrap();
        assert!(of.contains(&row));
    }
}

fn word(status: impl serde::Serialize) -> String {
    serde_json::to_string(&status).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(24),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// P11, and each row model against the aggregate that it shows.
    #[test]
    fn rows_say_what_the_domain_says_live_in_pieces_and_rebuilt(seed: u64, steps in 50_usize..400) {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let whole = folder.path().join("whole.sqlite");
            let pieces = folder.path().join("pieces.sqlite");

            // In pieces, each read by a runner that remembers nothing: kills between batches.
            let mut world = World::new();
            world.open().await;
            let mut dice = Dice::new(seed);
            let store = Arc::clone(&world.store) as Arc<dyn EventStore>;
            for _ in 0..4 {
                world.live(&mut dice, steps / 4).await;
                let reads = ReadModels::open(&pieces).await.unwrap();
                reads.runner(Arc::clone(&store)).catch_up().await.unwrap();
                reads.runner(Arc::clone(&store)).catch_up().await.unwrap();
                reads.close().await;
            }

            let reads = followed(&world.store, &whole).await;
            compare(&world, &reads).await;
            compare_fleet(&world, &reads).await;
            let live = dump(&whole).await;
            same(&dump(&pieces).await, &live);

            let position = reads.rebuild(store, &Projection::ALL, |_| {}).await.unwrap();
            prop_assert_eq!(position, world.store.head());
            same(&dump(&whole).await, &live);
            compare(&world, &reads).await;
            compare_fleet(&world, &reads).await;
            let store = Arc::clone(&world.store) as Arc<dyn EventStore>;
            narrowly(&reads, store, seed).await;
            same(&dump(&whole).await, &live);
            reads.close().await;
            Ok(())
        })?;
    }
}

/// A rebuild that can hold next to nothing: it writes all the time, in pieces, and has to ask the tables
/// for what it wrote before, as one of a log does that is larger than memory.
async fn narrowly(reads: &ReadModels, store: Arc<dyn EventStore>, seed: u64) {
    let bounds = Bounds {
        batch: 1 + (seed % 97) as usize,
        gathered: 1 + (seed % 40) as usize,
        written: 1 + (seed / 40 % 20) as usize,
        kept: (seed / 800 % 30) as usize,
    };
    reads.rebuild_within(bounds, store, &Projection::ALL, |_| {}).await.unwrap();
}

/// How many random logs: `HOLDFAST_CASES` asks for more.
fn cases(usual: u32) -> u32 {
    std::env::var("HOLDFAST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}
