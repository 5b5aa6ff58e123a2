//! The quick part of a verification: segments are walked each for itself, by as many threads as the
//! machine has, and put together in order.
//!
//! ```text
//!              ┌─ worker: segment 1, alone ─┐
//!   numbers ───┼─ worker: segment 2, alone ─┼──► in order: header follows the seal before,
//!              └─ worker: segment 3, alone ─┘      time goes on, each stream goes on ──► next
//! ```
//!
//! A segment can be walked alone, since its own header page seeds every checksum in it. What does
//! not fit is not judged here: the walk from front to back, which knows every case, goes on from the
//! last place that was right. So the first offence in the order of the log is told, whoever saw it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::OpenError;
use super::super::disk::{Access, Disk};
use super::super::format::SegmentHeader;
use super::super::index::{Check, index_name};
use super::super::inspect::open_segment;
use super::super::scan::{Met, Place, next_segment, read_seal, walk_segment};
use super::super::twins::Twins;
use super::streams::{Names, NextVersions, Spans};

/// How often whoever waits is told how far it is.
const TELL: Duration = Duration::from_millis(100);
/// So many segments for each worker are walked or wait for their turn.
const AHEAD: usize = 2;

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) segments: u64,
    pub(super) frames: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Indexes that do not say what their segment says, and why.
    pub(super) wrong_indexes: Vec<(String, String)>,
}

/// How far the workers are, all together.
#[derive(Default)]
struct Meter {
    bytes: AtomicU64,
    events: AtomicU64,
}

/// A segment that was walked alone.
struct Walked {
    header: Arc<SegmentHeader>,
    /// Behind its last frame, or its seal.
    place: Place,
    /// When its first frame was recorded.
    first_recorded: Option<i64>,
    counts: Counts,
    spans: Spans,
}

