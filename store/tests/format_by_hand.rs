//! A reader written from `FORMAT.md`, not from the code: it shares nothing with the store but the
//! page. And the bytes themselves, pinned: bytes are forever.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::Arc;

use holdfast_store::contract::{batch, event};
use holdfast_store::embedded::sim::SimDisk;
use holdfast_store::embedded::{Embedded, Entropy, Options};
use holdfast_store::{Clock, EventStore, Expected, Filter, Position};
use uuid::Uuid;

/// Position, stream, version, id, kind, schema version, time, metadata, data.
type Event = (u64, String, u64, Uuid, String, u16, i64, Vec<u8>, Vec<u8>);

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The checksum, bit by bit, from its definition.
fn crc(parts: &[&[u8]]) -> u32 {
    crc_on(0, parts)
}

/// A checksum that goes on from another.
fn crc_on(from: u32, parts: &[&[u8]]) -> u32 {
    let mut crc = !from;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Reads a log from the bytes of its segments.
fn read(segments: &[Vec<u8>]) -> Vec<Event> {
    assert_eq!(crc(&[b"123456789"]), 0xe306_9283);
    let (mut events, mut hash, mut versions) = (Vec::new(), 0, std::collections::HashMap::new());
    let mut time = i64::MIN;
    for (number, bytes) in (1u64..).zip(segments) {
        if bytes[..4096].iter().all(|b| *b == 0) {
            break;
        }
        let page = &bytes[..4092];
        let version = u32_at(bytes, 8);
        assert_eq!(&bytes[..8], b"HOLDFAST");
        assert!(version == 1 || version == 2);
        let slots_begin = bytes.len() - 2 * u32_at(bytes, 80) as usize;
        assert_eq!(slots_begin == bytes.len(), version == 1);
        assert_eq!(&bytes[16..32], &segments[0][16..32], "one store");
        assert_eq!((u64_at(bytes, 32), u64_at(bytes, 40)), (number, events.len() as u64 + 1));
        assert_eq!((u32_at(bytes, 48), u64_at(bytes, 56)), (hash, bytes.len() as u64));
        assert_eq!(u32_at(bytes, 4092), crc(&[page]));
        hash = u32_at(bytes, 4092);
        let align = u32_at(bytes, 52) as usize;
        let (mut at, mut frames, first) = (u32_at(bytes, 12) as usize, 0, events.len());
        while at + 48 <= slots_begin && bytes[at..at + 48].iter().any(|b| *b != 0) {
            let head = &bytes[at..at + 48];
            assert_eq!((&head[..4], u16_at(head, 6)), (&b"HFfr"[..], 48));
            assert_eq!(u32_at(head, 44), crc(&[page, &head[..44]]));
            let frame = &bytes[at..at + u32_at(head, 8) as usize];
            let (content, trailer) = frame.split_at(frame.len() - 8);
            let checksum = match version {
                1 => crc(&[page, content]),
                _ => crc_on(u32_at(head, 44), &[&content[48..]]),
            };
            assert_eq!((u32_at(trailer, 0), &trailer[4..]), (checksum, &b"rfFH"[..]));
            assert_eq!((u32_at(head, 12), u64_at(head, 16)), (hash, events.len() as u64 + 1));
            hash = u32_at(trailer, 0);
            let recorded = u64_at(head, 24) as i64;
            assert!(recorded >= time);
            time = recorded;
            at = (at + frame.len()).next_multiple_of(align);
            if head[4] == 2 {
                let held = (u64_at(frame, 48), u64_at(frame, 56) as usize);
                assert_eq!(held, (frames, events.len() - first));
                assert!(bytes[at..slots_begin].iter().all(|b| *b == 0));
                break;
            }
            frames += 1;
            let (mut body, before) = (48, events.len());
            for _ in 0..u32_at(head, 32) {
                let (batches, len) = (u32_at(frame, body), u32_at(frame, body + 4) as usize);
                body += 8;
                let end = body + len;
                for _ in 0..batches {
                    let (version, count) = (u64_at(frame, body), u32_at(frame, body + 8));
                    let name = frame[body + 12] as usize;
                    body += 16;
                    let stream = String::from_utf8(frame[body..body + name].to_vec()).unwrap();
                    body += name;
                    let next: &mut u64 = versions.entry(stream.clone()).or_default();
                    assert_eq!(version, *next);
                    for _ in 0..count {
                        let id = Uuid::from_bytes(frame[body..body + 16].try_into().unwrap());
                        let schema = u16_at(frame, body + 16);
                        let lens = [
                            frame[body + 18] as usize,
                            u32_at(frame, body + 20) as usize,
                            u32_at(frame, body + 24) as usize,
                        ];
                        body += 28;
                        let [kind, metadata, data] = lens.map(|len| {
                            body += len;
                            frame[body - len..body].to_vec()
                        });
                        let kind = String::from_utf8(kind).unwrap();
                        let position = events.len() as u64 + 1;
                        events.push((
                            position,
                            stream.clone(),
                            *next,
                            id,
                            kind,
                            schema,
                            recorded,
                            metadata,
                            data,
                        ));
                        *next += 1;
                    }
                }
                assert_eq!(body, end);
            }
            assert_eq!((body, events.len() - before), (content.len(), u32_at(head, 36) as usize));
        }
    }
    events
}

async fn written(disk: &SimDisk, options: Options) -> Vec<Event> {
    let store = Embedded::open_on(Arc::new(disk.clone()), options).unwrap();
    for i in 0..40u8 {
        let mut one = batch(&format!("seat-{}", i % 7), Expected::Any, 1 + usize::from(i % 3));
        one.events.push(event("seat.locked", vec![i; usize::from(i) * 2000]));
        let mut two = batch("hall-1", Expected::Any, 1);
        two.events[0].schema_version = 7;
        for (n, event) in one.events.iter_mut().chain(&mut two.events).enumerate() {
            event.id = Uuid::from_u128(u128::from(i) << 8 | n as u128);
        }
        store.append(vec![one, two]).await.unwrap();
    }
    let page = store.read_all(Position::FIRST, &Filter::All, 1000).await.unwrap();
    let plain = page.events.into_iter().map(|e| {
        (
            e.position.0,
            e.stream.to_string(),
            e.stream_version,
            e.id,
            e.kind.into(),
            e.schema_version,
            e.recorded_at_micros,
            e.metadata.to_vec(),
            e.data.to_vec(),
        )
    });
    plain.collect()
}

fn segments(disk: &SimDisk) -> Vec<Vec<u8>> {
    let names = disk.names().into_iter().filter(|name| name.ends_with(".seg"));
    names.map(|name| disk.contents(&name).unwrap()).collect()
}

fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        prepare_in_background: false,
        clock: Clock::new(|| 1_790_000_000_000_000),
        entropy: Entropy::new(|bytes| {
            bytes.fill(0x5a);
            Ok(())
        }),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_stranger_reads_the_log_from_the_page_alone() {
    let disk = SimDisk::new();
    let written = written(&disk, options()).await;
    let read = read(&segments(&disk));
    assert_eq!(read.len(), written.len());
    assert!(read == written, "the same events, to the byte");
    assert_eq!(segments(&disk).len(), 4, "two sealed, one in use, one prepared");
}

/// Version 1 as it was written, kept under `tests/golden`.
#[test]
fn a_stranger_reads_the_first_version_too() {
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1-unindexed/log");
    let mut paths: Vec<_> =
        std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let segments: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let text = std::fs::read_to_string(format!("{log}/../expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let read = read(&segments);
    assert_eq!(read.len(), expected["events"].as_array().unwrap().len());
    for (event, told) in read.iter().zip(expected["events"].as_array().unwrap()) {
        assert_eq!(
            (&*event.1, event.2),
            (told["stream"].as_str().unwrap(), told["version"].as_u64().unwrap())
        );
        assert_eq!(format!("{:08x}", crc(&[&event.8])), told["data_crc32c"].as_str().unwrap());
    }
}

/// The last frame stands a second time, in the slot where it belongs.
#[tokio::test]
async fn a_stranger_finds_the_last_frame_in_its_slot() {
    let disk = SimDisk::new();
    let mut options = options();
    options.segment_bytes = 16 << 20;
    let written = written(&disk, options).await;
    let bytes = &segments(&disk)[0];
    let slot_len = u32_at(bytes, 80) as usize;
    let slots = [bytes.len() - 2 * slot_len, bytes.len() - slot_len];
    let newest = slots.into_iter().max_by_key(|at| u64_at(bytes, at + 40)).unwrap();
    let slot = &bytes[newest..];
    assert_eq!((&slot[..8], u32_at(slot, 8)), (&b"HFSTtail"[..], 1));
    assert_eq!(u32_at(slot, 60), crc(&[&slot[..60]]));
    assert_eq!((&slot[16..32], u64_at(slot, 32)), (&bytes[16..32], 1));
    assert_eq!(u32_at(slot, 48), u32_at(bytes, 4092));
    let (len, offset) = (u32_at(slot, 12) as usize, u64_at(slot, 40) as usize);
    let frame = &bytes[offset..offset + len];
    assert_eq!(&slot[64..64 + len], frame, "once more, to the byte");
    assert_eq!((u32_at(slot, 52), u32_at(slot, 56)), (u32_at(frame, 44), u32_at(frame, len - 8)));
    let last = u64_at(frame, 16) + u64::from(u32_at(frame, 36)) - 1;
    assert_eq!(last, written.len() as u64);
    let mark = disk.contents("acked").unwrap();
    assert_eq!(mark, &slot[..64], "and the mark names it");
}

/// Written once, in this version. If this fails, old logs can no longer be read, or new ones
/// not by old programs: that is a new format version, with a reader for the old one.
#[tokio::test]
async fn the_bytes_are_the_ones_of_this_version() {
    let disk = SimDisk::new();
    written(&disk, options()).await;
    let sums: Vec<u32> = segments(&disk).iter().map(|bytes| crc32c::crc32c(bytes)).collect();
    assert_eq!(sums, PINNED);
}

const PINNED: [u32; 4] = [1_123_803_340, 624_532_994, 3_469_524_441, 338_267_154];
