//! The contract suite that every backend passes.
//!
//! Each case is a sentence, takes an empty store and panics when the store does not keep it. A
//! backend runs all of them with [`contract_tests!`](crate::contract_tests), which makes one test of
//! each:
//!
//! ```ignore
//! holdfast_store::contract_tests!(async || Arc::new(Memory::new()) as Arc<dyn EventStore>);
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    AppendError, Direction, EventStore, Expected, Filter, NewEvent, Position, RecordedEvent,
    StreamAppend, StreamId, Subscription, limits,
};

/// How long a case waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes one test of each case of the contract; takes an async closure that gives an empty store.
#[macro_export]
macro_rules! contract_tests {
    ($fresh:expr) => {
        $crate::contract_tests!(@ $fresh;
            an_empty_store_has_nothing
            positions_are_dense_from_one
            versions_are_dense_from_zero
            what_is_read_is_what_was_appended
            a_wrong_expectation_records_nothing
            of_racing_appends_exactly_one_wins
            racing_appends_to_many_streams_leave_no_gap
            an_append_to_several_streams_is_all_or_nothing
            an_append_is_contiguous_and_in_order
            streams_are_read_in_both_directions
            filters_give_what_they_name
            pages_follow_each_other_without_gap_or_double
            a_follower_catches_up_and_then_lives
            followers_of_a_busy_log_miss_nothing
            the_head_is_told_and_covers_what_was_answered
            time_never_goes_back
            a_reader_never_sees_half_an_append
            big_payloads_come_back_whole
            what_is_not_valid_is_refused_and_leaves_nothing
            a_given_up_append_does_no_harm
        );
    };
    (@ $fresh:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::contract::$case(($fresh)().await).await;
            }
        )*
    };
}

