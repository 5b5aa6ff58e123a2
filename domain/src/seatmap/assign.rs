//! "Choose for me": which seats a party gets. DOMAIN.md C.4, AutoAssign; a pure function of the hall, the
//! wish and what is free.
//!
//! 1. Side by side in one row, so that no single free seat is left over beside them, as near the
//!    stage's middle as possible.
//! 2. Side by side in one row.
//! 3. In small groups within one section, so that nobody sits alone, nearest first; with a lone person
//!    only when there is no other way.
//! 4. The same across sections, when the wish names none.
//!
//! Ties go to the nearer row, then to the lower number, so the same question has the same answer.
//!
//! ```text
//!   ▪ taken  · free          two wanted:  ▪ ▪ [· ·] ▪      fills the gap            (1)
//!                                         ▪ [· ·] · · ▪    leaves two, not one      (1)
//!                                         ▪ [· ·] · ▪      leaves an orphan         (2)
//! ```

#[cfg(test)]
mod tests;

use super::Pick;
use super::plan::{Hall, SeatIx};

/// Free seats side by side, as many as there are.
#[derive(Clone, Copy, Debug)]
struct Run {
    section: usize,
    row: u32,
    first: SeatIx,
    len: u32,
}

impl Run {
    fn end(self) -> SeatIx {
        self.first + self.len
    }
}

/// How good a block of seats is; less is better.
type Rank = (u64, u32, SeatIx);

/// The best seats for a wish, sorted; none when there are not that many.
pub(super) fn assign(
    hall: &Hall,
    pick: &Pick,
    is_free: impl Fn(SeatIx) -> bool,
) -> Option<Vec<SeatIx>> {
    if pick.quantity == 0 {
        return None;
    }
    let runs = free_runs(hall, pick, is_free);
    if let Some(first) = side_by_side(hall, &runs, pick.quantity) {
        return Some((first..first + pick.quantity).collect());
    }
    let sections = || runs.chunk_by(|one, next| one.section == next.section);
    let nearest = |seats: &Vec<SeatIx>| (sum(hall, seats.iter().copied()), seats[0]);
    let mut chosen = sections()
        .filter_map(|runs| in_groups(hall, runs, pick.quantity, Lone::Never))
        .min_by_key(nearest)
        .or_else(|| {
            sections()
                .filter_map(|runs| in_groups(hall, runs, pick.quantity, Lone::IfNeedBe))
                .min_by_key(nearest)
        })
        .or_else(|| in_groups(hall, &runs, pick.quantity, Lone::Never))
        .or_else(|| in_groups(hall, &runs, pick.quantity, Lone::IfNeedBe))?;
    chosen.sort_unstable();
    Some(chosen)
}

fn free_runs(hall: &Hall, pick: &Pick, is_free: impl Fn(SeatIx) -> bool) -> Vec<Run> {
    let mut runs = Vec::new();
    for (index, section) in hall.plan.sections.iter().enumerate() {
        let wanted = pick.section.as_ref().is_none_or(|name| *name == section.name)
            && pick.category.as_ref().is_none_or(|name| *name == section.category);
        if !wanted {
            continue;
        }
        let (start, _) = hall.range_of(index);
        for row in 0..section.rows {
            let row_start = start + row * section.seats_per_row;
            let row_end = row_start + section.seats_per_row;
            let mut seat = row_start;
            while seat < row_end {
                let first = seat;
                while seat < row_end && is_free(seat) {
                    seat += 1;
                }
                if seat > first {
                    runs.push(Run { section: index, row, first, len: seat - first });
                }
                seat += 1;
            }
        }
    }
    runs
}

