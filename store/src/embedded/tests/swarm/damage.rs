//! Damage at rest, on a copy of what a life has left: told at the opening or at the read that touches
//! it, or harmless; and what goes on after harmless damage is as good as before.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::format::SECTOR;
use super::super::super::sim::dice::Dice;
use super::super::super::sim::{Leaves, SimDisk};
use super::super::super::{Embedded, OpenError, verify_on};
use super::ledger::Judged;
use super::world::{END_IS_PROVEN, World, everything, streams};
use crate::{EventStore, Expected, NewEvent, ReadError, StreamAppend, StreamId};

/// How many copies are damaged after one life.
const COPIES: u64 = 3;

/// Something that has happened to a disk at rest.
struct Damage {
    what: String,
    /// It can take the end of the log away without a trace, as long as nothing proves it.
    may_cut: bool,
    /// An append that nobody was answered for, and that was not there, is there after all.
    may_return: bool,
}

/// Does something to a disk; `None` where there is nothing to do it to.
fn happens(disk: &SimDisk, even: bool, dice: &mut Dice) -> Option<Damage> {
    let names = disk.names();
    let name = names.get(dice.roll(names.len() as u64) as usize)?.clone();
    // Files of one kind can be taken for each other.
    let kind = name.rsplit('.').next().unwrap_or_default();
    let alike: Vec<String> = names.iter().filter(|n| n.ends_with(kind)).cloned().collect();
    let others = if dice.one_in(2) { &alike } else { &names };
    let other = dice.pick(others).clone();
    let bytes = disk.contents(&name)?;
    // Mostly where something stands, also in the zeros behind it.
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at as u64 + 1);
    let reach = if dice.one_in(5) { bytes.len() as u64 } else { used };
    let at = if reach > 4096 && !dice.one_in(4) {
        4096 + dice.roll(reach - 4096)
    } else {
        dice.roll(reach)
    };
    let sector = at / SECTOR * SECTOR;
    let (mut may_cut, mut may_return) = (false, false);
    // What comes late lies best where all are of one size.
    let what = match dice.roll(if even { 24 } else { 12 }) {
        0..=2 => {
            let bit = dice.roll(8) as u8;
            disk.flip(&name, at, bit)
                .then(|| format!("bit {bit} of byte {at} of {name} has flipped"))?
        }
        3 => {
            may_cut = true;
            let len = (bytes.len() as u64 - sector).min(SECTOR);
            disk.scribble(&name, sector, &vec![0; len as usize]);
            format!("the sector at {sector} of {name} reads as zeros")
        }
        4 => {
            may_cut = true;
            let (name, at) = disk.bring_back(dice.number())?;
            format!("older bytes at {at} of {name} are back")
        }
        10.. => {
            (may_cut, may_return) = (true, true);
            let (name, at) = disk.bring_back_lost(dice.number())?;
            format!("bytes at {at} of {name} have come that the power cut had taken")
        }
        5 => {
            may_cut = true;
            let sectors = disk.contents(&other)?.len() as u64 / SECTOR;
            let (to, len) = (dice.roll(sectors) * SECTOR, SECTOR << dice.roll(4));
            disk.copy_over((&name, sector), (&other, to), len);
            format!("{len} bytes at {sector} of {name} stand at {to} of {other} too")
        }
        6 => {
            disk.truncate(&name, at);
            format!("{name} ends at {at}")
        }
        7 => {
            // The only one there is: then the log is as good as new.
            may_cut = true;
            disk.lose(&name);
            format!("{name} is gone")
        }
        8 => {
            let strange = *dice.pick(&["0000000009.seg.new", "notes.txt", "x.seg", "core"]);
            disk.put(strange, bytes);
            format!("{strange} is there, a copy of {name}")
        }
        _ => {
            // A name that recovery clears away takes the only segment with it.
            may_cut = ![&name, &other].iter().all(|name| name.ends_with(".seg"));
            // The last frame stands in both of them.
            if [&name, &other].iter().any(|name| name.starts_with("tail-")) && name != other {
                return None;
            }
            let theirs = disk.contents(&other)?;
            disk.put(&name, theirs);
            disk.put(&other, bytes);
            format!("{name} and {other} have changed places")
        }
    };
    Some(Damage { what, may_cut: may_cut && !END_IS_PROVEN, may_return })
}