/// An event with a fresh id.
pub fn event(kind: &str, data: impl Into<Bytes>) -> NewEvent {
    NewEvent {
        id: Uuid::now_v7(),
        kind: kind.to_owned(),
        schema_version: 1,
        metadata: Bytes::from_static(br#"{"actor":"system:contract"}"#),
        data: data.into(),
    }
}

/// `count` events for one stream.
pub fn batch(stream: &str, expected: Expected, count: usize) -> StreamAppend {
    let events = (0..count).map(|i| event("test.happened", format!(r#"{{"n":{i}}}"#))).collect();
    StreamAppend { stream: StreamId::new(stream), expected, events }
}

/// The whole log, page by page.
pub async fn everything(store: &dyn EventStore) -> Vec<RecordedEvent> {
    let (mut events, mut from) = (Vec::new(), Position::FIRST);
    while from <= store.head() {
        let page = store.read_all(from, &Filter::All, 1000).await.expect("a log that can be read");
        assert!(page.next > from, "a page looks at something, below the head");
        events.extend(page.events);
        from = page.next;
    }
    events
}

async fn stream(store: &dyn EventStore, name: &str) -> Vec<RecordedEvent> {
    let id = StreamId::new(name);
    store.read_stream(&id, 0, Direction::Forward, usize::MAX).await.expect("a readable stream")
}

/// Nothing there: head 0, empty reads, no trouble.
pub async fn an_empty_store_has_nothing(store: Arc<dyn EventStore>) {
    assert_eq!(store.head(), Position::ZERO);
    assert_eq!(*store.watch_head().borrow(), Position::ZERO);
    assert_eq!(store.trouble(), None);
    assert!(stream(&*store, "nobody-1").await.is_empty());
    let page = store.read_all(Position::ZERO, &Filter::All, 10).await.expect("a page");
    assert!(page.events.is_empty());
    assert_eq!(page.next, Position::FIRST);
    let page = store.read_all(Position(7), &Filter::All, 10).await.expect("a page");
    assert_eq!((page.events.len(), page.next), (0, Position(7)), "nothing was looked at");
}

/// P4: 1, 2, 3 … over all streams, as answered and as read.
pub async fn positions_are_dense_from_one(store: Arc<dyn EventStore>) {
    let mut expected = 1;
    for i in 0..20 {
        let count = 1 + i % 3;
        let name = format!("thing-{}", i % 5);
        let appended =
            store.append(vec![batch(&name, Expected::Any, count)]).await.expect("an append");
        assert_eq!(appended.first, Position(expected));
        expected += count as u64;
        assert_eq!(appended.last, Position(expected - 1));
        assert_eq!(store.head(), appended.last);
    }
    let all = everything(&*store).await;
    let positions: Vec<u64> = all.iter().map(|e| e.position.0).collect();
    assert_eq!(positions, (1..expected).collect::<Vec<_>>());
}

/// 0, 1, 2 … within each stream, as answered and as read.
pub async fn versions_are_dense_from_zero(store: Arc<dyn EventStore>) {
    let first = store.append(vec![batch("thing-a", Expected::NoStream, 2)]).await.expect("new");
    assert_eq!(first.stream_versions, [1]);
    let second = store
        .append(vec![
            batch("thing-b", Expected::NoStream, 1),
            batch("thing-a", Expected::Exact(1), 3),
        ])
        .await
        .expect("both are as expected");
    assert_eq!(second.stream_versions, [0, 4]);
    let versions: Vec<u64> =
        stream(&*store, "thing-a").await.iter().map(|e| e.stream_version).collect();
    assert_eq!(versions, [0, 1, 2, 3, 4]);
}

/// Every field comes back byte for byte.
pub async fn what_is_read_is_what_was_appended(store: Arc<dyn EventStore>) {
    let given = vec![
        NewEvent { schema_version: u16::MAX, ..event("a.b", "") },
        NewEvent { metadata: Bytes::new(), ..event("with space", vec![0u8; 3]) },
        event("c.d", (0..=255u8).collect::<Vec<_>>()),
    ];
    let id = StreamId::new("odd-~!@#$%^&*()_+-=[]{}|;':\",./<>?");
    let batch = StreamAppend { stream: id.clone(), expected: Expected::Any, events: given.clone() };
    let appended = store.append(vec![batch]).await.expect("an append");
    for (by_stream, event) in
        [(true, stream(&*store, id.as_str()).await), (false, everything(&*store).await)]
    {
        assert_eq!(event.len(), given.len(), "by stream: {by_stream}");
        for (i, (read, new)) in event.iter().zip(&given).enumerate() {
            assert_eq!(read.position, Position(appended.first.0 + i as u64));
            assert_eq!((&read.stream, read.stream_version), (&id, i as u64));
            assert_eq!(read.recorded_at_micros, appended.recorded_at_micros);
            assert_eq!((read.id, read.kind.as_str()), (new.id, new.kind.as_str()));
            assert_eq!(read.schema_version, new.schema_version);
            assert_eq!((&read.metadata, &read.data), (&new.metadata, &new.data));
        }
    }
}

/// Each kind of expectation, right and wrong; a conflict says what is there and records nothing.
pub async fn a_wrong_expectation_records_nothing(store: Arc<dyn EventStore>) {
    let conflict = |name: &str, expected, actual| AppendError::Conflict {
        stream: StreamId::new(name),
        expected,
        actual,
    };
    for expected in [Expected::Exact(0), Expected::Exact(u64::MAX)] {
        let refused = store.append(vec![batch("thing-1", expected, 1)]).await;
        assert_eq!(refused, Err(conflict("thing-1", expected, None)));
    }
    store.append(vec![batch("thing-1", Expected::Any, 2)]).await.expect("any takes none");
    for expected in [Expected::NoStream, Expected::Exact(0), Expected::Exact(2)] {
        let refused = store.append(vec![batch("thing-1", expected, 1)]).await;
        assert_eq!(refused, Err(conflict("thing-1", expected, Some(1))));
    }
    assert_eq!(store.head(), Position(2));
    store.append(vec![batch("thing-1", Expected::Exact(1), 1)]).await.expect("exact");
    store.append(vec![batch("thing-1", Expected::Any, 1)]).await.expect("any");
    assert_eq!(stream(&*store, "thing-1").await.len(), 4);
}

/// P4b: of n appends with one expectation exactly one is recorded, round after round.
pub async fn of_racing_appends_exactly_one_wins(store: Arc<dyn EventStore>) {
    const RACERS: usize = 16;
    for round in 0..20u64 {
        let expected = round.checked_sub(1).map_or(Expected::NoStream, Expected::Exact);
        let racers: Vec<_> = (0..RACERS)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.append(vec![batch("hot-1", expected, 1)]).await })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.expect("no panic") {
                Ok(appended) => {
                    assert_eq!(appended.stream_versions, [round]);
                    won += 1;
                }
                Err(AppendError::Conflict { actual, .. }) => assert_eq!(actual, Some(round)),
                Err(other) => panic!("neither won nor lost: {other}"),
            }
        }
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(stream(&*store, "hot-1").await.len(), 20);
}

/// Many writers at once: every answer is in the log, where it said, and nothing else is.
pub async fn racing_appends_to_many_streams_leave_no_gap(store: Arc<dyn EventStore>) {
    let writers: Vec<_> = (0..8)
        .map(|w| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for i in 0..25 {
                    let own = format!("own-{w}");
                    let batches = vec![
                        batch(&own, Expected::Any, 1 + i % 2),
                        batch("shared-1", Expected::Any, 1),
                    ];
                    let ids: Vec<Uuid> =
                        batches.iter().flat_map(|b| &b.events).map(|e| e.id).collect();
                    let appended = store.append(batches).await.expect("an append");
                    assert_eq!(appended.last.0 - appended.first.0 + 1, ids.len() as u64);
                    mine.push((appended.first, ids));
                }
                mine
            })
        })
        .collect();
    let mut answered = 0;
    for writer in writers {
        let mine = writer.await.expect("no panic");
        let all = everything(&*store).await;
        for (first, ids) in mine {
            answered += ids.len();
            for (i, id) in ids.iter().enumerate() {
                assert_eq!(all[first.0 as usize - 1 + i].id, *id);
            }
        }
    }
    let all = everything(&*store).await;
    assert_eq!(all.len(), answered);
    let shared: Vec<u64> =
        all.iter().filter(|e| e.stream.as_str() == "shared-1").map(|e| e.stream_version).collect();
    assert_eq!(shared, (0..200).collect::<Vec<_>>(), "versions grow in the order of positions");
}