/// The first seat of the best block within one row: without an orphan if there is one, else with.
fn side_by_side(hall: &Hall, runs: &[Run], quantity: u32) -> Option<SeatIx> {
    let mut tidy: Option<Rank> = None;
    let mut any: Option<Rank> = None;
    for run in runs.iter().filter(|run| run.len >= quantity) {
        for (first, distance) in windows(hall, *run, quantity) {
            let rank = (distance, run.row, first);
            let (left, right) = (first - run.first, run.end() - first - quantity);
            if left != 1 && right != 1 {
                tidy = Some(tidy.map_or(rank, |best| best.min(rank)));
            }
            any = Some(any.map_or(rank, |best| best.min(rank)));
        }
    }
    tidy.or(any).map(|(_, _, first)| first)
}

/// Every block of `size` seats within a run, with the sum of its distances.
fn windows(hall: &Hall, run: Run, size: u32) -> impl Iterator<Item = (SeatIx, u64)> {
    let mut distance = sum(hall, run.first..run.first + size);
    (run.first..=run.end() - size).map(move |first| {
        if first > run.first {
            distance += u64::from(hall.distance(first + size - 1));
            distance -= u64::from(hall.distance(first - 1));
        }
        (first, distance)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lone {
    Never,
    IfNeedBe,
}

/// The party in groups, each side by side, taken from the nearest runs first.
fn in_groups(hall: &Hall, runs: &[Run], quantity: u32, lone: Lone) -> Option<Vec<SeatIx>> {
    let free: u64 = runs.iter().map(|run| u64::from(run.len)).sum();
    if free < u64::from(quantity) {
        return None;
    }
    let mut runs = runs.to_vec();
    let nearest = |run: &Run| (run.first..run.end()).map(|seat| hall.distance(seat)).min();
    runs.sort_by_cached_key(|run| (nearest(run), run.row, run.first));
    let (groups, left) = grouped(&runs, quantity);
    if left > 0 && lone == Lone::Never {
        return None;
    }
    let mut chosen: Vec<SeatIx> = Vec::new();
    for (run, size) in groups {
        let best = windows(hall, run, size).min_by_key(|(first, distance)| (*distance, *first));
        let (first, _) = best.expect("a group is no larger than its run");
        chosen.extend(first..first + size);
    }
    if left > 0 {
        chosen.sort_unstable();
        let taken = |seat: SeatIx| chosen.binary_search(&seat).is_ok();
        let mut rest: Vec<_> = runs
            .iter()
            .flat_map(|run| (run.first..run.end()).map(move |seat| (run, seat)))
            .filter(|(_, seat)| !taken(*seat))
            .map(|(run, seat)| {
                let beside = (seat > run.first && taken(seat - 1))
                    || (seat + 1 < run.end() && taken(seat + 1));
                (!beside, hall.distance(seat), run.row, seat)
            })
            .collect();
        rest.sort_unstable();
        chosen.extend(rest.into_iter().take(left as usize).map(|(_, _, _, seat)| seat));
    }
    Some(chosen)
}

/// How many seats of each run, groups of two and more; and for how many that leaves no place.
fn grouped(runs: &[Run], quantity: u32) -> (Vec<(Run, u32)>, u32) {
    let mut groups: Vec<(Run, u32)> = Vec::new();
    let mut left = quantity;
    for (place, run) in runs.iter().enumerate().filter(|(_, run)| run.len >= 2) {
        if left < 2 {
            break;
        }
        let mut size = run.len.min(left);
        if left - size == 1 {
            if size > 2 {
                // Not all but one.
                size -= 1;
            } else {
                let later = &runs[place + 1..];
                if later.iter().any(|run| run.len > 2) {
                    continue;
                }
                // Three are left and only pairs: a larger group gives one of its people away.
                let larger = groups.iter_mut().rev().find(|(_, size)| *size > 2);
                if let Some((_, larger)) = larger
                    && later.iter().any(|run| run.len == 2)
                {
                    *larger -= 1;
                    left += 1;
                }
            }
        }
        groups.push((*run, size));
        left -= size;
    }
    (groups, left)
}

fn sum(hall: &Hall, seats: impl Iterator<Item = SeatIx>) -> u64 {
    seats.map(|seat| u64::from(hall.distance(seat))).sum()
}
