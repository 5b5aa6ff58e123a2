//! One seed from beginning to end: some lives of a store on a disk that lies, each ended by a close,
//! a kill or a power cut, and a quiet last one. The judge looks at every opening, at every answer
//! and at every read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Runtime;

use super::super::super::sim::dice::Dice;
use super::super::super::sim::{Faults, Injuries, Leaves, SimDisk};
use super::super::super::twins::Twins;
use super::super::super::{Embedded, Entropy, Lab, OpenError, Options, verify_on};
use super::super::with_slots;
use super::ledger::{Judged, Ledger};
use super::plan::Plan;
use crate::{Clock, Direction, EventStore, Filter, Position, ReadError, RecordedEvent};

/// The mirrored tail proves the last frames against the loss of whole sectors too. Where it does not,
/// what was lost so may be a clean end of the log: see "What stays ambiguous" in `store/FORMAT.md`.
pub(crate) const END_IS_PROVEN: bool = true;

/// How often something came about, over all seeds: a swarm in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) seeds: u64,
    pub(super) lives: u64,
    pub(super) acknowledged: u64,
    pub(super) conflicts: u64,
    pub(super) unknown: u64,
    pub(super) full: u64,
    pub(super) stopped: u64,
    pub(super) torn: u64,
    pub(super) segments: u64,
    pub(super) told: u64,
    pub(super) harmless: u64,
    pub(super) crashed_in_recovery: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { seeds, lives, acknowledged, conflicts, unknown, full, stopped, torn, .. } = self;
        *seeds += other.seeds;
        *lives += other.lives;
        *acknowledged += other.acknowledged;
        *conflicts += other.conflicts;
        *unknown += other.unknown;
        *full += other.full;
        *stopped += other.stopped;
        *torn += other.torn;
        self.segments += other.segments;
        self.told += other.told;
        self.harmless += other.harmless;
        self.crashed_in_recovery += other.crashed_in_recovery;
    }
}

/// A seed under way.
pub(super) struct World<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    pub(super) disk: SimDisk,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    pub(super) now: Arc<AtomicI64>,
    /// What had gone wrong when this life began.
    pub(super) before_life: Injuries,
    /// How far a reader beside the store has seen: so far it stays.
    pub(super) seen_beside: Position,
    options: Options,
}

/// How a life went.
enum Ended {
    /// On with the next.
    Well,
    /// The disk has betrayed the store, and the store has said so: the operator takes a backup.
    Told,
}

impl<'a> World<'a> {
    pub(super) fn new(runtime: &'a Runtime, seed: u64, twins: Twins) -> Self {
        let plan = Plan::of(seed);
        let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let clock = Arc::clone(&now);
        let entropy = Mutex::new(Dice::new(!seed));
        let options = Options {
            segment_bytes: with_slots(plan.segment_bytes),
            cache_bytes: plan.cache_bytes,
            index_cache_bytes: plan.index_cache_bytes,
            clock: Clock::new(move || clock.load(Ordering::Relaxed)),
            entropy: Entropy::new(move |bytes| {
                let mut dice = entropy.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.fill_with(|| dice.number() as u8);
                Ok(())
            }),
            prepare_in_background: false,
            lab: Lab { least_segment_bytes: 4096, twins },
            ..Options::default()
        };
        Self {
            runtime,
            dice: Dice::new(seed),
            disk: SimDisk::new(),
            ledger: Ledger::default(),
            tally: Tally { seeds: 1, ..Tally::default() },
            now,
            before_life: Injuries::default(),
            seen_beside: Position::ZERO,
            options,
            plan,
        }
    }

    /// Lives all lives.
    pub(super) fn run(&mut self) -> Judged {
        for life in 0..self.plan.lives {
            self.tally.lives += 1;
            let faults = self.plan.faults(life, self.disk.operations(), &mut self.dice);
            self.disk.note(format!("life {life}: {faults:?}"));
            self.before_life = self.disk.injuries();
            self.disk.set_faults(faults);
            match self.life()? {
                Ended::Well => {}
                Ended::Told => {
                    self.tally.told += 1;
                    return Ok(());
                }
            }
            if self.plan.kinds.damage {
                super::damage::look(self)?;
            }
        }
        Ok(())
    }