/// Takes `place` as far as segments fit together, `last` included; what was met on the way is
/// counted. `tell` hears of bytes and events.
pub(super) fn advance(
    disk: &Arc<dyn Disk>,
    threads: usize,
    last: u64,
    place: &mut Place,
    streams: &mut NextVersions,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Counts, OpenError> {
    let mut merge = Merge { disk: &**disk, place, streams, counts: Counts::default() };
    if threads <= 1 {
        let meter = Meter::default();
        let never = AtomicBool::new(false);
        for number in 1..=last {
            let walked = alone(&**disk, number, &merge.streams.names(), &meter, &never);
            if !merge.take(walked) {
                break;
            }
            tell(meter.bytes.load(Ordering::Relaxed), meter.events.load(Ordering::Relaxed));
        }
        return Ok(merge.counts);
    }
    let (meter, stop) = (Meter::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (ask, asked) = sync_channel(AHEAD * threads);
        let asked = Arc::new(Mutex::new(asked));
        let (done, results) = channel();
        for _ in 0..threads {
            let (asked, done, disk) = (Arc::clone(&asked), done.clone(), Arc::clone(disk));
            let (names, meter, stop) = (merge.streams.names(), &meter, &stop);
            scope.spawn(move || {
                while let Some(number) = next(&asked) {
                    let walked = alone(&*disk, number, &names, meter, stop);
                    if done.send((number, walked)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let merged = in_order(&mut merge, last, ask, &results, AHEAD * threads, &mut || {
            tell(meter.bytes.load(Ordering::Relaxed), meter.events.load(Ordering::Relaxed));
        });
        // Whoever is still at a segment lets it be.
        stop.store(true, Ordering::Relaxed);
        merged
    })?;
    Ok(merge.counts)
}

fn next(asked: &Mutex<Receiver<u64>>) -> Option<u64> {
    asked.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Hands out numbers, no further ahead than can wait, and takes what comes back in order.
fn in_order(
    merge: &mut Merge<'_>,
    last: u64,
    ask: SyncSender<u64>,
    results: &Receiver<(u64, Option<Walked>)>,
    ahead: usize,
    tell: &mut dyn FnMut(),
) -> Result<(), OpenError> {
    let mut numbers = 1..=last;
    for number in numbers.by_ref().take(ahead) {
        let _ = ask.send(number);
    }
    let (mut waiting, mut wanted) = (BTreeMap::new(), 1);
    while wanted <= last {
        match results.recv_timeout(TELL) {
            Ok((number, walked)) => {
                waiting.insert(number, walked);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody walks any more: the walk from front to back does the rest.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        tell();
        while let Some(walked) = waiting.remove(&wanted) {
            if !merge.take(walked) {
                return Ok(());
            }
            wanted += 1;
            if let Some(number) = numbers.next() {
                let _ = ask.send(number);
            }
        }
    }
    Ok(())
}

/// Walks one segment. `None` where anything is not as it should be: that is told by whoever walks
/// from front to back.
fn alone(
    disk: &dyn Disk,
    number: u64,
    names: &Names,
    meter: &Meter,
    stop: &AtomicBool,
) -> Option<Walked> {
    let segment = open_segment(disk, number, Access::Read).ok()?.ok()?;
    let header = Arc::clone(&segment.header);
    let mut place = Place::at(&segment);
    let (mut counts, mut spans) = (Counts { segments: 1, ..Counts::default() }, Spans::default());
    let (mut first_recorded, mut told) = (None, 0);
    let mut check = Check::begin(disk, &segment);
    let walked = walk_segment(&mut place, Twins::default(), &mut |met| {
        let Met::Frame(segment, offset, frame) = met else { return Ok(()) };
        if !spans.see(names, &frame) || stop.load(Ordering::Relaxed) {
            return Err(segment.damage(offset, frame.first, "it is looked at again"));
        }
        if let Some(check) = &mut check {
            check.add(segment, offset, &frame)?;
        }
        first_recorded.get_or_insert(frame.recorded_at_micros);
        counts.frames += 1;
        counts.events += frame.entries.len() as u64;
        counts.bytes += frame.bytes.len() as u64;
        meter.bytes.fetch_add(offset - told, Ordering::Relaxed);
        meter.events.fetch_add(frame.entries.len() as u64, Ordering::Relaxed);
        told = offset;
        Ok(())
    });
    walked.ok()?;
    // Without any frame it is the seal that has to be later than what stands before.
    if place.sealed {
        first_recorded.get_or_insert(place.chain.recorded_at_micros);
        if let Some(check) = check {
            let seal = read_seal(&segment, place.last_frame?).ok()??;
            let why = check.end(&segment, seal);
            counts.wrong_indexes.extend(why.map(|why| (index_name(number), why)));
        }
    }
    meter.bytes.fetch_add(header.segment_bytes.saturating_sub(told), Ordering::Relaxed);
    Some(Walked { header, place, first_recorded, counts, spans })
}

/// What was put together so far.
struct Merge<'a> {
    disk: &'a dyn Disk,
    place: &'a mut Place,
    streams: &'a mut NextVersions,
    counts: Counts,
}

impl Merge<'_> {
    /// Puts the next segment behind the ones before. False where it does not fit, or was not
    /// walked to its end, or is the last: nothing was changed then, or only the end is left.
    fn take(&mut self, walked: Option<Walked>) -> bool {
        let Some(walked) = walked else { return false };
        let mut place = self.place.clone();
        match next_segment(self.disk, Access::Read, &mut place) {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
        let same = place.segment.as_ref().is_some_and(|it| *it.header == *walked.header);
        let later = walked.first_recorded.is_none_or(|it| it >= place.chain.recorded_at_micros);
        if !same || !later || !self.streams.go_on(&walked.spans) {
            return false;
        }
        let before = place.chain.recorded_at_micros;
        *self.place = walked.place;
        let recorded_at = &mut self.place.chain.recorded_at_micros;
        *recorded_at = before.max(*recorded_at);
        self.counts.segments += walked.counts.segments;
        self.counts.frames += walked.counts.frames;
        self.counts.events += walked.counts.events;
        self.counts.bytes += walked.counts.bytes;
        self.counts.wrong_indexes.extend(walked.counts.wrong_indexes);
        self.place.sealed
    }
}
