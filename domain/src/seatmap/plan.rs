//! Every seat follows from the plan: its id, its place in the hall, its price. Nothing is stored a seat.
//!
//! ```text
//!                    ═══ stage ═══                 x grows to the right, y away from the stage,
//!             ┌────┐ ┌─────────┐ ┌────┐            both in seat widths; the stage's middle is
//!      tier 1 │ B  │ │    A    │ │ C  │            at (width / 2, 0).
//!             └────┘ └─────────┘ └────┘
//!             ┌────┐ ┌─────────┐ ┌────┐            Sections stand nearest the stage first; within
//!      tier 2 │ E  │ │    D    │ │ F  │            a tier the middle one comes first. Up to three
//!             └────┘ └─────────┘ └────┘            stand one behind the other. Rows bend to the stage.
//! ```
//!
//! Seats are numbered through (section by section, row by row): inside the aggregate a seat is that
//! number, so a map of 50,000 seats is a vector, and finding one is arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use super::{Category, InvalidPlan, Plan, Section};
use crate::{Money, SeatId};

/// The number of a seat within its map.
pub(super) type SeatIx = u32;

/// The most seats that a map may have.
pub const MOST_SEATS: usize = 100_000;

/// Between two sections, in seat widths.
const AISLE: f64 = 2.0;
/// Between the stage and the first row at the sides.
const BEFORE_STAGE: f64 = 3.0;

/// A seat, as the plan has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatSpec {
    /// `{section}-{row}-{number}`.
    pub id: SeatId,
    /// For people: `Stalls, row 3, seat 12`.
    pub label: String,
    /// Its section.
    pub section: String,
    /// Its row within the section, from 1, nearest the stage first.
    pub row: u32,
    /// Its number within the row, from 1, as seen from the hall from left to right.
    pub number: u32,
    /// Its place across, from the hall's left edge, in seat widths.
    pub x: f64,
    /// Its place away from the stage, in seat widths.
    pub y: f64,
    /// Its price class.
    pub category: String,
    /// What it costs.
    pub price: Money,
}

impl Plan {
    /// Whether a hall follows from it.
    pub fn check(&self) -> Result<(), InvalidPlan> {
        let named = |name: &str| (1..=200).contains(&name.chars().count());
        if self.sections.is_empty() || self.categories.is_empty() {
            return Err(InvalidPlan::Empty);
        }
        if !named(&self.name) || !self.categories.iter().all(|category| named(&category.name)) {
            return Err(InvalidPlan::Name);
        }
        let section_name = |name: &str| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
        };
        if !self.sections.iter().all(|section| section_name(&section.name)) {
            return Err(InvalidPlan::SectionName);
        }
        let categories: BTreeSet<_> = self.categories.iter().map(|c| c.name.as_str()).collect();
        let sections: BTreeSet<_> = self.sections.iter().map(|s| s.name.as_str()).collect();
        if categories.len() < self.categories.len() || sections.len() < self.sections.len() {
            return Err(InvalidPlan::Repeated);
        }
        if !self.sections.iter().all(|section| categories.contains(section.category.as_str())) {
            return Err(InvalidPlan::UnknownCategory);
        }
        let seats: u64 = self.sections.iter().map(Section::size).fold(0, u64::saturating_add);
        if self.sections.iter().any(|section| section.size() == 0) || seats > MOST_SEATS as u64 {
            return Err(InvalidPlan::Size);
        }
        let currency = self.categories[0].price.currency;
        let priced = |c: &Category| c.price.amount_minor >= 0 && c.price.currency == currency;
        if !self.categories.iter().all(priced) {
            return Err(InvalidPlan::Price);
        }
        Ok(())
    }

    /// Every seat, section by section and row by row.
    pub fn seats(&self) -> impl Iterator<Item = SeatSpec> {
        let hall = Hall::new(self.clone());
        (0..hall.size()).map(move |ix| hall.spec(ix))
    }

    /// How wide and deep the hall is, in seat widths; the stage's middle is at (width / 2, 0).
    pub fn extent(&self) -> (f64, f64) {
        let layout = Layout::of(&self.sections);
        (layout.width, layout.depth)
    }
}

