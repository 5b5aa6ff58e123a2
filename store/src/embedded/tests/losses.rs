//! The campaign behind P2's "never lost in silence": random stories, a power cut that leaves anything,
//! and then **one** damage to one copy of what was acknowledged. The log opens with all of it, or says
//! what is wrong. 300 seeds, more with `HOLDFAST_SEEDS`:
//!
//! ```sh
//! HOLDFAST_SEEDS=100000 cargo test -p holdfast-store --lib one_damage_after -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::format::{HEADER_LEN, SegmentHeader};
use super::super::marker::MARK_FILE;
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::slot::{Slot, read_slots, slot_at};
use super::super::twins::{Twin, Twins};
use super::super::{Embedded, Entropy, Options};
use super::{Story, is_told, run, seeds, tiny};
use crate::{EventStore, Filter, Position, ReadError};

/// What came of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It opened, and nothing was missing or given back.
    Harmless,
    /// It opened, and the mirror gave something back.
    Restored,
    /// It did not open, and said why.
    Told,
    /// It opened, and something acknowledged was not there, or something else was.
    Silent,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 >> 33) ^ (self.0 >> 17);
        mixed % sides.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}

fn options(seed: u64, dice: &mut Dice, twins: Twins) -> Options {
    let mut options = tiny(*dice.pick(&[8 << 10, 12 << 10, 40 << 10]));
    options.lab.twins = twins;
    let count = Arc::new(AtomicU64::new(0));
    options.entropy = Entropy::new(move |bytes| {
        let mut dice = Dice(seed ^ count.fetch_add(1, Ordering::Relaxed).wrapping_mul(77) ^ 0x5eed);
        bytes.iter_mut().for_each(|byte| *byte = dice.roll(256) as u8);
        Ok(())
    });
    options
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(disk: &SimDisk) -> Files {
    let with_bytes = |name: String| disk.contents(&name).map(|bytes| (name, bytes));
    disk.names().into_iter().filter_map(with_bytes).collect()
}

/// One seed, with the offence where there is one.
fn play(seed: u64, twins: Twins) -> (Outcome, String) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xacce55);
    let options = options(seed, &mut dice, twins);
    let (mut disk, mut story, mut older) = (SimDisk::new(), Story::default(), Vec::new());
    let lives = 1 + dice.roll(3);
    let mut marked = false;
    for life in 0..lives {
        if dice.roll(4) > 0 {
            let cut = disk.operations() + 4 + dice.roll(40 + 60 * life);
            disk.set_faults(Faults { cut_at: Some(cut), ..Faults::default() });
        }
        match Embedded::open_on(Arc::new(disk.clone()), options.clone()) {
            Ok(store) => {
                for _ in 0..1 + dice.roll(4) {
                    if disk.is_off() {
                        break;
                    }
                    older.push(files(&disk));
                    story.tell(&store, 1 + dice.roll(4) as usize);
                }
            }
            Err(_) if disk.is_off() => {}
            Err(error) => return (Outcome::Silent, format!("life {life} does not open: {error}")),
        }
        let leaves = match dice.roll(4) {
            0 => Leaves::Nothing,
            1 => Leaves::Everything,
            2 => Leaves::Some(dice.roll(u64::MAX)),
            _ => Leaves::Prefix(dice.roll(u64::MAX)),
        };
        // The mark reaches the disk by and by. Here it has: without it a file that is lost or put back
        // as a whole cannot be told, see "What stays ambiguous" in FORMAT.md. Where the power went
        // off before the mark was written only parts of files are damaged.
        let cached = disk.after_kill();
        let slots = read_slots(&cached).unwrap_or([Slot::Blank, Slot::Blank]);
        let newest = slots.iter().filter_map(Slot::header).max_by_key(|header| header.offset);
        let mark = disk.contents(MARK_FILE);
        marked = newest.is_some_and(|it| mark.as_deref() == Some(&it.encode()[..]));
        disk = disk.after_power_cut(leaves);
        if let Some(mark) = mark.filter(|_| marked && life + 1 == lives) {
            disk.put(MARK_FILE, mark);
        }
    }
    let what = damage(&disk, if marked { &older } else { &[] }, &mut dice);
    match Embedded::open_on(Arc::new(disk), options) {
        Err(error) if is_told(&error) => (Outcome::Told, format!("{what}: {error}")),
        Err(error) => (Outcome::Silent, format!("{what}, told as something else: {error}")),
        // Sealed segments are taken at their index's word; damage there is told by the read.
        Ok(store) if told_by_reads(&store) => (Outcome::Told, what),
        Ok(store) => match story.check(&store) {
            Err(lost) => (Outcome::Silent, format!("{what}: {lost}")),
            Ok(()) if store.recovery().restored.is_some() => (Outcome::Restored, what),
            Ok(()) => (Outcome::Harmless, what),
        },
    }
}

fn told_by_reads(store: &Embedded) -> bool {
    run(async {
        let mut from = Position::FIRST;
        while from <= store.head() {
            match store.read_all(from, &Filter::All, 1000).await {
                Ok(page) => from = page.next,
                Err(ReadError::Damaged { .. }) => return true,
                Err(other) => panic!("{other}"),
            }
        }
        false
    })
}