/// P3: one guard that fails takes the whole append with it, wherever it stands.
pub async fn an_append_to_several_streams_is_all_or_nothing(store: Arc<dyn EventStore>) {
    store.append(vec![batch("b-1", Expected::NoStream, 1)]).await.expect("new");
    for wrong in 0..3 {
        let batches = (0..3)
            .map(|i| {
                let expected = if i == wrong { Expected::Exact(7) } else { Expected::Any };
                batch(["a-1", "b-1", "c-1"][i], expected, 2)
            })
            .collect();
        let refused = store.append(batches).await;
        assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(store.head(), Position(1));
    assert!(stream(&*store, "a-1").await.is_empty());
    assert_eq!(stream(&*store, "b-1").await.len(), 1);
}

/// The batches of an append follow each other in the log as they were given.
pub async fn an_append_is_contiguous_and_in_order(store: Arc<dyn EventStore>) {
    let batches: Vec<_> =
        (0..40).map(|i| batch(&format!("s-{i}"), Expected::NoStream, 1 + i % 4)).collect();
    let ids: Vec<Uuid> = batches.iter().flat_map(|b| &b.events).map(|e| e.id).collect();
    let appended = store.append(batches).await.expect("an append");
    assert_eq!(appended.stream_versions.len(), 40);
    let read: Vec<Uuid> = everything(&*store).await.iter().map(|e| e.id).collect();
    assert_eq!(read, ids);
}

/// Forward and backward, from any version, at most so many.
pub async fn streams_are_read_in_both_directions(store: Arc<dyn EventStore>) {
    for i in 0..10 {
        store.append(vec![batch("thing-1", Expected::Any, 1)]).await.expect("an append");
        store.append(vec![batch(&format!("other-{i}"), Expected::Any, 2)]).await.expect("more");
    }
    let id = StreamId::new("thing-1");
    let read = async |from, direction, max| -> Vec<u64> {
        let events = store.read_stream(&id, from, direction, max).await.expect("a stream");
        assert!(events.iter().all(|e| e.stream == id));
        events.iter().map(|e| e.stream_version).collect()
    };
    assert_eq!(read(0, Direction::Forward, 100).await, (0..10).collect::<Vec<_>>());
    assert_eq!(read(4, Direction::Forward, 3).await, [4, 5, 6]);
    assert_eq!(read(9, Direction::Forward, 3).await, [9]);
    assert_eq!(read(10, Direction::Forward, 3).await, [0u64; 0]);
    assert_eq!(read(u64::MAX, Direction::Forward, 3).await, [0u64; 0]);
    assert_eq!(read(u64::MAX, Direction::Backward, 3).await, [9, 8, 7]);
    assert_eq!(read(4, Direction::Backward, 100).await, [4, 3, 2, 1, 0]);
    assert_eq!(read(0, Direction::Backward, 1).await, [0]);
    assert_eq!(read(0, Direction::Forward, 0).await, [0u64; 0]);
}

/// All, categories, one stream, stored names.
pub async fn filters_give_what_they_name(store: Arc<dyn EventStore>) {
    for i in 0..6 {
        for (name, kind) in [("a", "a.x"), ("b", "b.y"), ("a-b", "a.y")] {
            let stream = StreamId::new(format!("{name}-{}", i % 2));
            let events = vec![event(kind, "{}")];
            let batch = StreamAppend { stream, expected: Expected::Any, events };
            store.append(vec![batch]).await.expect("an append");
        }
    }
    let read = async |filter: Filter| {
        let mut events = Vec::new();
        let mut from = Position::FIRST;
        while from <= store.head() {
            let page = store.read_all(from, &filter, 4).await.expect("a page");
            assert!(page.events.len() <= 4);
            assert!(page.events.iter().all(|e| filter.wants(e) && e.position < page.next));
            events.extend(page.events);
            from = page.next;
        }
        events
    };
    assert_eq!(read(Filter::All).await.len(), 18);
    // What stands before the first `-` is the category: `a-b-0` belongs to `a`.
    assert_eq!(read(Filter::Categories(vec!["a".into()])).await.len(), 12);
    assert_eq!(read(Filter::Categories(vec!["b".into(), "a".into()])).await.len(), 18);
    assert_eq!(read(Filter::Categories(vec![])).await.len(), 0);
    assert_eq!(read(Filter::Stream(StreamId::new("a-1"))).await.len(), 3);
    assert_eq!(read(Filter::Stream(StreamId::new("a"))).await.len(), 0);
    assert_eq!(read(Filter::Kinds(vec!["b.y".into(), "a.y".into()])).await.len(), 12);
}

/// `next` leads through the log, whatever the size of the pages.
pub async fn pages_follow_each_other_without_gap_or_double(store: Arc<dyn EventStore>) {
    for i in 0..30 {
        let name = format!("s-{}", i % 4);
        store.append(vec![batch(&name, Expected::Any, 1 + i % 5)]).await.expect("an append");
    }
    let all = everything(&*store).await;
    for max in [1, 2, 3, 7, 1000] {
        for start in [0, 1, 2, 17, all.len() as u64, all.len() as u64 + 1] {
            let (mut from, mut got) = (Position(start), Vec::new());
            while from <= store.head() {
                let page = store.read_all(from, &Filter::All, max).await.expect("a page");
                assert!(page.events.len() <= max);
                got.extend(page.events);
                from = page.next;
            }
            let skipped = (start.max(1) - 1) as usize;
            assert_eq!(got, all[skipped..], "from {start}, {max} at a time");
        }
    }
    let nothing = store.read_all(Position(3), &Filter::All, 0).await.expect("a page");
    assert_eq!((nothing.events.len(), nothing.next), (0, Position(3)));
}

/// What is there first, then what comes, then waiting; and a later start sees less.
pub async fn a_follower_catches_up_and_then_lives(store: Arc<dyn EventStore>) {
    for _ in 0..3 {
        store.append(vec![batch("thing-1", Expected::Any, 1)]).await.expect("an append");
    }
    let mut follower = Subscription::new(Arc::clone(&store), Position::ZERO, Filter::All);
    let mut late = Subscription::new(Arc::clone(&store), Position(3), Filter::All);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(follower.next().await.expect("what is there"));
    }
    assert_eq!(late.next().await.expect("what is there")[0].position, Position(3));
    let nothing = tokio::time::timeout(Duration::from_millis(20), follower.next()).await;
    assert!(nothing.is_err(), "it waits at the head");
    let waiting = tokio::spawn(async move { follower.next().await });
    store.append(vec![batch("thing-1", Expected::Any, 2)]).await.expect("an append");
    let live = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it wakes up")
        .expect("no panic")
        .expect("what has come");
    seen.extend(live);
    let positions: Vec<u64> = seen.iter().map(|e| e.position.0).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
}

