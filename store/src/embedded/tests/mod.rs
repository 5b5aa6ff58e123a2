//! What the embedded store promises, tried on a real disk and on one that lies.

mod backup;
mod contract;
mod crash;
mod damage;
mod decoders;
mod golden;
mod index;
mod losses;
mod mirror;
mod model;
mod queue;
mod reader;
mod repair;
mod shuttled;
mod stat;
mod swarm;
mod sweeps;
mod trouble;
mod twins;
mod verify;

use std::sync::Arc;

use uuid::Uuid;

use super::format::{self, SECTOR, slot_len};
use super::sim::SimDisk;
use super::{Embedded, Lab, OpenError, Options};
use crate::contract::{batch, event};
use crate::{AppendError, EventStore, Expected, Filter, Position, RecordedEvent, StreamAppend};

/// How long a segment is that has so many bytes before its slots.
pub(super) fn with_slots(frames_end: u64) -> u64 {
    let mut segment_bytes = frames_end;
    while format::frames_end(segment_bytes, slot_len(segment_bytes)) < frames_end {
        segment_bytes += SECTOR;
    }
    segment_bytes
}

/// Options for a small log whose steps come in the same order each time. Its segments have so many
/// bytes before their slots.
pub(super) fn tiny(frames_end: u64) -> Options {
    Options {
        segment_bytes: with_slots(frames_end),
        lab: Lab { least_segment_bytes: 4096, ..Lab::default() },
        prepare_in_background: false,
        ..Options::default()
    }
}

pub(super) fn open(disk: &SimDisk, options: Options) -> Embedded {
    Embedded::open_on(Arc::new(disk.clone()), options).unwrap()
}

/// Runs a future to its end, in a runtime of its own.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What was given to a store, and what it answered.
#[derive(Clone, Default)]
pub(super) struct Story {
    /// The ids of each append's events, in order, and where it was acknowledged, if it was.
    appends: Vec<(Vec<Uuid>, Option<Position>)>,
}

impl Story {
    /// Small appends and large ones, some to two streams, one after the other and three at once,
    /// until the store takes no more.
    pub(super) fn tell(&mut self, store: &Embedded, rounds: usize) {
        run(async {
            for round in 0..rounds {
                let at_once = if round % 3 == 2 { 3 } else { 1 };
                let appends: Vec<Vec<StreamAppend>> = (0..at_once)
                    .map(|i| {
                        let mut batches = vec![batch(&format!("a-{round}"), Expected::Any, 1 + i)];
                        if round % 2 == 0 {
                            batches.push(batch(&format!("b-{i}"), Expected::Any, 2));
                        }
                        if round % 4 == 1 {
                            batches[0].events.push(event("test.big", vec![b'x'; 1500]));
                        }
                        batches
                    })
                    .collect();
                let ids = appends
                    .iter()
                    .map(|batches| batches.iter().flat_map(|b| &b.events).map(|e| e.id).collect());
                let ids: Vec<Vec<Uuid>> = ids.collect();
                let answers =
                    futures::future::join_all(appends.into_iter().map(|a| store.append(a))).await;
                for (ids, answer) in ids.into_iter().zip(&answers) {
                    self.appends.push((ids, answer.as_ref().ok().map(|a| a.first)));
                }
                let over = |e: &Result<_, AppendError>| {
                    matches!(e, Err(AppendError::Unknown(_) | AppendError::Stopped(_)))
                };
                if answers.iter().any(over) {
                    return;
                }
            }
        });
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.appends.iter().filter(|(_, position)| position.is_some()).count()
    }

    /// P1, P3, P4: what was acknowledged is there, where it was said to be; of the rest each is there
    /// whole or not at all; nothing else is there.
    pub(super) fn check(&self, store: &dyn EventStore) -> Result<(), String> {
        let all = run(read(store))?;
        let mut found = 0;
        for (at, event) in all.iter().enumerate() {
            if event.position != Position(at as u64 + 1) {
                return Err(format!("position {} stands at {at}", event.position));
            }
        }
        for (ids, acknowledged) in &self.appends {
            let at = all.iter().position(|e| e.id == ids[0]);
            match (at, acknowledged) {
                (None, Some(position)) => return Err(format!("acknowledged {position} is lost")),
                (None, None) => {
                    if all.iter().any(|e| ids.contains(&e.id)) {
                        return Err("an append without its first event".to_owned());
                    }
                }
                (Some(at), _) => {
                    let there = all[at..].iter().map(|e| e.id).take(ids.len());
                    if !there.eq(ids.iter().copied()) {
                        return Err(format!("half an append at {at}"));
                    }
                    if acknowledged.is_some_and(|position| position.0 != at as u64 + 1) {
                        return Err(format!("{acknowledged:?} has moved to index {at}"));
                    }
                    found += ids.len();
                }
            }
        }
        if found == all.len() { Ok(()) } else { Err("events that nobody appended".to_owned()) }
    }

    /// Opens the disk and checks what is there.
    pub(super) fn check_disk(&self, disk: &SimDisk, options: Options) -> Result<(), String> {
        match Embedded::open_on(Arc::new(disk.clone()), options) {
            Ok(store) => self.check(&store),
            Err(error) => Err(format!("it does not open: {error}")),
        }
    }
}

/// All events, in order; a sealed segment is read, and judged, only now.
async fn read(store: &dyn EventStore) -> Result<Vec<RecordedEvent>, String> {
    let (mut all, mut from) = (Vec::new(), Position::FIRST);
    while from <= store.head() {
        let page = store.read_all(from, &Filter::All, 1000).await;
        let page = page.map_err(|error| format!("it cannot be read: {error}"))?;
        all.extend(page.events);
        from = page.next;
    }
    Ok(all)
}

/// Seeds: fixed, and as many more as `HOLDFAST_SEEDS` says.
pub(super) fn seeds(fixed: u64) -> std::ops::Range<u64> {
    let more = std::env::var("HOLDFAST_SEEDS").ok().and_then(|n| n.parse().ok());
    0..more.unwrap_or(fixed)
}

/// A store that cannot be opened, for a reason that is damage or a version that is not ours.
pub(super) fn is_told(error: &OpenError) -> bool {
    matches!(error, OpenError::Damaged(_) | OpenError::NewerFormat { .. })
}
