//! Vehicles that are not there: what each starts from.

use holdfast_domain::VehicleId;
use holdfast_domain::vehicle::State;
use holdfast_engine::clock::SystemClock;
use holdfast_engine::ports::Clock as _;
use holdfast_engine::side::Side;
use holdfast_iot::simulator::VehicleSpec;
use holdfast_schemas::mqtt::Key;

/// Where the first of them stands: the middle of Berlin.
const MIDDLE: (f64, f64) = (52.520, 13.405);
/// What a vehicle has driven that has not said so yet, in metres.
const NEW_M: u64 = 12_000_000;
/// What is in a tank of which nobody knows, in percent.
const TANK_PCT: u8 = 80;

/// The `nth` vehicle, with new credentials: what it had before counts no longer. It goes on from where
/// the log knows it to be: nothing drives backwards.
pub(crate) async fn spec(
    side: &Side,
    id: VehicleId,
    known: Option<&State>,
    nth: usize,
) -> anyhow::Result<VehicleSpec> {
    let fresh = side.rotate_vehicle_credentials(&id, SystemClock::new().wall()).await?;
    // A grid of some hundred metres, so that they do not stand on top of each other.
    let (row, column) = ((nth / 32) as f64, (nth % 32) as f64);
    Ok(VehicleSpec {
        id,
        password: fresh.password,
        key: Key::new(fresh.key),
        odometer_m: known.map_or(NEW_M, State::odometer_m),
        fuel_pct: known.and_then(State::fuel_pct).unwrap_or(TANK_PCT),
        position: (MIDDLE.0 + row * 0.002, MIDDLE.1 + column * 0.003),
    })
}
