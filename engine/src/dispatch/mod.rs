//! Load, decide, append: the only way by which anything becomes true.
//!
//! ```text
//!   command ─► slot of its stream ─► waiting ┐
//!   command ─────────────────────► waiting ──┤ all that wait, one batch
//!   command ─────────────────────► waiting ──┘      │
//!                                                decide each on the working state
//!                                                   │
//!                              conflict: load ◄── one append, guarded by the version ──► answers
//! ```
//!
//! While an append is on its way to the disk, the next commands gather; so a hot stream needs no lock
//! and no retry, and one sync serves many customers. Nobody is answered before the append is durable.

mod both;
mod context;
mod judge;
mod load;
mod memory;
mod slot;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::{
    Timestamp, inspection, inventory, item, limit, notification, payment, process, reservation,
    seatmap, ticket, vehicle,
};
use holdfast_store::{EventStore, Position, StreamId};

use crate::Rejection;
use crate::clock::Steady;
use crate::hosted::Hosted;
use crate::letters;
use crate::patience::Waiting;
use crate::ports::Ids;
use crate::settings::{Protections, Settings};
use crate::snapshots::Snapshots;

pub(crate) use both::Part;
pub(crate) use context::{Context, FIRST_EPOCH};
pub use load::{AsOf, Loaded};
pub(crate) use load::{Hot, Unreached, command_of, fold, stream_of};
pub(crate) use memory::Memory;
pub(crate) use slot::{Failure, Recording, View};
pub(crate) use slots::Slots;

/// What every slot needs.
pub(crate) struct House {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) clock: Steady,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) snapshots: Snapshots,
    pub(crate) settings: Settings,
    pub(crate) protections: Protections,
    /// Those who follow the log and wait for its disk.
    pub(crate) waiting: Waiting,
}

impl House {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A number that nobody foresees, to keep waiters from walking in step.
    pub(crate) fn chance(&self) -> u64 {
        // The lower half of a fresh name is all chance.
        self.ids.fresh().as_u64_pair().1
    }

    /// `span`, give or take a fifth.
    pub(crate) fn about(&self, span: Duration) -> Duration {
        span.mul_f64(0.8 + 0.4 * (self.chance() % 1_000) as f64 / 1_000.0)
    }
}

/// The streams in memory, by kind of aggregate.
pub struct AllSlots {
    pub(crate) reservations: Slots<reservation::State>,
    pub(crate) payments: Slots<payment::State>,
    pub(crate) seat_maps: Slots<seatmap::State>,
    pub(crate) pools: Slots<inventory::State>,
    pub(crate) limits: Slots<limit::State>,
    pub(crate) items: Slots<item::State>,
    pub(crate) tickets: Slots<ticket::State>,
    pub(crate) notices: Slots<notification::State>,
    pub(crate) vehicles: Slots<vehicle::State>,
    pub(crate) inspections: Slots<inspection::State>,
    pub(crate) letters: Slots<letters::State>,
}

/// Takes commands to their streams.
pub(crate) struct Dispatch {
    pub(crate) house: Arc<House>,
    slots: AllSlots,
}

/// Why a command of any kind was not done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failed {
    /// The rules refuse.
    Refused(process::Refusal, Position),
    /// Anything else.
    Rejected(Rejection),
    /// A fault that waiting does not mend.
    Broken(Rejection),
}

impl From<Unreached> for Failed {
    fn from(unreached: Unreached) -> Self {
        match unreached {
            Unreached::Passing(rejection) => Self::Rejected(rejection),
            Unreached::Broken(rejection) => Self::Broken(rejection),
        }
    }
}

impl From<Rejection> for Failed {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Failed {
    /// As the customer is told; `target` names what refused.
    pub(crate) fn rejection(self, target: &str) -> Rejection {
        match self {
            Self::Refused(refusal, as_of) => Rejection::Refused {
                refusal: Box::new(refusal),
                target: target.into(),
                as_of,
                suggested: Vec::new(),
            },
            Self::Rejected(rejection) | Self::Broken(rejection) => rejection,
        }
    }

    /// Whether it is the store's trouble, or a queue's, which goes by: nothing is wrong with what was
    /// asked, and asked again under the same name it takes effect once.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Rejected(Rejection::Unavailable(_) | Rejection::OutcomeUnknown(_)) => true,
            Self::Rejected(
                Rejection::Refused { .. }
                | Rejection::NotFound(_)
                | Rejection::InvalidInput(_)
                | Rejection::TooManyHolds { .. }
                | Rejection::VersionConflict { .. }
                | Rejection::Vehicle { .. }
                | Rejection::KeyReused
                | Rejection::InFlight,
            )
            | Self::Refused(..)
            | Self::Broken(_) => false,
        }
    }
}

impl Dispatch {
    pub(crate) fn new(house: Arc<House>) -> Self {
        let slots = AllSlots {
            reservations: Slots::new(&house),
            payments: Slots::new(&house),
            seat_maps: Slots::new(&house),
            pools: Slots::new(&house),
            limits: Slots::new(&house),
            items: Slots::new(&house),
            tickets: Slots::new(&house),
            notices: Slots::new(&house),
            vehicles: Slots::new(&house),
            inspections: Slots::new(&house),
            letters: Slots::new(&house),
        };
        Self { house, slots }
    }