impl Section {
    fn size(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.seats_per_row)
    }
}

/// Where the sections stand.
struct Layout {
    width: f64,
    depth: f64,
    /// How much nearer the stage a row is at the hall's side than in its middle. Every row bends alike
    /// (a parabola), so no two ever cross; and less than a circle round the stage would, so that the
    /// middle of a row is its best place.
    bend: f64,
    /// For each section the middle of its first row, on the hall's middle line.
    origins: Vec<(f64, f64)>,
}

impl Layout {
    fn of(sections: &[Section]) -> Self {
        // An odd number side by side, so that one stands in the middle; about as many tiers as that.
        let mut abreast = 1;
        while abreast * (abreast + 1) < sections.len() && sections.len() > 3 {
            abreast += 2;
        }
        let mut origins = Vec::with_capacity(sections.len());
        let (mut half_width, mut y) = (0.5_f64, 0.0);
        for tier in sections.chunks(abreast) {
            let (mut left, mut right) = (0.0, 0.0);
            for (place, section) in tier.iter().enumerate() {
                let half = f64::from(section.seats_per_row) / 2.0;
                let x = if place == 0 {
                    (left, right) = (-half, half);
                    0.0
                } else if place % 2 == 1 {
                    left -= AISLE + 2.0 * half;
                    left + half
                } else {
                    right += AISLE + 2.0 * half;
                    right - half
                };
                origins.push((x, y));
            }
            half_width = half_width.max(-left).max(right);
            let rows = tier.iter().map(|section| section.rows).max().unwrap_or(0);
            y += f64::from(rows) + AISLE;
        }
        let width = 2.0 * half_width;
        let straight = y - AISLE + BEFORE_STAGE;
        let bend = width * width / (16.0 * width.max(straight));
        Self { width, depth: straight + bend, bend, origins }
    }

    /// Where a seat is, `across` from its section's middle in row `row` from 0.
    fn place(&self, section: usize, row: u32, across: f64) -> (f64, f64) {
        let (middle, first_row) = self.origins[section];
        let x = middle + across;
        let aside = 2.0 * x / self.width;
        let y = BEFORE_STAGE + self.bend * (1.0 - aside * aside) + first_row + f64::from(row);
        (hundredths(x + self.width / 2.0), hundredths(y))
    }
}

/// Rounded, so that what is told is short; only operations that are exact on every machine.
fn hundredths(length: f64) -> f64 {
    (length * 100.0).round() / 100.0
}

/// A plan with everything that follows from it and is needed often.
#[derive(Clone, Debug)]
pub(super) struct Hall {
    pub(super) plan: Plan,
    /// For each section the number of its first seat; the number of all seats behind the last.
    starts: Vec<SeatIx>,
    by_name: BTreeMap<String, usize>,
    /// For each section the index of its category.
    categories: Vec<usize>,
    /// For each seat its place.
    places: Vec<(f32, f32)>,
    /// For each seat how far it is from the stage's middle, in hundredths of a seat width.
    distances: Vec<u32>,
}