    fn life(&mut self) -> Judged<Ended> {
        let store = match self.open() {
            Ok(store) => Arc::new(store),
            Err(error) => {
                let told = self.refused(&error)?;
                if told && self.betrayed() {
                    return Ok(Ended::Told);
                }
                self.end(None);
                return Ok(Ended::Well);
            }
        };
        if store.recovery().torn.is_some() {
            self.tally.torn += 1;
        }
        if !self.found(&store)? {
            drop(store);
            if self.disk.is_off() || !self.betrayed() {
                self.end(None);
                return Ok(Ended::Well);
            }
            return Ok(Ended::Told);
        }
        self.steps(&store)?;
        self.tally.segments += store.info().segments;
        self.end(Some(store));
        Ok(Ended::Well)
    }

    pub(super) fn open(&self) -> Result<Embedded, OpenError> {
        Embedded::open_on(Arc::new(self.disk.clone()), self.options.clone())
    }

    pub(super) fn options(&self) -> Options {
        self.options.clone()
    }

    /// What has gone wrong since this life began.
    pub(super) fn since(&self) -> Injuries {
        let (now, then) = (self.disk.injuries(), self.before_life);
        Injuries {
            writes_failed: now.writes_failed - then.writes_failed,
            writes_without_room: now.writes_without_room - then.writes_without_room,
            syncs_failed: now.syncs_failed - then.syncs_failed,
            names_failed: now.names_failed - then.names_failed,
            reads_failed: now.reads_failed - then.reads_failed,
            reads_flipped: now.reads_flipped - then.reads_flipped,
            writes_betrayed: now.writes_betrayed - then.writes_betrayed,
        }
    }

    /// Whether the disk holds something else than what was written and synced.
    pub(super) fn betrayed(&self) -> bool {
        self.disk.injuries().writes_betrayed > 0
    }

    /// Whether there was a reason not to open; whether it was told as damage.
    fn refused(&mut self, error: &OpenError) -> Judged<bool> {
        let since = self.since();
        let off = self.disk.is_off();
        if off {
            self.tally.crashed_in_recovery += 1;
        }
        let damage = matches!(error, OpenError::Damaged(_) | OpenError::NewerFormat { .. });
        let excused = match error {
            OpenError::Damaged(_) | OpenError::NewerFormat { .. } => {
                self.betrayed() || since.reads_flipped > 0
            }
            OpenError::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => {
                self.disk.faults().capacity_bytes.is_some() || since.writes_without_room > 0
            }
            OpenError::Io(_) => off || since.total() > 0,
            OpenError::InUse | OpenError::NoLog => false,
        };
        self.disk.note(format!("it does not open: {error}"));
        if excused { Ok(damage) } else { Err(format!("it does not open: {error}")) }
    }

    /// P1 to P4 at an opening: looks at everything. False when the store told of damage instead, or
    /// cannot be looked at.
    fn found(&mut self, store: &Embedded) -> Judged<bool> {
        // Wrong bits and failing reads have had their chance while it was opened, and come again.
        let faults = self.disk.faults();
        self.disk.set_faults(Faults {
            weather: crate::embedded::sim::Weather {
                read_fails: 0,
                read_flips: 0,
                ..faults.weather.clone()
            },
            ..faults.clone()
        });
        let all = self.runtime.block_on(everything(store));
        let head = store.head();
        match all {
            Ok(all) => {
                if head.0 != all.len() as u64 || store.recovery().events != head.0 {
                    return Err(format!("the head is {head}, but {} events are there", all.len()));
                }
                // One betrayal is seen by the other copy of the frame; two may take both of them.
                let betrayals = self.disk.injuries().writes_betrayed;
                if betrayals > 1 || !END_IS_PROVEN && betrayals > 0 {
                    self.ledger.forgive(&all);
                }
                self.ledger.found(&all, false)?;
                let seen = std::mem::take(&mut self.seen_beside);
                if seen > head && !self.betrayed() {
                    return Err(format!("a reader beside saw {seen}, now the head is {head}"));
                }
                let streams = self.runtime.block_on(streams(store, &self.ledger));
                self.disk.set_faults(faults);
                self.disk.note(format!("open, head {head}"));
                match streams {
                    Ok(judged) => judged.map(|()| true),
                    Err(ReadError::Damaged { .. }) if self.betrayed() => Ok(false),
                    Err(error) => Err(format!("a stream cannot be read: {error}")),
                }
            }
            Err(ReadError::Damaged { .. }) if self.betrayed() => Ok(false),
            Err(ReadError::Io(_)) if self.disk.is_off() => Ok(false),
            Err(error) => Err(format!("what is there cannot be read: {error}")),
        }
    }