/// Damages one copy of something; mostly of the last frames, where it is hard to tell.
fn damage(disk: &SimDisk, older: &[Files], dice: &mut Dice) -> String {
    let now = files(disk);
    let names: Vec<&String> =
        now.keys().filter(|n| n.ends_with(".seg") || *n == MARK_FILE).collect();
    if names.is_empty() {
        return "no files".to_owned();
    }
    let slots = read_slots(disk).unwrap();
    let mirrored: Vec<_> = slots.iter().filter_map(|slot| slot.whole()).collect();
    // A place in a mirrored frame, in its segment or in its slot; or anywhere.
    let anywhere = !older.is_empty() && dice.roll(4) == 0;
    let (name, from, len) = if mirrored.is_empty() && older.is_empty() {
        return "nothing is mirrored".to_owned();
    } else if mirrored.is_empty() || anywhere {
        let name = (*dice.pick(&names)).clone();
        let len = now[&name].len();
        (name, 0, len)
    } else {
        let frame = *dice.pick(&mirrored);
        let len = frame.frame.bytes.len();
        if dice.roll(3) == 0 {
            let name = super::super::format::segment_name(frame.header.segment);
            let page = &now[&name][..HEADER_LEN];
            let header = SegmentHeader::decode(page).unwrap();
            (name, slot_at(&header, frame.slot) as usize, 64 + len)
        } else {
            let segment = super::super::format::segment_name(frame.header.segment);
            (segment, frame.header.offset as usize, len)
        }
    };
    let Some(bytes) = now.get(&name) else { return "no such file".to_owned() };
    let mut bytes = bytes.clone();
    let (from, to) = (from.min(bytes.len()), (from + len).min(bytes.len()));
    let at = from + dice.roll((to - from) as u64) as usize;
    let sector = at / 512 * 512..(at / 512 * 512 + 512).min(bytes.len());
    let what = match dice.roll(8) {
        0 => {
            bytes[sector].fill(0);
            format!("{name}: the sector of byte {at} is zeros")
        }
        // A sector holds parts of other frames too: only this one's share is lost.
        1 => {
            bytes[sector.start.max(from)..sector.end.min(to)].fill(0);
            format!("{name}: the frame's share of the sector of byte {at} is zeros")
        }
        2 => {
            bytes[from..to].fill(0);
            format!("{name}: bytes {from} to {to} are zeros")
        }
        3 => {
            let bit = dice.roll(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
            format!("{name}: bit {bit} of byte {at} flipped")
        }
        4 => {
            bytes.truncate(at);
            format!("{name}: cut at {at}")
        }
        5 => {
            let source = dice.roll(bytes.len() as u64) as usize / 512 * 512;
            let source = bytes[source..(source + 512).min(bytes.len())].to_vec();
            let len = source.len().min(bytes.len() - sector.start);
            bytes[sector.start..sector.start + len].copy_from_slice(&source[..len]);
            format!("{name}: another sector stands at {}", sector.start)
        }
        6 if !older.is_empty() => {
            let then = dice.roll(older.len() as u64) as usize;
            match older[then].get(&name).filter(|old| old.len() >= sector.end) {
                Some(old) => bytes[sector.clone()].copy_from_slice(&old[sector.clone()]),
                None => return "the file is younger".to_owned(),
            }
            format!("{name}: the sector of byte {at} is as it was, {then} of {}", older.len())
        }
        _ => {
            let then = dice.roll(older.len() as u64) as usize;
            match older.get(then).and_then(|files| files.get(&name)) {
                Some(old) => bytes = old.clone(),
                None => return "the file is younger".to_owned(),
            }
            format!("{name}: the older copy {then} of {}", older.len())
        }
    };
    disk.put(&name, bytes);
    what
}

/// Plays seeds on all cores; how often each outcome came, and the first that was silent.
fn campaign(seeds: std::ops::Range<u64>, twins: Twins) -> (BTreeMap<Outcome, u64>, Option<String>) {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let play_share = |share: u64| {
        let (mut counts, mut first) = (BTreeMap::new(), None);
        for seed in seeds.clone().filter(|seed| seed % threads == share) {
            let (outcome, what) = play(seed, twins);
            *counts.entry(outcome).or_insert(0) += 1;
            if outcome == Outcome::Silent && first.is_none() {
                first = Some(format!("seed {seed}: {what}"));
            }
        }
        (counts, first)
    };
    let shares: Vec<(BTreeMap<Outcome, u64>, Option<String>)> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|share| scope.spawn(move || play_share(share))).collect();
        running.into_iter().map(|share| share.join().unwrap()).collect()
    });
    let (mut counts, mut first) = (BTreeMap::new(), None);
    for (share, offence) in shares {
        share.into_iter().for_each(|(outcome, n)| *counts.entry(outcome).or_insert(0) += n);
        first = first.or(offence);
    }
    (counts, first)
}

#[test]
fn one_damage_after_a_power_cut_is_never_a_silent_loss() {
    let begun = std::time::Instant::now();
    let (counts, silent) = campaign(seeds(300), Twins::default());
    println!("{counts:?} in {:.0} s", begun.elapsed().as_secs_f64());
    assert_eq!(silent, None, "{counts:?}");
    assert!(counts[&Outcome::Restored] > 0 && counts[&Outcome::Told] > 0, "{counts:?}");
}

/// The same damages do lose when recovery does not ask the mirror.
#[test]
fn without_the_mirror_the_same_damage_loses_in_silence() {
    let (counts, silent) = campaign(seeds(300), Twins::without(Twin::AckedTailTakenForTorn));
    println!("without the mirror: {counts:?}; {silent:?}");
    assert!(silent.is_some_and(|what| what.contains("lost")), "{counts:?}");
}