impl Hall {
    /// The hall of a valid plan.
    pub(super) fn new(plan: Plan) -> Self {
        let layout = Layout::of(&plan.sections);
        let mut starts = vec![0];
        let (mut places, mut distances) = (Vec::new(), Vec::new());
        for (index, section) in plan.sections.iter().enumerate() {
            for row in 0..section.rows {
                for number in 0..section.seats_per_row {
                    let across = f64::from(number) + 0.5 - f64::from(section.seats_per_row) / 2.0;
                    let (x, y) = layout.place(index, row, across);
                    let aside = x - layout.width / 2.0;
                    let distance = (aside * aside + y * y).sqrt() * 100.0;
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "at most some hundred thousand seat widths, never negative"
                    )]
                    distances.push(distance.round() as u32);
                    #[expect(clippy::cast_possible_truncation, reason = "a place to draw at")]
                    places.push((x as f32, y as f32));
                }
            }
            starts.push(SeatIx::try_from(places.len()).unwrap_or(SeatIx::MAX));
        }
        let named = plan.sections.iter().enumerate();
        let by_name = named.map(|(index, section)| (section.name.clone(), index)).collect();
        let category = |section: &Section| {
            plan.categories.iter().position(|c| c.name == section.category).unwrap_or(0)
        };
        let categories = plan.sections.iter().map(category).collect();
        Self { starts, by_name, categories, places, distances, plan }
    }

    /// How many seats there are.
    pub(super) fn size(&self) -> SeatIx {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The number of a seat; none when the hall has no such seat.
    pub(super) fn find(&self, id: &SeatId) -> Option<SeatIx> {
        let mut parts = id.as_str().rsplitn(3, '-');
        let number = counted(parts.next()?)?;
        let row = counted(parts.next()?)?;
        let index = *self.by_name.get(parts.next()?)?;
        let section = &self.plan.sections[index];
        let exists = row <= section.rows && number <= section.seats_per_row;
        exists.then(|| self.starts[index] + (row - 1) * section.seats_per_row + (number - 1))
    }

    /// The index of a seat's section.
    pub(super) fn section_of(&self, seat: SeatIx) -> usize {
        self.starts.partition_point(|start| *start <= seat) - 1
    }

    /// Section, row and number of a seat, rows and numbers from 1.
    pub(super) fn where_is(&self, seat: SeatIx) -> (&Section, u32, u32) {
        let index = self.section_of(seat);
        let section = &self.plan.sections[index];
        let nth = seat - self.starts[index];
        (section, nth / section.seats_per_row + 1, nth % section.seats_per_row + 1)
    }

    /// A seat's id.
    pub(super) fn id(&self, seat: SeatIx) -> SeatId {
        let (section, row, number) = self.where_is(seat);
        SeatId::new(format!("{}-{row}-{number}", section.name))
            .expect("a section's name has no character that a seat's id may not have")
    }

    /// The ids of seats, in the plan's order.
    pub(super) fn ids(&self, seats: impl IntoIterator<Item = SeatIx>) -> Vec<SeatId> {
        let mut seats: Vec<_> = seats.into_iter().collect();
        seats.sort_unstable();
        seats.into_iter().map(|seat| self.id(seat)).collect()
    }

    /// A seat's price class.
    pub(super) fn category(&self, seat: SeatIx) -> &Category {
        &self.plan.categories[self.categories[self.section_of(seat)]]
    }

    /// How far a seat is from the stage's middle, in hundredths of a seat width.
    pub(super) fn distance(&self, seat: SeatIx) -> u32 {
        self.distances[seat as usize]
    }

    /// The numbers of a section's first seat and of the first behind it.
    pub(super) fn range_of(&self, section: usize) -> (SeatIx, SeatIx) {
        (self.starts[section], self.starts[section + 1])
    }

    /// All that the plan says of a seat.
    pub(super) fn spec(&self, seat: SeatIx) -> SeatSpec {
        let (section, row, number) = self.where_is(seat);
        let (x, y) = self.places[seat as usize];
        let category = self.category(seat);
        SeatSpec {
            id: self.id(seat),
            label: format!("{}, row {row}, seat {number}", section.name),
            section: section.name.clone(),
            row,
            number,
            x: hundredths(f64::from(x)),
            y: hundredths(f64::from(y)),
            category: category.name.clone(),
            price: category.price,
        }
    }
}

/// A number from 1 as seats' ids write it: no sign, no leading zero, so that each seat has one id.
fn counted(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// A hall as a snapshot keeps it: its plan; the rest follows.
pub(super) mod kept {
    use std::sync::Arc;

    use serde::{Deserializer, Serializer};

    use super::{Hall, Plan};
    use crate::kept::as_stored;

    pub(in crate::seatmap) fn serialize<S: Serializer>(
        hall: &Option<Arc<Hall>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        as_stored::serialize(&hall.as_deref().map(|hall| &hall.plan), to)
    }

    pub(in crate::seatmap) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<Hall>>, D::Error> {
        let plan: Option<Plan> = as_stored::deserialize(from)?;
        Ok(plan.map(|plan| Arc::new(Hall::new(plan))))
    }
}

// Two halls of one plan are one hall.
impl PartialEq for Hall {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan
    }
}

impl Eq for Hall {}

impl std::hash::Hash for Hall {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.plan.name.hash(state);
        self.size().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Currency;

