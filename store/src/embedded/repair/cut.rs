//! Doing it: keep aside, then cut, then move what stands behind, the last segment first.
//!
//! ```text
//!   copy 3 ─► cut-1/3, sync ─► write 3.new (prefix, zeros), sync, rename ─► move 5, 4, mark ─► cut.json
//!             └ refuses to open until here: damaged ──────────┴ a begun segment behind ──┘
//! ```

use std::io;

use super::super::disk::{Access, Disk, DiskFile, read_up_to};
use super::super::prepare::UNFINISHED;
use super::super::twins::{Twin, Twins};
use super::CutPlan;

/// What the directories are called, with a number.
const DIRECTORY: &str = "cut-";
/// Says what was cut, and that all of it is here.
const NOTE: &str = "cut.json";
const CHUNK_BYTES: usize = 1 << 20;

/// The directory that takes what is cut: one that a repair has begun and not ended, or a new one.
pub(super) fn directory(disk: &dyn Disk, listed: &[String]) -> io::Result<String> {
    let number = |name: &String| {
        let rest = name.strip_prefix(DIRECTORY)?;
        rest.split('/').next()?.parse::<u64>().ok()
    };
    let last = listed.iter().filter_map(number).max().unwrap_or(0);
    let unfinished = last > 0
        && match disk.open(&format!("{DIRECTORY}{last}/{NOTE}"), Access::Read) {
            Ok(_) => false,
            Err(e) if e.kind() == io::ErrorKind::NotFound => true,
            Err(e) => return Err(e),
        };
    Ok(format!("{DIRECTORY}{}", if unfinished { last } else { last + 1 }))
}

/// Cuts as planned. Each step is durable before the next.
pub(super) fn cut(disk: &dyn Disk, plan: &CutPlan, twins: Twins) -> io::Result<()> {
    disk.make_sub_dir(&plan.directory)?;
    let (name, offset) = &plan.cut;
    if plan.rewritten {
        keep_aside(disk, &plan.directory, name, twins)?;
        write_anew(disk, name, *offset, plan.segment_bytes)?;
    }
    // The last one first: as long as any is left behind the cut, the log does not open. What is only
    // derived, and the mark, come after the segments.
    for name in plan.moved.iter().rev() {
        move_aside(disk, &plan.directory, name)?;
    }
    note(disk, plan)
}

/// Moves a file. It has both names for a moment, since not every file system leaves either the old
/// name or the new one after a power cut.
fn move_aside(disk: &dyn Disk, directory: &str, name: &str) -> io::Result<()> {
    let file = disk.open(name, Access::Read)?;
    let kept = free_name(disk, directory, name, &*file)?;
    let linked = match disk.link(name, &kept) {
        Ok(()) => true,
        // It got there before a crash.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => true,
        Err(e) if e.kind() == io::ErrorKind::Unsupported => false,
        Err(e) => return Err(e),
    };
    if linked {
        disk.sync_sub_dir(directory)?;
        disk.remove(name)?;
    } else {
        disk.rename(name, &kept)?;
        disk.sync_sub_dir(directory)?;
    }
    disk.sync_dir()
}

/// Copies a segment as it is. A repair that was itself cut short may have done so.
fn keep_aside(disk: &dyn Disk, directory: &str, name: &str, twins: Twins) -> io::Result<()> {
    let file = match disk.open(name, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let kept = free_name(disk, directory, name, &*file)?;
    let part = format!("{kept}.part");
    remove_if_there(disk, &part)?;
    let copy = disk.create(&part)?;
    let mut at = 0;
    loop {
        let chunk = read_up_to(&*file, at, CHUNK_BYTES)?;
        if chunk.is_empty() {
            break;
        }
        copy.write_at(&chunk, at)?;
        at += chunk.len() as u64;
    }
    if !twins.on(Twin::CutBeforeKeptAside) {
        copy.sync_data()?;
    }
    disk.rename(&part, &kept)?;
    if twins.on(Twin::CutBeforeKeptAside) {
        return Ok(());
    }
    disk.sync_sub_dir(directory)?;
    disk.sync_dir()
}

/// A name for the copy that nothing else has; an equal copy is written over.
fn free_name(
    disk: &dyn Disk,
    directory: &str,
    name: &str,
    file: &dyn DiskFile,
) -> io::Result<String> {
    let plain = format!("{directory}/{name}");
    let numbered = (2..).map(|n| format!("{plain}-{n}"));
    for kept in std::iter::once(plain.clone()).chain(numbered) {
        match disk.open(&kept, Access::Read) {
            Ok(there) if same(&*there, file)? => return Ok(kept),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(kept),
            Err(e) => return Err(e),
        }
    }
    unreachable!("numbers do not end")
}

fn same(a: &dyn DiskFile, b: &dyn DiskFile) -> io::Result<bool> {
    let mut at = 0;
    loop {
        let (one, other) = (read_up_to(a, at, CHUNK_BYTES)?, read_up_to(b, at, CHUNK_BYTES)?);
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
        at += one.len() as u64;
    }
}

/// The segment up to `offset`, and zeros behind it, under the same name in one step.
fn write_anew(disk: &dyn Disk, name: &str, offset: u64, len: u64) -> io::Result<()> {
    // An unfinished segment is deleted when the log is opened, whoever began it.
    let unfinished = name.replace(".seg", UNFINISHED);
    remove_if_there(disk, &unfinished)?;
    let file = disk.create(&unfinished)?;
    let mut at = 0;
    while at < len {
        let mut chunk = vec![0; CHUNK_BYTES.min((len - at) as usize)];
        if at < offset {
            let kept = chunk.len().min((offset - at) as usize);
            let old = disk.open(name, Access::Read)?;
            chunk[..kept].copy_from_slice(&read_up_to(&*old, at, kept)?);
        }
        file.write_at(&chunk, at)?;
        at += chunk.len() as u64;
    }
    file.sync_data()?;
    disk.rename(&unfinished, name)?;
    disk.sync_dir()
}

fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Written last: where it stands, all that was cut off is beside it.
fn note(disk: &dyn Disk, plan: &CutPlan) -> io::Result<()> {
    let text = serde_json::json!({
        "store_id": plan.store_id,
        "damage": {
            "segment": plan.damage.segment,
            "offset": plan.damage.offset,
            "position": plan.damage.position.0,
            "what": plan.damage.what,
        },
        "head": plan.head.0,
        "lost": {
            "first": plan.lost.first.0,
            "last_known": plan.lost.last_known.map(|it| it.0),
            "readable_events": plan.lost.events,
            "readable_frames": plan.lost.frames,
        },
        "cut": { "segment": plan.cut.0, "offset": plan.cut.1 },
        "moved": plan.moved,
    });
    let name = format!("{}/{NOTE}", plan.directory);
    let part = format!("{name}.part");
    remove_if_there(disk, &part)?;
    let file = disk.create(&part)?;
    file.write_at(format!("{text:#}\n").as_bytes(), 0)?;
    file.sync_data()?;
    disk.rename(&part, &name)?;
    disk.sync_sub_dir(&plan.directory)?;
    disk.sync_dir()
}
