//! How the engine is doing: what an operator looks at first, and what readiness is judged by.

use holdfast_domain::Timestamp;
use holdfast_domain::process::Alarm;
use holdfast_store::Position;

use crate::Engine;
use crate::engine::Reconciled;

/// How the engine is doing.
#[derive(Clone, Debug)]
pub struct Health {
    /// Where the log ends.
    pub head: Position,
    /// Why the log takes no appends, if it does not.
    pub store_trouble: Option<String>,
    /// Who follows the log and cannot read on just now, and why.
    pub read_troubles: Vec<String>,
    /// What the side file does not take just now, and why; it is written when there is room again.
    pub side_troubles: Vec<String>,
    /// What is wrong with the wall clock, if anything is.
    pub clock_trouble: Option<&'static str>,
    /// Each follower of the log.
    pub consumers: Vec<ConsumerHealth>,
    /// The last alarms, oldest first.
    pub alarms: Vec<(Timestamp, Alarm)>,
    /// Payments that are not at rest.
    pub open_payments: usize,
    /// The last reconciliation.
    pub reconciled: Option<Reconciled>,
    /// The fleet, and the way to it.
    pub vehicles: VehicleHealth,
}

/// How the fleet and the way to it are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VehicleHealth {
    /// How many vehicles there are.
    pub registered: usize,
    /// How many of them are connected.
    pub connected: usize,
    /// The connection to the broker.
    pub link: LinkState,
}

/// The connection to the broker of the vehicles, as its owner tells it ([`Engine::set_link_state`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// There is no broker.
    #[default]
    None,
    /// There is none just now, and why; it is being sought.
    Connecting(String),
    /// It is there.
    Connected,
}

/// How a follower of the log is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHealth {
    /// Its name.
    pub name: String,
    /// Everything up to here is done.
    pub checkpoint: Position,
    /// How far that is behind the head.
    pub lag: u64,
    /// Dead letters that are not settled.
    pub dead_letters: usize,
    /// Reservations whose facts are put aside behind a dead letter.
    pub parked_lanes: usize,
    /// Timers that wait.
    pub timers: usize,
    /// When the first of them is due.
    pub next_due: Option<Timestamp>,
}

impl Engine {
    /// How the engine is doing.
    pub fn health(&self) -> Health {
        let core = self.core();
        let head = core.house.store.head();
        let letters = core.index.open_letters();
        let count = |name: &str| letters.get(name).map_or(0, std::collections::HashSet::len);
        let mut open_payments = 0;
        let mut consumers: Vec<ConsumerHealth> = core
            .workers()
            .iter()
            .map(|worker| {
                let checkpoint = worker.checkpoint();
                let (timers, next_due) = worker.pending_timers();
                open_payments += worker.open_payments().len();
                ConsumerHealth {
                    name: worker.process.name().into(),
                    checkpoint,
                    lag: head.0.saturating_sub(checkpoint.0),
                    dead_letters: count(worker.process.name()),
                    parked_lanes: worker.parked_lanes(),
                    timers,
                    next_due,
                }
            })
            .collect();
        for (name, checkpoint) in
            [("keys", core.index.position()), (crate::services::WEBHOOKS, head)]
        {
            consumers.push(ConsumerHealth {
                name: name.into(),
                checkpoint,
                lag: head.0.saturating_sub(checkpoint.0),
                dead_letters: count(name),
                parked_lanes: 0,
                timers: 0,
                next_due: None,
            });
        }
        metrics::gauge!("holdfast_vehicles_connected").set(core.index.fleet.online() as f64);
        for consumer in &consumers {
            metrics::gauge!("holdfast_dead_letters", "consumer" => consumer.name.clone())
                .set(consumer.dead_letters as f64);
            metrics::gauge!("holdfast_timers", "consumer" => consumer.name.clone())
                .set(consumer.timers as f64);
        }
        metrics::gauge!("holdfast_keys_unwritten").set(core.index.keys.unwritten() as f64);
        Health {
            head,
            store_trouble: core.house.store.trouble(),
            read_troubles: core.house.waiting.told(),
            side_troubles: core.side.troubles(),
            clock_trouble: core.house.clock.alarm(),
            consumers,
            alarms: core.alarms(),
            open_payments,
            reconciled: core.reconciled(),
            vehicles: VehicleHealth {
                registered: core.index.fleet.len(),
                connected: core.index.fleet.online(),
                link: core.link(),
            },
        }
    }

    /// The owner of the connection to the broker tells how it is.
    pub fn set_link_state(&self, state: LinkState) {
        self.core().set_link(state);
    }
}