/// P4: followers that start at any time while others write see every event once, in order.
pub async fn followers_of_a_busy_log_miss_nothing(store: Arc<dyn EventStore>) {
    const EVENTS: u64 = 240;
    let follow = |from: u64, filter: Filter| {
        let mut follower = Subscription::new(Arc::clone(&store), Position(from), filter);
        tokio::spawn(async move {
            let mut positions = Vec::new();
            while follower.position() <= Position(EVENTS) {
                let (events, upto) = follower.next_page().await.expect("a page");
                assert_eq!(upto.next(), follower.position());
                positions.extend(events.iter().map(|e| e.position.0));
            }
            positions
        })
    };
    let mut followers = vec![(1, follow(0, Filter::All))];
    let wanted = StreamId::new("w-1");
    let picky = follow(0, Filter::Stream(wanted.clone()));
    let writers: Vec<_> = (0..4)
        .map(|w| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..20 {
                    let name = format!("w-{w}");
                    store.append(vec![batch(&name, Expected::Any, 3)]).await.expect("an append");
                }
            })
        })
        .collect();
    for from in [1, 5, 50, 120] {
        followers.push((from, follow(from, Filter::All)));
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    for (from, follower) in followers {
        let seen =
            tokio::time::timeout(PATIENCE, follower).await.expect("an end").expect("no panic");
        assert_eq!(seen, (from..=EVENTS).collect::<Vec<_>>());
    }
    let seen = tokio::time::timeout(PATIENCE, picky).await.expect("an end").expect("no panic");
    let there: Vec<u64> = stream(&*store, "w-1").await.iter().map(|e| e.position.0).collect();
    assert_eq!(seen, there);
}