    fn plan(sections: &[(&str, u32, u32)]) -> Plan {
        let euro = Currency::new("EUR").expect("a currency");
        let section = |(name, rows, seats_per_row): &(&str, u32, u32)| Section {
            name: (*name).into(),
            category: "A".into(),
            rows: *rows,
            seats_per_row: *seats_per_row,
        };
        Plan {
            name: "Hall".into(),
            sku: None,
            categories: vec![Category { name: "A".into(), price: Money::new(4_500, euro) }],
            sections: sections.iter().map(section).collect(),
        }
    }

    #[test]
    fn every_seat_is_found_by_its_id_and_by_no_other() {
        let hall = Hall::new(plan(&[("A", 2, 3), ("B.1", 1, 12), ("C_2", 3, 1)]));
        for (ix, spec) in (0..).zip(hall.plan.seats()) {
            assert_eq!(hall.find(&spec.id), Some(ix));
            assert_eq!(spec.id.as_str(), format!("{}-{}-{}", spec.section, spec.row, spec.number));
        }
        assert_eq!(hall.size(), 21);
        for absent in ["A-0-1", "A-1-0", "A-3-1", "A-1-4", "A-01-1", "A-1-01", "B-1-1", "A-x-1"] {
            assert_eq!(hall.find(&SeatId::new(absent).expect("well-formed")), None, "{absent}");
        }
    }

    #[test]
    fn no_two_seats_of_a_stadium_stand_on_each_other() {
        let names: Vec<String> = (0..25).map(|n| format!("S{n}")).collect();
        let sections: Vec<_> = names.iter().map(|name| (name.as_str(), 20, 40)).collect();
        let plan = plan(&sections);
        let (width, depth) = plan.extent();
        let mut seen: BTreeMap<(i64, i64), Vec<(f64, f64)>> = BTreeMap::new();
        for seat in plan.seats() {
            assert!((0.0..=width).contains(&seat.x) && (0.0..=depth).contains(&seat.y), "{seat:?}");
            #[expect(clippy::cast_possible_truncation, reason = "a cell of a coarse grid")]
            let cell = (seat.x.floor() as i64, seat.y.floor() as i64);
            for near in (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (cell.0 + dx, cell.1 + dy))) {
                for (x, y) in seen.get(&near).into_iter().flatten() {
                    let (dx, dy) = (seat.x - x, seat.y - y);
                    assert!(dx * dx + dy * dy > 0.8, "{seat:?} stands on ({x}, {y})");
                }
            }
            seen.entry(cell).or_default().push((seat.x, seat.y));
        }
        assert!(width < 3.0 * depth && depth < 3.0 * width, "{width} by {depth} looks like a hall");
    }

    #[test]
    fn a_plan_that_makes_no_hall_is_refused() {
        let good = || plan(&[("A", 1, 1)]);
        assert_eq!(good().check(), Ok(()));
        assert_eq!(plan(&[]).check(), Err(InvalidPlan::Empty));
        assert_eq!(plan(&[("A", 1, 1), ("A", 1, 1)]).check(), Err(InvalidPlan::Repeated));
        assert_eq!(plan(&[("A-B", 1, 1)]).check(), Err(InvalidPlan::SectionName));
        assert_eq!(plan(&[("", 1, 1)]).check(), Err(InvalidPlan::SectionName));
        assert_eq!(plan(&[("A", 0, 1)]).check(), Err(InvalidPlan::Size));
        assert_eq!(plan(&[("A", 1_000, 101)]).check(), Err(InvalidPlan::Size));
        assert_eq!(plan(&[("A", u32::MAX, u32::MAX)]).check(), Err(InvalidPlan::Size));
        assert_eq!(plan(&[("A", 1_000, 100)]).check(), Ok(()));
        let mut other = good();
        other.sections[0].category = "B".into();
        assert_eq!(other.check(), Err(InvalidPlan::UnknownCategory));
        let mut free = good();
        free.categories[0].price.amount_minor = -1;
        assert_eq!(free.check(), Err(InvalidPlan::Price));
        let mut nameless = good();
        nameless.name = String::new();
        assert_eq!(nameless.check(), Err(InvalidPlan::Name));
    }
}
