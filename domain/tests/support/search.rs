//! Breadth-first search through every state that a small world can reach.
//!
//! A [`Model`] says where the world begins and what may happen next; [`search`] visits every state
//! once, checks each, and answers with the shortest way to a state that breaks a rule, if there is
//! one. States are remembered by a 128-bit fingerprint only, and ways by "the n-th successor of", so
//! that some millions of them fit into memory.
//!
//! Worlds should be small to copy and to hash: keep aggregates in [`super::interned`] tables and
//! their numbers in the state.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// A world that can be searched.
pub(crate) trait Model {
    /// One state of it.
    type State: Clone + Hash;
    /// What leads from one to the next; only shown.
    type Action: Debug;

    /// Where it begins.
    fn initial(&mut self) -> Self::State;
    /// All that may happen next, always in the same order. None: the world is at rest.
    fn successors(&mut self, state: &Self::State, out: &mut Vec<(Self::Action, Self::State)>);
    /// What must hold in every state; the error says which rule is broken, and how.
    fn check(&mut self, state: &Self::State) -> Result<(), String>;
    /// What must hold where nothing can happen any more.
    fn check_at_rest(&mut self, state: &Self::State) -> Result<(), String>;
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    /// How many different states were visited.
    pub(crate) states: usize,
    /// The longest of the shortest ways to a visited state.
    pub(crate) depth: usize,
    /// Whether the search ended before everything was visited.
    pub(crate) cut: bool,
    /// A rule that is broken, and how to get there.
    pub(crate) violation: Option<Violation>,
}

/// A broken rule.
#[derive(Debug)]
pub(crate) struct Violation {
    /// Which, and how.
    pub(crate) what: String,
    /// The actions that lead there, as they are shown.
    pub(crate) trace: Vec<String>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (number, step) in self.trace.iter().enumerate() {
            writeln!(f, "  {:>3}. {step}", number + 1)?;
        }
        Ok(())
    }
}

impl Found {
    /// Asserts that everything was visited and every rule holds.
    #[track_caller]
    pub(crate) fn holds(&self, name: &str) {
        println!("{name}: {} states, depth {}, every rule holds", self.states, self.depth);
        if let Some(violation) = &self.violation {
            panic!("{name}: after {} states: {violation}", self.states);
        }
        assert!(!self.cut, "{name}: not everything was visited ({} states)", self.states);
    }

    /// Asserts that a broken rule was found, whose text contains `expected`.
    #[track_caller]
    pub(crate) fn breaks(&self, name: &str, expected: &str) {
        let Some(violation) = &self.violation else {
            panic!("{name}: {} states and no violation: the twin guards nothing", self.states);
        };
        println!("{name}: broken after {} states, as it should be: {violation}", self.states);
        assert!(violation.what.contains(expected), "{name}: broken otherwise: {violation}");
    }
}

/// A fingerprint of 128 bits. Two differently seeded SipHashes: at ten million states the chance that
/// two share one is below 10⁻²⁴.
pub(crate) fn fingerprint(value: &impl Hash) -> u128 {
    let mut low = DefaultHasher::new();
    value.hash(&mut low);
    let mut high = DefaultHasher::new();
    high.write_u64(0x9e37_79b9_7f4a_7c15);
    value.hash(&mut high);
    (u128::from(high.finish()) << 64) | u128::from(low.finish())
}

/// Fingerprints are random already: their low half serves as their own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for (place, byte) in bytes.iter().take(8).enumerate() {
            self.0 ^= u64::from(*byte) << (8 * place);
        }
    }
    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// Visits every state, nearest first, until a rule is broken or `most` states were visited.
pub(crate) fn search<M: Model>(model: &mut M, most: usize) -> Found {
    #[expect(clippy::disallowed_types, reason = "millions of look-ups, and never iterated")]
    let mut seen = std::collections::HashSet::<u128, BuildHasherDefault<AsItIs>>::default();
    // From which state, by its which successor.
    let mut ways: Vec<(u32, u16)> = Vec::new();
    let mut queue: VecDeque<(u32, u32, M::State)> = VecDeque::new();
    let mut found = Found { states: 0, depth: 0, cut: false, violation: None };

    let first = model.initial();
    seen.insert(fingerprint(&first));
    ways.push((0, 0));
    if let Err(what) = model.check(&first) {
        found.violation = Some(Violation { what, trace: Vec::new() });
        return found;
    }
    queue.push_back((0, 0, first));

    let mut next = Vec::new();
    while let Some((index, depth, state)) = queue.pop_front() {
        found.states += 1;
        found.depth = found.depth.max(depth as usize);
        next.clear();
        model.successors(&state, &mut next);
        if next.is_empty()
            && let Err(what) = model.check_at_rest(&state)
        {
            let what = format!("at rest: {what}");
            found.violation = Some(Violation { what, trace: trace(model, &ways, index) });
            return found;
        }
        for (nth, (_, state)) in next.drain(..).enumerate() {
            if !seen.insert(fingerprint(&state)) {
                continue;
            }
            let number =
                u32::try_from(ways.len()).expect("fewer than four thousand million states");
            ways.push((index, u16::try_from(nth).expect("few successors")));
            if let Err(what) = model.check(&state) {
                found.violation = Some(Violation { what, trace: trace(model, &ways, number) });
                return found;
            }
            queue.push_back((number, depth + 1, state));
        }
        if found.states >= most && !queue.is_empty() {
            found.cut = true;
            return found;
        }
    }
    found
}

/// Walks the way to a state once more and writes down its actions.
fn trace<M: Model>(model: &mut M, ways: &[(u32, u16)], mut index: u32) -> Vec<String> {
    let mut turns = Vec::new();
    while index != 0 {
        let (before, nth) = ways[index as usize];
        turns.push(usize::from(nth));
        index = before;
    }
    let mut state = model.initial();
    let mut next = Vec::new();
    let mut shown = Vec::new();
    for nth in turns.into_iter().rev() {
        next.clear();
        model.successors(&state, &mut next);
        let (action, after) = next.swap_remove(nth);
        shown.push(format!("{action:?}"));
        state = after;
    }
    shown
}