/// Damages some copies of the disk.
pub(super) fn look(world: &mut World<'_>) -> Judged {
    if world.betrayed() {
        return Ok(());
    }
    // Behind a write that was cut short the last frame is proven by nothing either.
    let copy = Arc::new(world.disk.after_power_cut(Leaves::Everything));
    let torn = verify_on(copy, Duration::ZERO, &mut |_| {}).is_ok_and(|r| r.torn.is_some());
    for _ in 0..COPIES {
        let disk = world.disk.after_power_cut(Leaves::Everything);
        let Some(Damage { what, may_cut, may_return }) =
            happens(&disk, world.plan.even, &mut world.dice)
        else {
            continue;
        };
        let may_cut = may_cut || (torn && !END_IS_PROVEN);
        if told(world, &disk, may_cut, may_return).map_err(|wrong| format!("{what}: {wrong}"))? {
            world.tally.told += 1;
        } else {
            world.tally.harmless += 1;
        }
    }
    Ok(())
}

/// Whether damage is told; `Err` when it is neither told nor harmless.
fn told(world: &mut World<'_>, disk: &SimDisk, may_cut: bool, may_return: bool) -> Judged<bool> {
    let mut ledger = world.ledger.clone();
    if may_return {
        ledger.reopen();
    }
    for life in 0..2 {
        let store = match Embedded::open_on(Arc::new(disk.clone()), world.options()) {
            Ok(store) => store,
            Err(OpenError::Damaged(_) | OpenError::NewerFormat { .. }) => return Ok(true),
            Err(other) => return Err(format!("told as something else: {other}")),
        };
        // By way of the indexes first, or frame by frame.
        if !may_cut && !ledger.has_open() && world.dice.one_in(2) {
            match world.runtime.block_on(streams(&store, &ledger)) {
                Ok(judged) => judged?,
                Err(ReadError::Damaged { .. }) => return Ok(true),
                Err(other) => return Err(format!("told as something else: {other}")),
            }
        }
        let all = match world.runtime.block_on(everything(&store)) {
            Ok(all) => all,
            Err(ReadError::Damaged { .. }) => return Ok(true),
            Err(other) => return Err(format!("told as something else: {other}")),
        };
        if may_cut && life == 0 {
            ledger.forgive(&all);
        }
        ledger.found(&all, false)?;
        match world.runtime.block_on(streams(&store, &ledger)) {
            Ok(judged) => judged?,
            Err(ReadError::Damaged { .. }) => return Ok(true),
            Err(other) => return Err(format!("told as something else: {other}")),
        }
        // What comes now stands behind it, and knows where its stream has come to.
        let names = ledger.names();
        let stream = match names.len() as u64 {
            0 => StreamId::new("after-1"),
            _ => world.dice.pick(&names).clone(),
        };
        let expected = ledger.version(&stream).map_or(Expected::NoStream, Expected::Exact);
        let event = NewEvent {
            id: uuid::Uuid::from_u128(u128::from(world.dice.number())),
            kind: "k.after".to_owned(),
            schema_version: 1,
            metadata: Vec::new().into(),
            data: vec![b'!'; world.dice.roll(900) as usize].into(),
        };
        let append = vec![StreamAppend { stream, expected, events: vec![event] }];
        let attempt = ledger.attempt(&append);
        match world.runtime.block_on(store.append(append)) {
            Ok(answer) => ledger.acknowledged(attempt, &answer)?,
            Err(error) => return Err(format!("harmless, but then: {error}")),
        }
    }
    Ok(false)
}