/// Whoever was answered finds the head there, and the event.
pub async fn the_head_is_told_and_covers_what_was_answered(store: Arc<dyn EventStore>) {
    let mut head = store.watch_head();
    let appended = store.append(vec![batch("thing-1", Expected::Any, 2)]).await.expect("an append");
    assert!(store.head() >= appended.last);
    tokio::time::timeout(PATIENCE, head.changed()).await.expect("told").expect("open");
    assert_eq!(*head.borrow_and_update(), appended.last);
    let page = store.read_all(appended.last, &Filter::All, 9).await.expect("a page");
    assert_eq!(page.events.len(), 1);
}

/// `recorded_at` never decreases along the log.
pub async fn time_never_goes_back(store: Arc<dyn EventStore>) {
    for _ in 0..30 {
        store.append(vec![batch("thing-1", Expected::Any, 2)]).await.expect("an append");
    }
    let all = everything(&*store).await;
    assert!(all.windows(2).all(|w| w[0].recorded_at_micros <= w[1].recorded_at_micros));
}

/// P3: a reader that polls while others append sees appends whole or not at all.
pub async fn a_reader_never_sees_half_an_append(store: Arc<dyn EventStore>) {
    const SIZE: u64 = 5;
    let writers: Vec<_> = (0..3)
        .map(|w| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..30 {
                    let (left, right) = (format!("l-{w}"), format!("r-{w}"));
                    let batches =
                        vec![batch(&left, Expected::Any, 2), batch(&right, Expected::Any, 3)];
                    store.append(batches).await.expect("an append");
                }
            })
        })
        .collect();
    let mut done = false;
    while !done {
        done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let head = store.head();
        assert_eq!(head.0 % SIZE, 0, "the head stands between appends");
        let all = everything(&*store).await;
        assert_eq!(all.len() as u64 % SIZE, 0);
        let left: HashSet<_> = all.iter().filter(|e| e.stream.category() == "l").collect_versions();
        let right: HashSet<_> =
            all.iter().filter(|e| e.stream.category() == "r").collect_versions();
        assert_eq!(left.len() * 3, right.len() * 2);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
}

