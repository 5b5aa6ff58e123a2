//! What the mirrored tail says of a log that was walked to its end: give back what its segment has
//! lost, tell what cannot be given back. See "The mirrored tail" in `store/FORMAT.md`.
//!
//! ```text
//!   E: last whole frame in the segments      M: a whole slot
//!
//!   M right behind E          the segment's copy was torn or damaged: written back from M, walked on
//!   M is E, or before E       fine, if the segments hold the same frame there; else another history
//!   M anywhere else           frames are missing that were acknowledged
//! ```
//!
//! The mark, and a slot that has only the header of a long frame, can tell and not give back.

use std::io;

use super::OpenError;
use super::disk::{Access, Disk, read_up_to};
use super::format::segment_name;
use super::log::WriteError;
use super::marker::MARK_FILE;
use super::mirror::Mirror;
use super::recovery::keep_aside;
use super::scan::{Damage, Place, Stop};
use super::slot::{MirroredFrame, Proofs, Slot, SlotHeader};
use super::twins::{Twin, Twins};
use crate::Position;

/// A frame at the end of the log that stood torn or damaged in its segment, or was missing there, and
/// was written back from its copy. Where there were two, the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// File name of the segment.
    pub segment: String,
    /// Where the frame stands.
    pub offset: u64,
    /// Position of its first event.
    pub position: Position,
    /// How many events came back.
    pub events: u64,
    /// The files beside the segment that keep what stood there instead; none where that was zeros.
    pub kept_in: Vec<String>,
}

/// What the slots say.
pub(crate) enum Verdict<'a> {
    /// Nothing that was acknowledged is missing.
    Agrees,
    /// The frame that comes next is here.
    Restores(&'a MirroredFrame),
    /// The segments are not what they were.
    Refuses(Damage),
}

/// Judges the end of a walk by slots and mark. A log of the first version, and a backup, have nobody
/// to contradict them.
pub(crate) fn judge_mirror<'a>(
    disk: &dyn Disk,
    proofs: &'a Proofs,
    place: &Place,
) -> io::Result<Verdict<'a>> {
    if let Some(next) = next_frame(&proofs.slots, place) {
        return Ok(Verdict::Restores(next));
    }
    if place.segment.is_none() && !matches!(proofs.mark, Slot::Blank) {
        return Ok(Verdict::Refuses(Damage {
            segment: segment_name(1),
            offset: 0,
            position: Position::FIRST,
            what: format!(
                "it is missing or blank, but {MARK_FILE} shows that there were events; to begin anew, \
                 take that file away"
            ),
        }));
    }
    let slots = ["slot 0", "slot 1"].into_iter().zip(proofs.slots.iter().map(Slot::header));
    for (name, proof) in slots.chain([(MARK_FILE, proofs.mark.header())]) {
        if let Some(proof) = proof
            && let Some(damage) = contradiction(disk, name, proof, place)?
        {
            return Ok(Verdict::Refuses(damage));
        }
    }
    Ok(Verdict::Agrees)
}

/// The slot that holds the frame which comes next at `place`.
pub(crate) fn next_frame<'a>(slots: &'a [Slot; 2], place: &Place) -> Option<&'a MirroredFrame> {
    let segment = place.segment.as_ref().filter(|_| !place.sealed)?;
    let (log, chain) = (&segment.header, &place.chain);
    slots.iter().filter_map(Slot::whole).find(|mirrored| {
        let MirroredFrame { header, frame, .. } = mirrored;
        header.store_id == log.store_id
            && (header.segment, header.offset, header.seed) == (log.number, place.offset, log.hash)
            && (frame.first, frame.previous_hash) == (chain.next, chain.hash)
            && frame.recorded_at_micros >= chain.recorded_at_micros
            && header.offset + u64::from(header.frame_len) <= log.frames_end()
    })
}

fn contradiction(
    disk: &dyn Disk,
    name: &str,
    proof: &SlotHeader,
    place: &Place,
) -> io::Result<Option<Damage>> {
    let position = Position(place.chain.next);
    if let Some(ours) = place.store_id.filter(|id| *id != proof.store_id) {
        return Ok(Some(Damage {
            segment: name.to_owned(),
            offset: 0,
            position,
            what: format!(
                "it belongs to another store, {}, not {ours}; if the segments are the right ones, \
                 take this file away",
                proof.store_id
            ),
        }));
    }
    let (number, offset) = match &place.segment {
        Some(segment) => (segment.header.number, place.offset),
        None => (1, 0),
    };
    let segment = segment_name(proof.segment);
    if (proof.segment, proof.offset) < (number, offset) {
        return Ok((!stands(disk, proof)?).then(|| Damage {
            segment,
            offset: proof.offset,
            position,
            what: format!(
                "{name} tells of another frame than the one that stands here: the segment was \
                 replaced by an older copy, or comes from another history of this log"
            ),
        }));
    }
    Ok(Some(Damage {
        segment: segment_name(number),
        offset,
        position,
        what: format!(
            "the log ends here, but {name} shows that it went on to {segment}, offset {}: the \
             segment was replaced by an older copy, or lost what was acknowledged",
            proof.offset
        ),
    }))
}

