//! A car: a lock, a clock that may lie, a memory of commands, a connection that comes and goes.
//!
//! It obeys as CONTRACT.md *MQTT* says: a command that its key has not signed is nothing to it; a
//! repeated `command_id` is answered again without acting; after `exp` by its own clock it refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_domain::vehicle::{Answer, CommandKind};
use uuid::Uuid;

use crate::Without;

/// Who made a message. A real mac proves it; here it is written on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The key of that car, which the engine has too.
    Of(usize),
    /// No key, or a wrong one.
    Nobodys,
}

/// A command as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) kind: CommandKind,
    pub(crate) command_id: Uuid,
    pub(crate) exp: Timestamp,
    pub(crate) mac: Key,
}

/// An answer as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) kind: CommandKind,
    pub(crate) answer: Answer,
    pub(crate) command_id: Uuid,
    pub(crate) device_time: Timestamp,
    pub(crate) mac: Key,
}

/// What a lock really did.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) at: Timestamp,
    pub(crate) opened: bool,
    pub(crate) command_id: Uuid,
    /// By the command's `exp`, in true time.
    pub(crate) in_time: bool,
    pub(crate) honest_clock: bool,
    /// Whether the vehicle's stream said that somebody may have it open.
    pub(crate) entitled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Car {
    pub(crate) number: usize,
    pub(crate) open: bool,
    /// By how much its clock is ahead (or behind), in microseconds.
    pub(crate) clock_off: i64,
    pub(crate) online: bool,
    pub(crate) boot: u64,
    pub(crate) tel_seq: u64,
    /// How often it has gone out of reach: a Last Will belongs to one of them.
    pub(crate) gone: u64,
    done: BTreeMap<Uuid, Answer>,
    pub(crate) turns: Vec<Turn>,
}

/// What comes of a command.
pub(crate) enum Verdict {
    /// It says nothing.
    Silent,
    /// It says that, and does nothing.
    Says(Answer),
    /// It obeys.
    Obeys,
}

impl Car {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            open: false,
            clock_off: 0,
            online: true,
            boot: 1,
            tel_seq: 0,
            gone: 0,
            done: BTreeMap::new(),
            turns: Vec::new(),
        }
    }

    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        let off = Duration::from_micros(self.clock_off.unsigned_abs());
        if self.clock_off < 0 { now.minus(off) } else { now.plus(off) }
    }

    /// What it does about a command that comes now.
    pub(crate) fn judge(&self, order: &Order, now: Timestamp, without: Option<Without>) -> Verdict {
        if order.mac != Key::Of(self.number) && without != Some(Without::Mac) {
            return Verdict::Silent;
        }
        if let Some(answer) = self.done.get(&order.command_id)
            && without != Some(Without::Dedupe)
        {
            return Verdict::Says(*answer);
        }
        if order.exp <= self.clock(now) && without != Some(Without::Exp) {
            return Verdict::Says(Answer::Expired);
        }
        Verdict::Obeys
    }

    /// It has decided on an answer, for good.
    pub(crate) fn remember(&mut self, command_id: Uuid, answer: Answer) {
        self.done.insert(command_id, answer);
    }

    /// It turns its lock.
    pub(crate) fn turn(&mut self, order: &Order, now: Timestamp, entitled: bool) -> Answer {
        let opened = order.kind == CommandKind::Unlock;
        let answer = if opened { Answer::Unlocked } else { Answer::Locked };
        self.open = opened;
        self.turns.push(Turn {
            at: now,
            opened,
            command_id: order.command_id,
            in_time: now < order.exp,
            honest_clock: self.clock_off == 0,
            entitled,
        });
        self.remember(order.command_id, answer);
        answer
    }

    pub(crate) fn reply(&self, order: &Order, answer: Answer, now: Timestamp) -> Reply {
        Reply {
            kind: order.kind,
            answer,
            command_id: order.command_id,
            device_time: self.clock(now),
            mac: Key::Of(self.number),
        }
    }
}