    /// Takes a command to its stream and answers when what it decides is durable.
    pub(crate) async fn order<D: Hosted>(
        &self,
        id: &D::Id,
        command: D::Command,
        context: Context,
    ) -> Result<Recording<D>, Failed> {
        let outcome = D::slots(&self.slots).order(id, command, context).await;
        let (label, outcome) = match outcome {
            Ok(recording) => {
                let label = if recording.replayed {
                    "replayed"
                } else if recording.events.is_empty() {
                    "already_so"
                } else {
                    "recorded"
                };
                (label, Ok(recording))
            }
            Err(Failure::Refused(refusal, as_of)) => match D::refusal(refusal) {
                Ok(refusal) => ("refused", Err(Failed::Refused(refusal, as_of))),
                Err(rejection) => ("refused", Err(Failed::Rejected(rejection))),
            },
            Err(Failure::Rejected(rejection)) => ("rejected", Err(Failed::Rejected(rejection))),
            Err(Failure::Broken(rejection)) => ("rejected", Err(Failed::Broken(rejection))),
        };
        metrics::counter!("holdfast_commands_total", "aggregate" => D::CATEGORY, "outcome" => label)
            .increment(1);
        outcome
    }

    /// Looks at an aggregate as the log has it now.
    pub(crate) async fn look<D: Hosted, R: Send + 'static>(
        &self,
        id: &D::Id,
        look: impl FnOnce(View<'_, D>) -> R + Send + 'static,
    ) -> Result<R, Rejection> {
        D::slots(&self.slots).look(id, None, look).await.map_err(Rejection::from)
    }

    /// The same, for those who have to know whether trouble passes.
    pub(crate) async fn try_look<D: Hosted, R: Send + 'static>(
        &self,
        id: &D::Id,
        look: impl FnOnce(View<'_, D>) -> R + Send + 'static,
    ) -> Result<R, Failed> {
        D::slots(&self.slots).look(id, None, look).await.map_err(Failed::from)
    }

    /// The same, as it is once its stream has reached `version` (another node may have been faster).
    pub(crate) async fn look_from<D: Hosted, R: Send + 'static>(
        &self,
        id: &D::Id,
        version: Option<u64>,
        look: impl FnOnce(View<'_, D>) -> R + Send + 'static,
    ) -> Result<R, Rejection> {
        D::slots(&self.slots).look(id, version, look).await.map_err(Rejection::from)
    }

    /// The events of a stream from version `first` to `last`.
    pub(crate) async fn events_of<D: Hosted>(
        &self,
        id: &D::Id,
        first: u64,
        last: u64,
    ) -> Result<Vec<D::Event>, Rejection> {
        load::decode_stream::<D>(&self.house, id, first, last).await
    }

    /// Takes a command of any kind to its stream.
    pub(crate) async fn run(
        &self,
        command: &process::Command,
        context: Context,
    ) -> Result<Position, Failed> {
        use process::Command as C;
        let command = command.clone();
        match command {
            C::Reservation(id, command) => {
                self.done::<reservation::State>(&id, command, context).await
            }
            C::Payment(id, command) => self.done::<payment::State>(&id, command, context).await,
            C::SeatMap(id, command) => self.done::<seatmap::State>(&id, command, context).await,
            C::Inventory(id, command) => self.done::<inventory::State>(&id, command, context).await,
            C::Limit(id, command) => self.done::<limit::State>(&id, command, context).await,
            C::Item(id, command) => self.done::<item::State>(&id, command, context).await,
            C::Ticket(id, command) => self.done::<ticket::State>(&id, command, context).await,
            C::Notification(id, command) => {
                self.done::<notification::State>(&id, command, context).await
            }
            C::Vehicle(id, command) => self.done::<vehicle::State>(&id, command, context).await,
            C::Inspection(id, command) => {
                self.done::<inspection::State>(&id, command, context).await
            }
        }
    }

    async fn done<D: Hosted>(
        &self,
        id: &D::Id,
        command: D::Command,
        context: Context,
    ) -> Result<Position, Failed> {
        self.order::<D>(id, command, context).await.map(|recording| recording.position)
    }

    /// Lets streams go that nobody has used for a while.
    pub(crate) fn evict_idle(&self) {
        let AllSlots {
            reservations,
            payments,
            seat_maps,
            pools,
            limits,
            items,
            tickets,
            notices,
            vehicles,
            inspections,
            letters,
        } = &self.slots;
        reservations.evict_idle();
        payments.evict_idle();
        seat_maps.evict_idle();
        pools.evict_idle();
        limits.evict_idle();
        items.evict_idle();
        tickets.evict_idle();
        notices.evict_idle();
        vehicles.evict_idle();
        inspections.evict_idle();
        letters.evict_idle();
    }
}

/// The name of an aggregate's stream.
pub(crate) fn stream_name<D: Hosted>(id: &D::Id) -> StreamId {
    StreamId::new(format!("{}-{id}", D::CATEGORY))
}
