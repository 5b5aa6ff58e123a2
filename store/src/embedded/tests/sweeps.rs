//! Every single damage of a kind to a log of 64 KiB: each is told, at the opening or at the read that
//! meets it, or does no harm, which is: all that was acknowledged is served as it was (P2, faults 15
//! to 19). One bit of each byte; all eight with `HOLDFAST_ALL_BITS=1`.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Runtime;

use super::super::format::{FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, SegmentHeader};
use super::super::index::index_name;
use super::super::sim::SimDisk;
use super::super::sim::dice::Dice;
use super::super::{Embedded, OpenError, Options};
use super::swarm::ledger::Ledger;
use super::swarm::world::{END_IS_PROVEN, everything, streams};
use super::{run, tiny};
use crate::contract::event;
use crate::{EventStore, Expected, ReadError, StreamAppend, StreamId};

const SEGMENT: u64 = 11 << 10;
const LOG_BYTES: u64 = 64 << 10;
/// How many threads share the work.
const THREADS: usize = 2;

fn options() -> Options {
    Options { cache_bytes: 0, index_cache_bytes: 8 << 10, ..tiny(SEGMENT) }
}

/// A directory as it is on the disk, and what is in it.
struct Sample {
    files: Vec<(String, Arc<Vec<u8>>)>,
    ledger: Ledger,
}

/// A log of 64 KiB: some segments, streams and payloads of odd sizes, one frame or more at a time.
fn sample() -> Sample {
    let disk = SimDisk::new();
    let store = Embedded::open_on(Arc::new(disk.clone()), options()).unwrap();
    let (mut dice, mut ledger) = (Dice::new(64), Ledger::default());
    run(async {
        while store.info().bytes < LOG_BYTES {
            let number = dice.roll(7);
            let stream = StreamId::new(format!("s{}-{number}", "x".repeat(number as usize * 3)));
            let events = (0..1 + dice.roll(4))
                .map(|_| {
                    let len = if dice.one_in(9) { 1_700 } else { dice.roll(90) };
                    event(
                        "odd.sized",
                        (0..len).map(|_| dice.number() as u8 | 1).collect::<Vec<_>>(),
                    )
                })
                .collect();
            let append = vec![StreamAppend { stream, expected: Expected::Any, events }];
            let attempt = ledger.attempt(&append);
            let answer = store.append(append).await.unwrap();
            ledger.acknowledged(attempt, &answer).unwrap();
        }
    });
    drop(store);
    let files = disk.names().into_iter().map(|name| {
        let bytes = disk.contents(&name).unwrap();
        (name, Arc::new(bytes))
    });
    Sample { files: files.collect(), ledger }
}

impl Sample {
    /// The directory with one thing changed.
    fn changed(&self, change: impl FnOnce(&SimDisk)) -> SimDisk {
        let disk = SimDisk::new();
        for (name, bytes) in &self.files {
            disk.put_shared(name, bytes);
        }
        change(&disk);
        disk
    }

    /// Whether the damage was told; `Err` where it was neither told nor harmless. `end_may_go`: the end
    /// of the log may be lost, as nothing proves it against this.
    fn judge(
        &self,
        runtime: &Runtime,
        disk: &SimDisk,
        end_may_go: bool,
        indexes: bool,
    ) -> Result<bool, String> {
        let store = match Embedded::open_on(Arc::new(disk.clone()), options()) {
            Ok(store) => store,
            Err(OpenError::Damaged(_) | OpenError::NewerFormat { .. }) => return Ok(true),
            Err(other) => return Err(format!("told as something else: {other}")),
        };
        // Streams are read by way of the indexes.
        let read = runtime.block_on(async {
            let all = everything(&store).await?;
            let by_index = if indexes { streams(&store, &self.ledger).await? } else { Ok(()) };
            Ok((all, by_index))
        });
        match read {
            Ok((all, judged)) => {
                if end_may_go && !END_IS_PROVEN {
                    return self.ledger.clone().forgiven(&all).map(|()| false);
                }
                self.ledger.is(&all)?;
                judged.map(|()| false)
            }
            Err(ReadError::Damaged { .. }) => Ok(true),
            Err(other) => Err(format!("told as something else: {other}")),
        }
    }

