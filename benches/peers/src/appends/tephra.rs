//! Tephra, an embedded event store: guarded by tag and position, which is its nearest equal to a
//! stream's version. Every commit of it ends in an `fdatasync`; there is no stronger setting.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tephra::{
    AppendCondition, Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag,
    Tags, WriteCoordinator, WriterConfig,
};

use crate::common::{Round, produce};

/// What its documentation opens a log with.
const SEGMENT_BYTES: usize = 256 << 20;

pub(crate) async fn round(home: &Path, producers: usize, span: Duration, data: Bytes) -> Round {
    let set = SegmentSet::open(home, SegmentConfig::new(SEGMENT_BYTES)).expect("a log");
    let (coordinator, handle) =
        WriteCoordinator::start(set, WriterConfig::default()).expect("a writer");
    let kind = EventType::new(super::KIND).expect("a name");
    let tags: Vec<_> = (0..producers)
        .map(|it| Tags::new([Tag::new(format!("stream:{it}")).expect("a tag")]).expect("tags"))
        .collect();
    let round = produce(producers, span, move |producer, _, last: Option<Position>| {
        let tags = &tags[producer];
        let event = Event::new(&kind, tags, &data).expect("an event");
        let guard = AppendCondition::new(Query::item(QueryItem::with_tags(tags.clone())))
            .after(last.unwrap_or(Position::ZERO));
        let handle = handle.clone();
        async move {
            let range = handle.append_async(vec![event], Some(guard)).await.expect("an append");
            Some(range.last)
        }
    })
    .await;
    coordinator.shutdown();
    round
}
