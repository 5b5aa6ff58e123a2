//! What a reservation may contain.

use super::*;
use crate::{SeatId, SeatMapId};

fn placed(change: impl FnOnce(&mut Vec<Line>, &mut Timestamp, &mut Timestamp)) -> String {
    let mut command = place();
    let Command::PlaceHold { lines, hold_expires_at, absolute_deadline, .. } = &mut command else {
        unreachable!("place() places")
    };
    change(lines, hold_expires_at, absolute_deadline);
    match ask(&State::default(), 0, &command) {
        Err(Refusal::InvalidLines(what)) => format!("{what:?}"),
        answer => shown(&answer),
    }
}

fn seats(map: &str, seat_ids: &[&str]) -> Line {
    Line {
        sku: None,
        seat_map_id: Some(SeatMapId::new(map).unwrap()),
        seat_ids: seat_ids.iter().map(|seat| SeatId::new(*seat).unwrap()).collect(),
        ..line(LineKind::Seat, "unused", u32::try_from(seat_ids.len()).unwrap())
    }
}

#[test]
fn the_total_is_the_sum_of_the_lines() {
    assert_eq!(hold().total, Some(eur(3_000)));
}

#[test]
fn lines_that_make_no_sense_are_refused() {
    assert_eq!(placed(|lines, _, _| lines.clear()), "None");
    assert_eq!(placed(|lines, _, _| lines[1].quantity = 0), "ZeroQuantity");
    assert_eq!(placed(|lines, _, _| lines[1].unit_price = eur(-1)), "Total");
    assert_eq!(placed(|lines, _, _| lines[1].unit_price = eur(i64::MAX)), "Total");
    assert_eq!(placed(|lines, _, _| lines[0].quantity = 2), "Vehicles");
    assert_eq!(placed(|lines, _, _| lines.push(lines[0].clone())), "Vehicles");
    assert_eq!(placed(|lines, _, _| lines[1].sku = None), "Unnamed");
    let dollars = Money::new(1, Currency::new("USD").unwrap());
    assert_eq!(placed(|lines, _, _| lines[1].unit_price = dollars), "MixedCurrencies");
    let fifty =
        |count| placed(|lines, _, _| *lines = vec![line(LineKind::Ticket, "fair", 1); count]);
    assert_eq!((fifty(50).as_str(), fifty(51).as_str()), ("HoldCreated", "TooMany"));
}

#[test]
fn a_seat_stands_in_one_line_and_a_quantity_is_the_number_of_seats() {
    let with = |seats: Vec<Line>| placed(|lines, _, _| *lines = seats);
    assert_eq!(with(vec![seats("hall", &["A-1-1", "A-1-2"])]), "HoldCreated");
    assert_eq!(with(vec![seats("hall", &["A-1-1"]), seats("court", &["A-1-1"])]), "HoldCreated");
    assert_eq!(with(vec![seats("hall", &["A-1-1"]), seats("hall", &["A-1-1"])]), "Seats");
    assert_eq!(with(vec![seats("hall", &["A-1-1", "A-1-1"])]), "Seats");
    assert_eq!(with(vec![Line { quantity: 2, ..seats("hall", &["A-1-1"]) }]), "Seats");
    assert_eq!(with(vec![Line { seat_map_id: None, ..seats("hall", &["A-1-1"]) }]), "Unnamed");
    let ticket = Line { kind: LineKind::Ticket, ..seats("hall", &["A-1-1"]) };
    let named = Line { sku: Some(Sku::new("fair").unwrap()), ..ticket };
    assert_eq!(with(vec![named]), "Seats");
}

#[test]
fn a_hold_of_seats_shows_its_lock() {
    let mut command = place();
    if let Command::PlaceHold { lines, .. } = &mut command {
        *lines = vec![seats("hall", &["A-1-1"])];
    }
    assert_eq!(given(&[(0, command)]).saga_state(), "SEATS_LOCKED");
}

#[test]
fn deadlines_are_in_order_and_within_two_hours() {
    assert_eq!(
        placed(|_, hold, cap| *hold = cap.plus(std::time::Duration::from_micros(1))),
        "Deadlines"
    );
    assert_eq!(placed(|_, _, cap| *cap = at(CAP_SECS + 1)), "Deadlines");
    assert_eq!(placed(|_, hold, cap| (*hold, *cap) = (at(CAP_SECS), at(CAP_SECS))), "HoldCreated");
    // The acquisition took longer than the hold.
    assert_eq!(placed(|_, hold, _| *hold = at(0)), "E:HoldExpired");
}

#[test]
fn a_retry_that_finds_other_prices_asks_for_the_same_but_other_contents_do_not() {
    let retry = |change: fn(&mut UserId, &mut Vec<Line>, &mut Timestamp)| {
        let mut command = place();
        if let Command::PlaceHold { user_id, lines, hold_expires_at, .. } = &mut command {
            change(user_id, lines, hold_expires_at);
        }
        shown(&ask(&hold(), 5, &command))
    };
    assert_eq!(retry(|_, lines, hold| (lines[1].unit_price, *hold) = (eur(7), at(905))), "idem");
    assert_eq!(retry(|_, lines, _| lines[1].quantity = 3), "E:AlreadyExists");
    assert_eq!(retry(|_, lines, _| lines.truncate(1)), "E:AlreadyExists");
    assert_eq!(retry(|user, _, _| *user = UserId::new("eve").unwrap()), "E:AlreadyExists");
}
