//! Random operations, on the embedded store and on the model: the answers are the same, also after
//! closing, power cuts, and with nothing kept at hand.

use proptest::prelude::*;

use super::super::Options;
use super::super::sim::{Leaves, SimDisk};
use super::{open, run, tiny};
use crate::contract::{event, everything};
use crate::memory::Memory;
use crate::{
    AppendError, Appended, Clock, Direction, EventStore, Expected, Filter, Position, StreamAppend,
    StreamId,
};

#[derive(Clone, Debug)]
enum Step {
    /// Appends at once: for each, batches of (stream, expectation, sizes of payloads).
    Append(Vec<Vec<(u8, Expected, Vec<usize>)>>),
    ReadStream(u8, u64, bool, usize),
    ReadAll(u64, Filter, usize),
    Reopen,
    PowerCut(u64),
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        3 => Just(Expected::Any),
        1 => Just(Expected::NoStream),
        2 => (0..6u64).prop_map(Expected::Exact),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        Just(Filter::All),
        (0..4u8).prop_map(|s| Filter::Stream(name(s))),
        Just(Filter::Categories(vec!["even".to_owned()])),
        Just(Filter::Kinds(vec!["k.1".to_owned()])),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let batch = (0..4u8, expected(), prop::collection::vec(0..900usize, 0..4));
    let append = prop::collection::vec(batch, 1..4);
    prop_oneof![
        6 => prop::collection::vec(append, 1..4).prop_map(Step::Append),
        2 => (0..5u8, prop_oneof![0..9u64, Just(u64::MAX)], any::<bool>(), 0..9usize)
            .prop_map(|(s, from, forward, max)| Step::ReadStream(s, from, forward, max)),
        2 => (0..40u64, filter(), 0..20usize).prop_map(|(p, f, max)| Step::ReadAll(p, f, max)),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::PowerCut),
    ]
}

fn name(stream: u8) -> StreamId {
    StreamId::new(format!("{}-{stream}", if stream.is_multiple_of(2) { "even" } else { "odd" }))
}

fn batches(append: &[(u8, Expected, Vec<usize>)]) -> Vec<StreamAppend> {
    append
        .iter()
        .map(|(stream, expected, sizes)| StreamAppend {
            stream: name(*stream),
            expected: *expected,
            events: sizes
                .iter()
                .map(|size| event(&format!("k.{}", size % 3), vec![b'p'; *size]))
                .collect(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_answers_as_the_model_does(
        steps in prop::collection::vec(step(), 1..40),
        cold in any::<bool>(),
    ) {
        let clock = Clock::new(|| 42);
        let options = Options {
            clock: clock.clone(),
            cache_bytes: if cold { 0 } else { 6000 },
            ..tiny(16 << 10)
        };
        let mut disk = SimDisk::new();
        let mut store = open(&disk, options.clone());
        let model = Memory::with_clock(clock);
        run(async {
            for step in steps {
                match step {
                    Step::Append(appends) => {
                        let given: Vec<_> = appends.iter().map(|a| batches(a)).collect();
                        let futures = given.iter().cloned().map(|b| store.append(b));
                        let answers: Vec<Result<Appended, AppendError>> =
                            futures::future::join_all(futures).await;
                        // They are polled in order, so they queue in order.
                        for (answer, given) in answers.into_iter().zip(given) {
                            prop_assert_eq!(answer, model.append(given).await);
                        }
                    }
                    Step::ReadStream(stream, from, forward, max) => {
                        let way = if forward { Direction::Forward } else { Direction::Backward };
                        let id = name(stream);
                        prop_assert_eq!(
                            store.read_stream(&id, from, way, max).await,
                            model.read_stream(&id, from, way, max).await
                        );
                    }
                    Step::ReadAll(from, filter, max) => {
                        // Pages may be shorter than the model's; what they say is the same.
                        let page = store.read_all(Position(from), &filter, max).await.unwrap();
                        let whole = model.read_all(Position(from), &filter, usize::MAX).await.unwrap();
                        let expected: Vec<_> = whole
                            .events
                            .into_iter()
                            .filter(|e| e.position < page.next)
                            .collect();
                        prop_assert!(page.events.len() <= max);
                        prop_assert_eq!(page.events, expected);
                    }
                    Step::Reopen => {
                        drop(store);
                        store = open(&disk, options.clone());
                    }
                    Step::PowerCut(seed) => {
                        drop(store);
                        disk = disk.after_power_cut(Leaves::Some(seed));
                        store = open(&disk, options.clone());
                    }
                }
                prop_assert_eq!(store.head(), model.head());
            }
            prop_assert_eq!(everything(&store).await, everything(&model).await);
            Ok(())
        })?;
    }
}
