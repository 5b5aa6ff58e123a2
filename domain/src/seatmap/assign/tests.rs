//! Chosen seats against every other choice, in small halls where all of them can be tried.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::plan::{Hall, SeatIx};
use super::super::{Category, Pick, Plan, Section};
use super::assign;
use crate::claim::testing::cases;
use crate::{Currency, Money};

fn hall(sections: &[(u32, u32)]) -> Hall {
    let euro = Currency::new("EUR").expect("a currency");
    let category =
        |name: &str, amount| Category { name: name.into(), price: Money::new(amount, euro) };
    let section = |(index, (rows, seats_per_row)): (usize, &(u32, u32))| Section {
        name: format!("S{index}"),
        category: if index == 0 { "near".into() } else { "far".into() },
        rows: *rows,
        seats_per_row: *seats_per_row,
    };
    Hall::new(Plan {
        name: "Hall".into(),
        sku: None,
        categories: vec![category("near", 9_000), category("far", 4_000)],
        sections: sections.iter().enumerate().map(section).collect(),
    })
}

fn pick(quantity: u32) -> Pick {
    Pick { quantity, section: None, category: None }
}

/// Chooses in one row drawn as text: `.` free, `x` taken. The answer is drawn with `o`.
fn drawn(row: &str, quantity: u32) -> Option<String> {
    let seats: Vec<char> = row.chars().collect();
    let length = u32::try_from(seats.len()).expect("short");
    let chosen = assign(&hall(&[(1, length)]), &pick(quantity), |ix| seats[ix as usize] == '.')?;
    let mut drawn = seats.clone();
    chosen.into_iter().for_each(|ix| drawn[ix as usize] = 'o');
    Some(drawn.into_iter().collect())
}

#[test]
fn the_middle_is_nearest_and_no_single_seat_is_left_alone() {
    assert_eq!(drawn("........", 2).as_deref(), Some("...oo..."));
    assert_eq!(drawn("xx..xxxx", 2).as_deref(), Some("xxooxxxx"));
    // In the middle of three an orphan would be left at one side, and the gap of two is further off.
    assert_eq!(drawn("..xx...x", 2).as_deref(), Some("ooxx...x"));
    assert_eq!(drawn("xxxx...x", 2).as_deref(), Some("xxxxoo.x"), "an orphan if need be");
    assert_eq!(drawn("x..x.x..", 5).as_deref(), Some("xooxoxoo"));
    assert_eq!(drawn("x..x.x..", 6), None);
    assert_eq!(drawn("........", 0), None);
}

#[test]
fn nobody_sits_alone_when_there_is_another_way() {
    assert_eq!(drawn("..x.x...x.", 3).as_deref(), Some("..x.xooox."));
    assert_eq!(drawn("..x.x..x..", 4).as_deref(), Some("oox.xoox.."));
    assert_eq!(drawn("...x....", 5).as_deref(), Some(".ooxooo."));
}

#[test]
fn a_section_and_a_category_are_kept_to() {
    let hall = hall(&[(1, 6), (1, 6)]);
    let wish = |section: Option<&str>, category: Option<&str>| Pick {
        quantity: 2,
        section: section.map(Into::into),
        category: category.map(Into::into),
    };
    let chosen = |pick: &Pick| assign(&hall, pick, |_| true);
    assert_eq!(chosen(&wish(None, None)), Some(vec![2, 3]));
    assert_eq!(chosen(&wish(Some("S1"), None)), Some(vec![8, 9]));
    assert_eq!(chosen(&wish(None, Some("far"))), Some(vec![8, 9]));
    assert_eq!(chosen(&wish(Some("S0"), Some("far"))), None);
}

/// Every way to seat the party side by side: first seat, whether it leaves an orphan, how far it is.
fn blocks(hall: &Hall, free: &[bool], quantity: u32) -> Vec<(SeatIx, bool, u64)> {
    let row_of = |ix: SeatIx| {
        let (section, row, _) = hall.where_is(ix);
        (section.name.clone(), row)
    };
    let is_free = |ix: i64, row: &(String, u32)| {
        SeatIx::try_from(ix)
            .is_ok_and(|ix| ix < hall.size() && free[ix as usize] && row_of(ix) == *row)
    };
    let mut found = Vec::new();
    for first in 0..hall.size() {
        let row = row_of(first);
        let (start, size) = (i64::from(first), i64::from(quantity));
        if !(start..start + size).all(|ix| is_free(ix, &row)) {
            continue;
        }
        let alone = |at: i64, beyond: i64| is_free(at, &row) && !is_free(beyond, &row);
        let orphan = alone(start - 1, start - 2) || alone(start + size, start + size + 1);
        let distance = (first..first + quantity).map(|ix| u64::from(hall.distance(ix))).sum();
        found.push((first, orphan, distance));
    }
    found
}

