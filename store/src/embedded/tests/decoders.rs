//! Bytes that nobody wrote, and bytes whose checksums are right although what they say is not: none
//! of them makes a reader panic, nor believe a length and ask for memory that it does not need.
//! 10,000 inputs each; `HOLDFAST_INPUTS=n` asks for more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::format::{
    FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, SegmentHeader, TRAILER_LEN, finish, put,
    segment_name, u32_at,
};
use super::super::frame::Frame;
use super::super::sim::SimDisk;
use super::super::sim::dice::Dice;
use super::super::{Embedded, Options, Reader, verify_on};
use super::swarm::world::everything;
use super::{Story, open, run, tiny};

const SEGMENT: u64 = 8 << 10;
/// An event takes no less: more entries than that are never set aside.
const LEAST_EVENT_BYTES: usize = 28;

fn inputs() -> u64 {
    std::env::var("HOLDFAST_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

fn random(dice: &mut Dice, len: u64) -> Vec<u8> {
    (0..len).map(|_| dice.number() as u8).collect()
}

/// Changes some bytes, mostly to what makes lengths and counts lie.
fn mutate(dice: &mut Dice, bytes: &mut [u8]) {
    for _ in 0..1 + dice.roll(4) {
        let at = dice.roll(bytes.len() as u64) as usize;
        let odd = [0, 1, 0x7f, 0xff, 0x80, dice.number() as u8];
        let value = *dice.pick(&odd);
        let end = (at + *dice.pick(&[1, 1, 2, 4, 8])).min(bytes.len());
        bytes[at..end].fill(value);
    }
}

/// Makes the checksums of a frame right again.
fn vouch(seed: u32, frame: &mut Vec<u8>) {
    frame.truncate(frame.len() - TRAILER_LEN);
    let checksum = crc32c::crc32c_append(seed, &frame[..FRAME_HEADER_LEN - 4]);
    put(frame, FRAME_HEADER_LEN - 4, &checksum.to_le_bytes());
    finish(seed, frame);
}

/// A small log on a disk.
fn sample() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk, options());
    Story::default().tell(&store, 9);
    drop(store);
    disk
}

fn options() -> Options {
    Options { cache_bytes: 0, index_cache_bytes: 8 << 10, ..tiny(SEGMENT) }
}

/// The first frame of a segment.
fn first_frame(segment: &[u8]) -> (u32, Vec<u8>) {
    let seed = SegmentHeader::decode(&segment[..HEADER_LEN]).unwrap().hash;
    let len = FrameHeader::decode(seed, &segment[HEADER_LEN..]).unwrap().len as usize;
    (seed, segment[HEADER_LEN..HEADER_LEN + len].to_vec())
}

#[test]
fn no_bytes_make_the_decoders_panic() {
    let mut dice = Dice::new(1);
    for _ in 0..inputs() {
        let len = dice.roll(300);
        let mut bytes = random(&mut dice, len);
        if dice.one_in(2) && bytes.len() >= 4 {
            bytes[..4].copy_from_slice(b"HFfr");
        }
        let _ = FrameHeader::decode(7, &bytes);
        let _ = Frame::decode(7, Bytes::from(bytes.clone()));
        bytes.resize(HEADER_LEN, dice.number() as u8);
        bytes[..8].copy_from_slice(b"HOLDFAST");
        let checksum = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
        put(&mut bytes, HEADER_LEN - 4, &checksum.to_le_bytes());
        let _ = SegmentHeader::decode(&bytes);
    }
}

#[test]
fn a_frame_that_lies_with_right_checksums_is_refused_or_read_within_its_bytes() {
    let disk = sample();
    let (seed, frame) = first_frame(&disk.contents(&segment_name(1)).unwrap());
    let mut dice = Dice::new(2);
    let mut taken = 0;
    for _ in 0..inputs() {
        let mut bytes = frame.clone();
        if dice.one_in(4) {
            let len = FRAME_HEADER_LEN + TRAILER_LEN;
            bytes.truncate(len + dice.roll((frame.len() - len) as u64) as usize);
        }
        mutate(&mut dice, &mut bytes);
        vouch(seed, &mut bytes);
        let len = bytes.len();
        let Ok(read) = Frame::decode(seed, bytes.into()) else { continue };
        taken += 1;
        assert!(read.entries.capacity() <= len / LEAST_EVENT_BYTES + 4, "{len} bytes");
        for position in read.first..read.first.saturating_add(read.entries.len() as u64) {
            let event = read.event(position);
            assert!(event.data.len() + event.metadata.len() < len);
        }
    }
    assert!(taken > 0, "some lies are about nothing that can be checked");
}