    /// Ends a life: how the last one left the disk.
    fn end(&mut self, store: Option<Arc<Embedded>>) {
        let off = self.disk.is_off();
        let Plan { kinds, .. } = &self.plan;
        let crash = off || ((kinds.kills || kinds.power_cuts) && self.dice.roll(2) == 0);
        if !crash {
            self.disk.set_faults(Faults::default());
            if let Some(store) = store {
                if self.dice.roll(2) == 0 {
                    self.runtime.block_on(store.close());
                }
                drop(store);
            }
            self.disk.note("closed");
            return;
        }
        // Nothing reaches the disk from here on.
        let operations = self.disk.operations();
        if !off {
            self.disk.set_faults(Faults { cut_at: Some(operations), ..self.disk.faults() });
            let _ = super::super::super::Disk::sync_dir(&self.disk);
        }
        drop(store);
        let killed = kinds.kills && (!kinds.power_cuts || self.dice.roll(2) == 0);
        self.disk = if killed {
            self.disk.after_kill()
        } else {
            let leaves = match self.dice.roll(8) {
                0 | 1 => Leaves::Nothing,
                2 => Leaves::Everything,
                3 => Leaves::Prefix(self.dice.number()),
                _ => Leaves::Some(self.dice.number()),
            };
            self.disk.after_power_cut(leaves)
        };
    }

    /// Beside a store, and on what it left: `verify` sees no damage where there is none.
    pub(super) fn verify(&self) -> Judged {
        let copy = self.disk.after_kill();
        let report = match verify_on(Arc::new(copy), std::time::Duration::ZERO, &mut |_| {}) {
            Ok(report) => report,
            Err(OpenError::NoLog) if self.ledger.head() == Position::ZERO => return Ok(()),
            Err(error) => return Err(format!("verify: {error}")),
        };
        if let Some(offence) = report.offence {
            return if self.betrayed() { Ok(()) } else { Err(format!("verify: {offence}")) };
        }
        let known = self.ledger.head();
        if report.head < known && !self.betrayed() {
            return Err(format!("verify: the head is {}, it should be {known}", report.head));
        }
        Ok(())
    }
}

/// Every stream, from its beginning.
pub(crate) async fn streams(store: &dyn EventStore, ledger: &Ledger) -> Result<Judged, ReadError> {
    for name in ledger.names() {
        let events = store.read_stream(&name, 0, Direction::Forward, usize::MAX).await?;
        if let Err(what) = ledger.stream(&name, 0, Direction::Forward, usize::MAX, &events) {
            return Ok(Err(what));
        }
    }
    Ok(Ok(()))
}

/// The whole log, page by page.
pub(crate) async fn everything(store: &dyn EventStore) -> Result<Vec<RecordedEvent>, ReadError> {
    let (mut events, mut from) = (Vec::new(), Position::FIRST);
    while from <= store.head() {
        let page = store.read_all(from, &Filter::All, 1000).await?;
        events.extend(page.events);
        if page.next <= from {
            return Err(ReadError::Io(format!("the page from {from} leads nowhere")));
        }
        from = page.next;
    }
    Ok(events)
}