/// The lengths of runs of free seats, section by section.
fn run_lengths(hall: &Hall, free: &[bool]) -> Vec<Vec<usize>> {
    let mut sections = vec![Vec::new(); hall.plan.sections.len()];
    let mut last = None;
    for ix in (0..hall.size()).filter(|ix| free[*ix as usize]) {
        let (_, row, number) = hall.where_is(ix);
        let section = hall.section_of(ix);
        let runs: &mut Vec<usize> = &mut sections[section];
        match (last, runs.last_mut()) {
            (Some(before), Some(run)) if before == (section, row, number - 1) => *run += 1,
            (Some(_) | None, _) => runs.push(1),
        }
        last = Some((section, row, number));
    }
    sections
}

/// Whether a party can be split over such runs without anybody sitting alone: every sum is tried.
fn nobody_alone(runs: &[usize], quantity: usize) -> bool {
    let mut sums = BTreeSet::from([0]);
    for run in runs {
        let more: Vec<usize> =
            sums.iter().flat_map(|sum| (2..=*run).map(move |size| sum + size)).collect();
        sums.extend(more);
    }
    sums.contains(&quantity)
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn the_choice_is_the_best_of_all(
        sections in prop::collection::vec((1..4u32, 1..8u32), 1..4),
        taken in prop::collection::vec(prop::bool::weighted(0.55), 84),
        quantity in 1..9u32,
    ) {
        let hall = hall(&sections);
        let free: Vec<bool> = taken.iter().map(|taken| !taken).collect();
        let choose = || assign(&hall, &pick(quantity), |ix| free[ix as usize]);
        let chosen = choose();
        prop_assert_eq!(&chosen, &choose(), "the same question has the same answer");
        let there = (0..hall.size()).filter(|ix| free[*ix as usize]).count();
        let Some(chosen) = chosen else {
            prop_assert!(there < quantity as usize, "{} are free", there);
            return Ok(());
        };
        prop_assert_eq!(chosen.len(), quantity as usize);
        prop_assert!(chosen.windows(2).all(|two| two[0] < two[1]), "each once: {:?}", &chosen);
        prop_assert!(chosen.iter().all(|ix| free[*ix as usize]), "taken: {:?}", &chosen);

        let blocks = blocks(&hall, &free, quantity);
        let tidy = blocks.iter().any(|(_, orphan, _)| !orphan);
        let best = blocks
            .iter()
            .filter(|(_, orphan, _)| !tidy || !orphan)
            .min_by_key(|(first, _, distance)| (*distance, hall.where_is(*first).1, *first));
        if let Some((first, _, _)) = best {
            let block: Vec<_> = (*first..first + quantity).collect();
            prop_assert_eq!(chosen, block);
            return Ok(());
        }
        let runs = run_lengths(&hall, &free);
        let within_one = runs.iter().any(|runs| runs.iter().sum::<usize>() >= quantity as usize);
        let of_sections: BTreeSet<_> = chosen.iter().map(|ix| hall.section_of(*ix)).collect();
        prop_assert!(!within_one || of_sections.len() == 1, "split over sections: {:?}", &chosen);
        let possible = runs.iter().any(|runs| nobody_alone(runs, quantity as usize))
            || (!within_one && nobody_alone(&runs.concat(), quantity as usize));
        if possible {
            let row = |ix: SeatIx| (hall.section_of(ix), hall.where_is(ix).1);
            let beside = |ix: SeatIx, other: SeatIx| {
                chosen.binary_search(&other).is_ok() && row(ix) == row(other)
            };
            let alone = chosen
                .iter()
                .find(|ix| !beside(**ix, **ix + 1) && (**ix == 0 || !beside(**ix, **ix - 1)));
            prop_assert_eq!(alone, None, "of {:?} in runs {:?}", &chosen, &runs);
        }
    }
}