/// Files of all kinds that lie with right checksums, or are not ours at all: opening, reading, the
/// reader beside and `verify` answer.
#[test]
fn no_file_makes_a_store_panic_or_ask_for_much_memory() {
    let good = sample();
    let names = good.names();
    let mut dice = Dice::new(3);
    for input in 0..inputs() / 5 {
        let disk = SimDisk::new();
        let spoilt = dice.pick(&names).clone();
        for name in &names {
            let mut bytes = good.contents(name).unwrap();
            if *name == spoilt {
                spoil(&mut dice, name, &mut bytes);
            }
            disk.put(name, bytes);
        }
        let what = format!("input {input}, {spoilt}");
        if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options()) {
            let _ = run(everything(&store));
        }
        if let Ok(reader) = Reader::open_on(Arc::new(disk.clone())) {
            let _ = run(everything(&reader));
        }
        let _ = verify_on(Arc::new(disk.clone()), Duration::ZERO, &mut |_| {});
        let widest = disk.widest_read_bytes();
        assert!(widest <= 4 << 20, "{what}: {widest} bytes were to be read at once");
    }
}

/// Changes a file, and makes its checksums right again where it is known how.
fn spoil(dice: &mut Dice, name: &str, bytes: &mut Vec<u8>) {
    if bytes.is_empty() || dice.one_in(8) {
        let len = dice.roll(3 * SEGMENT);
        *bytes = random(dice, len);
    } else if name.ends_with(".seg") && dice.one_in(3) {
        // The header page.
        let page = &mut bytes[..HEADER_LEN];
        mutate(dice, &mut page[..80]);
        let checksum = crc32c::crc32c(&page[..HEADER_LEN - 4]);
        put(page, HEADER_LEN - 4, &checksum.to_le_bytes());
    } else if name.ends_with(".seg") && SegmentHeader::decode(&bytes[..HEADER_LEN]).is_ok() {
        let Some(len) = bytes.get(HEADER_LEN..HEADER_LEN + FRAME_HEADER_LEN).and_then(|head| {
            let seed = u32_at(bytes, HEADER_LEN - 4);
            FrameHeader::decode(seed, head).ok().map(|head| head.len as usize)
        }) else {
            return;
        };
        let seed = u32_at(bytes, HEADER_LEN - 4);
        let mut frame = bytes[HEADER_LEN..HEADER_LEN + len].to_vec();
        let reach = if dice.one_in(2) { FRAME_HEADER_LEN } else { len };
        mutate(dice, &mut frame[..reach]);
        vouch(seed, &mut frame);
        bytes[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&frame);
    } else if name.ends_with(".idx") && bytes.len() >= HEADER_LEN {
        // The header page, whose checksum is the seed of those of all others.
        let page = &mut bytes[..HEADER_LEN];
        mutate(dice, &mut page[..120]);
        let checksum = crc32c::crc32c(&page[..HEADER_LEN - 4]);
        put(page, HEADER_LEN - 4, &checksum.to_le_bytes());
        if dice.one_in(2) {
            for page in 1..bytes.len() / HEADER_LEN {
                let at = page * HEADER_LEN;
                let body = &mut bytes[at..at + HEADER_LEN - 4];
                mutate(dice, body);
                let hash = crc32c::crc32c_append(checksum, &(page as u32).to_le_bytes());
                let hash = crc32c::crc32c_append(hash, &bytes[at..at + HEADER_LEN - 4]);
                put(bytes, at + HEADER_LEN - 4, &hash.to_le_bytes());
            }
        }
    } else if name.starts_with("tail-") && bytes.len() > 64 {
        mutate(dice, &mut bytes[..60]);
        let checksum = crc32c::crc32c(&bytes[..60]);
        put(bytes, 60, &checksum.to_le_bytes());
    } else {
        mutate(dice, bytes);
    }
}
