//! What `stat` says of versions, indexes and the mirrored tail.

use std::sync::Arc;

use super::super::format::{FORMAT_VERSION, segment_name};
use super::super::index::{PAGE_LEN, index_name};
use super::super::marker::MARK_FILE;
use super::super::sim::SimDisk;
use super::super::slot::{read_slots, slot_at};
use super::super::{CopyStat, Counting, Disk, IndexStat, LogStat, TailStat, stat_on};
use super::{Story, open, run, tiny};
use crate::contract::batch;
use crate::{EventStore, Expected};

const SEGMENT: u64 = 12 << 10;

fn stat(disk: &SimDisk, counting: Counting) -> LogStat {
    stat_on(&(Arc::new(disk.clone()) as Arc<dyn Disk>), counting).unwrap()
}

#[test]
fn streams_are_counted_by_the_indexes_where_all_are_there() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    Story::default().tell(&store, 20);
    let streams = store.info().streams;
    drop(store);
    let found = stat(&disk, Counting::Quick);
    assert_eq!((found.streams, found.counted), (Some(streams), None));
    let (open_one, sealed) = found.segments.split_last().unwrap();
    assert!(sealed.len() > 2 && open_one.index.is_none());
    assert!(sealed.iter().all(|one| one.index == Some(IndexStat::Good)), "{sealed:#?}");
    assert!(found.segments.iter().all(|one| one.version == FORMAT_VERSION));

    disk.scribble(&index_name(2), 60, b"!");
    disk.lose(&index_name(3));
    let found = stat(&disk, Counting::Everything);
    assert!(matches!(found.segments[1].index, Some(IndexStat::Rebuilt(_))), "{found:?}");
    assert_eq!(found.segments[2].index, Some(IndexStat::Missing));
    assert_eq!((found.streams, found.counted.unwrap().streams), (None, streams));
    drop(open(&disk, tiny(SEGMENT)));
    assert_eq!(stat(&disk, Counting::Quick).streams, Some(streams));
}

#[test]
fn the_tail_s_copies_agree_are_ahead_or_are_not_there() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    let tail = |disk: &SimDisk| stat(disk, Counting::Quick).tail;
    assert_eq!(tail(&disk), TailStat::default());
    for _ in 0..3 {
        run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
    }
    drop(store);
    let agrees = TailStat { slots: [CopyStat::Agrees; 2], mark: CopyStat::Agrees };
    assert_eq!(tail(&disk), agrees);

    let slots = read_slots(&disk).unwrap();
    let newest = slots.iter().filter_map(|s| s.whole()).max_by_key(|m| m.frame.first).unwrap();
    let (last, slot) = (newest.header.offset, newest.slot);
    let torn = disk.after_kill();
    torn.scribble(&segment_name(1), last + 60, b"!");
    let ahead = tail(&torn);
    assert_eq!((ahead.slots[slot], ahead.mark), (CopyStat::Ahead, CopyStat::Ahead));
    assert_eq!(ahead.slots[1 - slot], CopyStat::Agrees);

    let bytes = disk.contents(&segment_name(1)).unwrap();
    let header = super::super::format::SegmentHeader::decode(&bytes[..PAGE_LEN]).unwrap();
    disk.scribble(&segment_name(1), slot_at(&header, slot) + 20, b"!");
    disk.lose(MARK_FILE);
    let broken = tail(&disk);
    assert_eq!((broken.slots[slot], broken.mark), (CopyStat::Broken, CopyStat::None));
}