/// Payloads of half a mebibyte and many events in one append.
pub async fn big_payloads_come_back_whole(store: Arc<dyn EventStore>) {
    let big: Bytes = (0..512 * 1024u32).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
    let mut given = batch("big-1", Expected::NoStream, 0);
    given.events = vec![event("big.thing", big.clone())];
    store.append(vec![given]).await.expect("half a mebibyte is taken");
    store.append(vec![batch("many-1", Expected::NoStream, 3000)]).await.expect("3,000 are taken");
    assert_eq!(stream(&*store, "big-1").await[0].data, big);
    let many = stream(&*store, "many-1").await;
    assert_eq!(many.len(), 3000);
    assert_eq!(many[2999].data, &br#"{"n":2999}"#[..]);
    assert_eq!(everything(&*store).await.len(), 3001);
}

/// Bad names, nothing to record, too much to record, a stream twice.
pub async fn what_is_not_valid_is_refused_and_leaves_nothing(store: Arc<dyn EventStore>) {
    let with = |change: &dyn Fn(&mut NewEvent)| {
        let mut given = batch("thing-1", Expected::Any, 1);
        change(&mut given.events[0]);
        vec![given]
    };
    let long = "x".repeat(limits::MAX_STREAM_BYTES + 1);
    let huge = Bytes::from(vec![b'x'; limits::MAX_APPEND_BYTES]);
    let bad = [
        vec![],
        vec![batch("", Expected::Any, 1)],
        vec![batch("with space-1", Expected::Any, 1)],
        vec![batch("schön-1", Expected::Any, 1)],
        vec![batch("tab\t-1", Expected::Any, 1)],
        vec![batch("nul\0-1", Expected::Any, 1)],
        vec![batch(&long, Expected::Any, 1)],
        vec![batch("thing-1", Expected::Any, 0)],
        vec![batch("thing-1", Expected::Any, 1), batch("thing-2", Expected::Any, 0)],
        vec![batch("thing-1", Expected::Any, 1), batch("thing-1", Expected::Any, 1)],
        (0..30).map(|i| batch(&format!("t-{}", i % 29), Expected::Any, 1)).collect(),
        with(&|e| e.kind = String::new()),
        with(&|e| e.kind = "k".repeat(limits::MAX_KIND_BYTES + 1)),
        with(&|e| e.kind = "line\nbreak".into()),
        with(&|e| e.kind = "ä".into()),
        with(&|e| e.schema_version = 0),
        with(&|e| e.data = huge.clone()),
        with(&|e| e.metadata = huge.clone()),
    ];
    for (i, batches) in bad.into_iter().enumerate() {
        let refused = store.append(batches).await;
        assert!(matches!(refused, Err(AppendError::Invalid(_))), "case {i}: {refused:?}");
    }
    assert_eq!(store.head(), Position::ZERO);
    let name = "n".repeat(limits::MAX_STREAM_BYTES);
    store.append(vec![batch(&name, Expected::NoStream, 1)]).await.expect("the longest name goes");
    assert_eq!(stream(&*store, &name).await.len(), 1);
}

/// An appender that goes away leaves the log whole: its append is there or it is not.
pub async fn a_given_up_append_does_no_harm(store: Arc<dyn EventStore>) {
    for i in 0..20 {
        let mut append =
            Box::pin(store.append(vec![batch(&format!("gone-{i}"), Expected::NoStream, 2)]));
        let _ = futures::poll!(&mut append);
        drop(append);
    }
    let last = store.append(vec![batch("here-1", Expected::NoStream, 1)]).await.expect("goes on");
    let all = everything(&*store).await;
    assert!(all.len() as u64 >= last.last.0);
    assert_eq!(stream(&*store, "here-1").await.len(), 1);
    for i in 0..20 {
        let there = stream(&*store, &format!("gone-{i}")).await.len();
        assert!(there == 0 || there == 2, "half an append: {there}");
    }
}

/// Collects what tells events of different streams apart.
trait CollectVersions<'a>: Iterator<Item = &'a RecordedEvent> + Sized {
    fn collect_versions(self) -> HashSet<(StreamId, u64)> {
        self.map(|e| (e.stream.clone(), e.stream_version)).collect()
    }
}

impl<'a, I: Iterator<Item = &'a RecordedEvent>> CollectVersions<'a> for I {}
