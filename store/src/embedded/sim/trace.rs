//! The last operations of a simulated disk, for whoever has to understand a failing seed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// How many operations are kept.
pub(crate) const KEPT_OPERATIONS: usize = 50;

/// The last operations, and what the simulation has noted between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<Line>,
    operations: usize,
    /// Comes out the same when, and as good as only when, the same was done in the same order.
    digest: u32,
}

#[derive(Clone, Debug)]
enum Line {
    Operation(Operation),
    Note(String),
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Its number, if it is one that changes something.
    pub(crate) number: Option<u64>,
    pub(crate) verb: &'static str,
    pub(crate) name: Arc<str>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// What became of it; empty where all went well.
    pub(crate) outcome: &'static str,
}

impl Trace {
    pub(crate) fn operation(&mut self, operation: Operation) {
        let Operation { number, verb, ref name, offset, len, outcome } = operation;
        let numbers = [number.map_or(0, |n| n + 1), offset, len];
        for part in [verb.as_bytes(), name.as_bytes(), outcome.as_bytes()] {
            self.digest = crc32c::crc32c_append(self.digest, part);
        }
        for number in numbers {
            self.digest = crc32c::crc32c_append(self.digest, &number.to_le_bytes());
        }
        self.lines.push_back(Line::Operation(operation));
        self.operations += 1;
        while self.operations > KEPT_OPERATIONS {
            if let Some(Line::Operation(_)) = self.lines.pop_front() {
                self.operations -= 1;
            }
        }
    }

    pub(crate) fn note(&mut self, what: String) {
        self.digest = crc32c::crc32c_append(self.digest, what.as_bytes());
        self.lines.push_back(Line::Note(what));
        // Whoever only notes does not fill the memory either.
        if self.lines.len() > 4 * KEPT_OPERATIONS
            && let Some(Line::Operation(_)) = self.lines.pop_front()
        {
            self.operations -= 1;
        }
    }

    pub(crate) fn digest(&self) -> u32 {
        self.digest
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            match line {
                Line::Note(what) => writeln!(f, "── {what}")?,
                Line::Operation(Operation { number, verb, name, offset, len, outcome }) => {
                    match number {
                        Some(number) => write!(f, "{number:>6}  {verb:<8} {name}")?,
                        None => write!(f, "        {verb:<8} {name}")?,
                    }
                    if *len > 0 {
                        write!(f, "  {offset}+{len}")?;
                    }
                    if outcome.is_empty() {
                        writeln!(f)?;
                    } else {
                        writeln!(f, "  ✗ {outcome}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