    /// Tries every damage of a kind; how many were told.
    fn sweep<T: Sync>(
        &self,
        damages: &[T],
        end_may_go: bool,
        what: impl Fn(&T) -> String + Sync,
        damage: impl Fn(&T, &SimDisk) + Sync,
    ) -> usize {
        let (next, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wrong = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    while let Some(one) = damages.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let disk = self.changed(|disk| damage(one, disk));
                        let indexes = !what(one).contains(".seg");
                        match self.judge(&runtime, &disk, end_may_go, indexes) {
                            Ok(true) => {
                                told.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(false) => {}
                            Err(wrongly) => {
                                wrong.lock().unwrap().push(format!("{}: {wrongly}", what(one)));
                            }
                        }
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(
            wrong.is_empty(),
            "{} of {}: {:#?}",
            wrong.len(),
            damages.len(),
            &wrong[..wrong.len().min(5)]
        );
        told.into_inner()
    }

    /// Where frames stand: file, offset, length.
    fn frames(&self) -> Vec<(String, u64, u64)> {
        let mut frames = Vec::new();
        for (name, bytes) in self.files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            let Ok(header) = SegmentHeader::decode(&bytes[..HEADER_LEN]) else { continue };
            let mut at = HEADER_LEN;
            while let Some(head) = bytes.get(at..at + FRAME_HEADER_LEN)
                && let Ok(frame) = FrameHeader::decode(header.seed(), head)
            {
                frames.push((name.clone(), at as u64, u64::from(frame.len)));
                at = header.align(at as u64 + u64::from(frame.len)) as usize;
            }
        }
        frames
    }
}

fn all_bits() -> bool {
    std::env::var_os("HOLDFAST_ALL_BITS").is_some()
}

/// Every byte of the log and of the mirror; of the indexes, which are alike, every byte of one and
/// some of the others.
fn stride(name: &str) -> usize {
    if name.ends_with(".idx") && name != index_name(1) && !all_bits() { 61 } else { 1 }
}

#[test]
fn every_flipped_byte_of_64_kib_is_told_or_harmless() {
    let sample = sample();
    let all_bits = all_bits();
    let mut flips = Vec::new();
    for (file, (name, bytes)) in sample.files.iter().enumerate() {
        for at in (0..bytes.len()).step_by(stride(name)) {
            let bits = if all_bits { 0..8 } else { at as u8 % 8..at as u8 % 8 + 1 };
            flips.extend(bits.map(|bit| (file, at as u64, bit)));
        }
    }
    assert!(flips.len() as u64 >= LOG_BYTES);
    let told = sample.sweep(
        &flips,
        false,
        |(file, at, bit)| format!("bit {bit} of byte {at} of {}", sample.files[*file].0),
        |(file, at, bit), disk| assert!(disk.flip(&sample.files[*file].0, *at, *bit)),
    );
    assert!(told > flips.len() / 4, "{told} of {} were told", flips.len());
}

#[test]
fn every_truncation_of_64_kib_is_told_or_harmless() {
    let sample = sample();
    let mut cuts = Vec::new();
    for (file, (name, bytes)) in sample.files.iter().enumerate() {
        cuts.extend((0..bytes.len()).step_by(stride(name)).map(|len| (file, len as u64)));
    }
    let told = sample.sweep(
        &cuts,
        false,
        |(file, len)| format!("{} cut to {len}", sample.files[*file].0),
        |(file, len), disk| disk.truncate(&sample.files[*file].0, *len),
    );
    assert!(told > cuts.len() / 4, "{told} of {} were told", cuts.len());
}

/// Fault 18: of one length or of two, in one segment or in two.
#[test]
fn every_pair_of_frames_that_have_changed_places_is_told() {
    let sample = sample();
    let frames = sample.frames();
    assert!(frames.len() > 30, "{} frames", frames.len());
    let mut pairs = Vec::new();
    for a in 0..frames.len() {
        pairs.extend((0..a).map(|b| (a, b)));
    }
    let place = |at: usize| format!("{}, {}", frames[at].0, frames[at].1);
    let told = sample.sweep(
        &pairs,
        false,
        |(a, b)| format!("{} and {}", place(*a), place(*b)),
        |(a, b), disk| {
            let ((a_name, a_at, a_len), (b_name, b_at, b_len)) = (&frames[*a], &frames[*b]);
            let bytes = |name: &str, at: u64, len: u64| {
                disk.contents(name).unwrap()[at as usize..(at + len) as usize].to_vec()
            };
            let (one, other) = (bytes(a_name, *a_at, *a_len), bytes(b_name, *b_at, *b_len));
            let fits = |name: &str, at: u64, bytes: &[u8]| {
                (disk.contents(name).unwrap().len() - at as usize).min(bytes.len())
            };
            disk.scribble(a_name, *a_at, &other[..fits(a_name, *a_at, &other)]);
            disk.scribble(b_name, *b_at, &one[..fits(b_name, *b_at, &one)]);
        },
    );
    assert_eq!(told, pairs.len());
}

/// Fault 18: a frame that stands where another did, and where it was.
#[test]
fn every_frame_over_every_other_is_told_or_harmless() {
    let sample = sample();
    let frames = sample.frames();
    let mut pairs = Vec::new();
    for a in 0..frames.len() {
        pairs.extend((0..frames.len()).filter(|b| a != *b).map(|b| (a, b)));
    }
    let told = sample.sweep(
        &pairs,
        true,
        |(a, b)| format!("{:?} over {:?}", frames[*a], frames[*b]),
        |(a, b), disk| {
            let ((from, from_at, len), (to, to_at, _)) = (&frames[*a], &frames[*b]);
            disk.copy_over((from, *from_at), (to, *to_at), *len);
        },
    );
    // Over the last frame a shorter one is as good as a torn one, until that is mirrored.
    assert!(told > pairs.len() * 9 / 10, "{told} of {} were told", pairs.len());
}

/// Fault 19: files that have changed places, are gone, are empty, have another name.
#[test]
fn every_file_that_is_not_where_it_was_is_told_or_harmless() {
    let sample = sample();
    let names: Vec<&str> = sample.files.iter().map(|(name, _)| name.as_str()).collect();
    #[derive(Debug)]
    enum Change<'a> {
        Swapped(&'a str, &'a str),
        Copied(&'a str, &'a str),
        Gone(&'a str),
        Empty(&'a str),
        Zeros(&'a str),
        Renamed(&'a str, &'a str),
        Extra(&'a str, &'a str),
    }
    let strange = [
        "0000000099.seg",
        "0000000000.seg",
        "0000000001.seg.new",
        "0000000001.seg.torn",
        "0000000099.idx",
        "0000000001.idx.new",
        "tail-2",
        "1.seg",
        "notes.txt",
    ];
    let mut changes = Vec::new();
    for one in &names {
        changes.extend([Change::Gone(one), Change::Empty(one), Change::Zeros(one)]);
        changes.extend(strange.map(|name| Change::Renamed(one, name)));
        changes.extend(strange.map(|name| Change::Extra(one, name)));
        for other in names.iter().filter(|other| *other != one) {
            changes.push(Change::Swapped(one, other));
            changes.push(Change::Copied(one, other));
        }
    }
    let told = sample.sweep(
        &changes,
        false,
        |change| format!("{change:?}"),
        |change, disk| {
            let bytes = |name: &str| disk.contents(name).unwrap();
            match change {
                Change::Swapped(one, other) => {
                    let kept = bytes(one);
                    disk.put(one, bytes(other));
                    disk.put(other, kept);
                }
                Change::Copied(from, to) => disk.put(to, bytes(from)),
                Change::Gone(name) => disk.lose(name),
                Change::Empty(name) => disk.put(name, Vec::new()),
                Change::Zeros(name) => disk.put(name, vec![0; bytes(name).len()]),
                Change::Renamed(from, to) => {
                    disk.put(to, bytes(from));
                    disk.lose(from);
                }
                Change::Extra(from, to) => disk.put(to, bytes(from)),
            }
        },
    );
    assert!(told > changes.len() / 4, "{told} of {} were told", changes.len());
}
