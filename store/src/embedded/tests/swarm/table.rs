//! The table of seeds that have found something, `store/SEEDS.md`: it is read here, so that it says
//! what the suite does.

use super::super::super::twins::Twin;
use super::gate::{Finder, finder, named};
use super::{asked, run_seed, runtime};

const TABLE: &str = include_str!("../../../../SEEDS.md");

/// Seeds of bugs that were in the store, and of planted ones, as the code knows them. The table has
/// the same, in the same order.
const FOUND: [u64; 6] = [126, 126, 568, 1627, 11182, 405];

/// The rows of the table under a heading, cell by cell.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let behind = TABLE.split_once(heading).expect("the heading is there").1;
    let part = behind.split("\n## ").next().unwrap_or_default();
    let rows = part.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn seed(row: &[&str]) -> u64 {
    row[2].parse().unwrap_or_else(|_| panic!("no seed in {row:?}"))
}

/// Bugs that were found stay away.
#[test]
fn every_seed_of_the_table_holds() {
    if asked("HOLDFAST_SEED").is_some() {
        return;
    }
    let (found, planted) = (rows("## Found in the store"), rows("## Planted"));
    assert!(found.iter().map(|row| seed(row)).eq(FOUND));
    let runtime = runtime();
    for row in found.iter().chain(&planted) {
        if let Err(failure) = run_seed(&runtime, seed(row), None) {
            panic!("{failure}");
        }
        let commit = row[3];
        let short_hash = commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(short_hash, "{commit} is no commit");
    }
}

/// The table names every twin that the swarm has to find, and no other.
#[test]
fn the_table_has_every_planted_bug() {
    let planted = rows("## Planted");
    let told: Vec<Twin> = planted.iter().map(|row| named(row[1]).expect("a twin")).collect();
    let swarm: Vec<Twin> = Twin::ALL
        .iter()
        .copied()
        .filter(|twin| matches!(finder(*twin), Finder::Swarm(_)))
        .collect();
    assert_eq!(told, swarm, "as many, and in the order of the code");
    assert!(swarm.len() >= 12);
}
