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
    let mut crc = !0u32;
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
        assert_eq!((&bytes[..8], u32_at(bytes, 8)), (&b"HOLDFAST"[..], 1));
        assert_eq!(&bytes[16..32], &segments[0][16..32], "one store");
        assert_eq!((u64_at(bytes, 32), u64_at(bytes, 40)), (number, events.len() as u64 + 1));
        assert_eq!((u32_at(bytes, 48), u64_at(bytes, 56)), (hash, bytes.len() as u64));
        assert_eq!(u32_at(bytes, 4092), crc(&[page]));
        hash = u32_at(bytes, 4092);
        let align = u32_at(bytes, 52) as usize;
        let (mut at, mut frames, first) = (u32_at(bytes, 12) as usize, 0, events.len());
        while at + 48 <= bytes.len() && bytes[at..at + 48].iter().any(|b| *b != 0) {
            let head = &bytes[at..at + 48];
            assert_eq!((&head[..4], u16_at(head, 6)), (&b"HFfr"[..], 48));
            assert_eq!(u32_at(head, 44), crc(&[page, &head[..44]]));
            let frame = &bytes[at..at + u32_at(head, 8) as usize];
            let (content, trailer) = frame.split_at(frame.len() - 8);
            assert_eq!((u32_at(trailer, 0), &trailer[4..]), (crc(&[page, content]), &b"rfFH"[..]));
            assert_eq!((u32_at(head, 12), u64_at(head, 16)), (hash, events.len() as u64 + 1));
            hash = u32_at(trailer, 0);
            let recorded = u64_at(head, 24) as i64;
            assert!(recorded >= time);
            time = recorded;
            at = (at + frame.len()).next_multiple_of(align);
            if head[4] == 2 {
                let held = (u64_at(frame, 48), u64_at(frame, 56) as usize);
                assert_eq!(held, (frames, events.len() - first));
                assert!(bytes[at..].iter().all(|b| *b == 0));
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
    assert_eq!(segments(&disk).len(), 3, "one sealed, one in use, one prepared");
}

/// Written once, in the first version. If this fails, old logs can no longer be read, or new ones
/// not by old programs: that is a new format version, with a reader for the old one.
#[tokio::test]
async fn the_bytes_are_the_ones_of_the_first_version() {
    let disk = SimDisk::new();
    written(&disk, options()).await;
    let sums: Vec<u32> = segments(&disk).iter().map(|bytes| crc32c::crc32c(bytes)).collect();
    assert_eq!(sums, PINNED);
}

const PINNED: [u32; 3] = [1_936_731_242, 3_180_257_028, 338_267_154];