/// Whether the frame of a slot or of the mark stands at its place in the segments. It is not checked
/// beyond that.
pub(crate) fn stands(disk: &dyn Disk, proof: &SlotHeader) -> io::Result<bool> {
    let bytes = match disk.open(&segment_name(proof.segment), Access::Read) {
        Ok(file) => read_up_to(&*file, proof.offset, proof.frame_len as usize)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    Ok(proof.is_of(&bytes))
}

/// Reads slots and mark, before anything is changed.
pub(crate) fn proofs(disk: &dyn Disk, twins: Twins) -> Result<Proofs, OpenError> {
    if twins.on(Twin::AckedTailTakenForTorn) || twins.on(Twin::DamageTakenForTail) {
        return Ok(Proofs::NONE);
    }
    let mut proofs = Proofs::read(disk)?;
    if twins.on(Twin::RollbackNotSeen) {
        proofs.mark = Slot::Blank;
    }
    Ok(proofs)
}

/// The mirrored frame that stands where the walk has ended, if it is what is missing there. Two
/// frames are mirrored; no more are written back.
pub(crate) fn to_restore<'a>(
    walked: &Result<Stop, OpenError>,
    proofs: &'a Proofs,
    place: &Place,
    restored: Option<&Restored>,
) -> Option<&'a MirroredFrame> {
    let here = match (walked, &place.segment) {
        (Ok(_), _) => true,
        (Err(OpenError::Damaged(damage)), Some(segment)) => {
            (&damage.segment, damage.offset) == (&segment.name(), place.offset)
        }
        (Err(_), _) => false,
    };
    let mirrored = next_frame(&proofs.slots, place).filter(|_| here)?;
    let again = restored.is_some_and(|r| r.position.0 + r.events > mirrored.frame.first);
    (!again).then_some(mirrored)
}

/// Writes a frame back to its segment. What stands behind it stays: that is judged when the walk has
/// come so far.
pub(crate) fn restore(
    disk: &dyn Disk,
    place: &Place,
    mirrored: &MirroredFrame,
    restored: &mut Option<Restored>,
) -> Result<(), OpenError> {
    let segment = place.segment.as_ref().expect("a frame stands in a segment");
    let (offset, frame) = (mirrored.header.offset, &mirrored.frame);
    let stood = read_up_to(&*segment.file, offset, frame.bytes.len())?;
    let kept_in = if stood.iter().any(|b| *b != 0) {
        Some(keep_aside(disk, &format!("{}.replaced", segment.name()), &stood)?)
    } else {
        None
    };
    segment.file.write_at(&frame.bytes, offset)?;
    segment.file.sync_data()?;
    tracing::warn!(
        segment = segment.name(),
        offset,
        slot = mirrored.slot,
        position = frame.first,
        events = frame.entries.len(),
        kept_in,
        "the last frame was torn or damaged in its segment; it was written back from the mirror"
    );
    let restored = restored.get_or_insert_with(|| Restored {
        segment: segment.name(),
        offset,
        position: Position(frame.first),
        events: 0,
        kept_in: Vec::new(),
    });
    restored.events += frame.entries.len() as u64;
    restored.kept_in.extend(kept_in);
    Ok(())
}

/// Refuses a log that has lost what the mirror still knows of, before anything is cut.
pub(crate) fn agree(disk: &dyn Disk, proofs: &Proofs, place: &Place) -> Result<(), OpenError> {
    match (judge_mirror(disk, proofs, place)?, &place.segment) {
        (Verdict::Agrees, _) => Ok(()),
        (Verdict::Refuses(damage), _) => Err(damage.into()),
        (Verdict::Restores(mirrored), segment) => {
            let segment = segment.as_ref().expect("a frame stands in a segment");
            let what = "the frame was written back, and still is not there";
            Err(segment.damage(mirrored.header.offset, mirrored.frame.first, what).into())
        }
    }
}

/// Writes the mirror's copy of the last frame, whose bytes were read and checked; the caller syncs.
/// Where the segment has none yet there is nothing to copy: the frames before are proven by what
/// stands behind them. Gives what the mark is to say.
pub(crate) fn settle(
    mirror: &mut Mirror,
    place: &Place,
    last_frame: &[u8],
    slots: &[Slot; 2],
) -> Result<Option<SlotHeader>, OpenError> {
    let (Some(segment), Some(at), false) = (&place.segment, place.last_frame, place.sealed) else {
        return Ok(None);
    };
    let copy = place.mirrored(at, last_frame);
    if segment.header.slot_len > 0 {
        mirror.settle(segment, &copy, last_frame, slots).map_err(WriteError::into_io)?;
    }
    Ok(Some(copy))
}
