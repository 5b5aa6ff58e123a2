//! The car itself, without a connection: it judges commands, acts, drives and tells what its sensors say.
//! Pure: it is told the moment and has its own dice, so that a seed always tells the same story.

use std::collections::VecDeque;
use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_schemas::mqtt::{
    Answer, Command, CommandRef, Moment, Notice, Signals, Status, Telemetry, Topic, Word, path,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use super::temper::{happens, upto};
use super::{Shown, Temper, VehicleSpec, shown};

/// How many answers it remembers, to give them again.
const REMEMBERED: usize = 64;
/// How many acts are shown.
const ACTS_SHOWN: usize = 256;
/// It drives at this speed once it has been open for a moment, in metres a second.
const SPEED_M_PER_S: f64 = 11.0;
/// How long it stands open before it drives.
const GETS_GOING: Duration = Duration::from_secs(3);
/// One percent of the tank takes it so far, in metres.
const METRES_PER_PCT: f64 = 6_000.0;
/// A degree of latitude, in metres.
const METRES_PER_DEGREE: f64 = 111_320.0;

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    /// Send this after a while.
    Send { after: Duration, topic: Topic, payload: Vec<u8> },
    /// Move the actuator after a while, then call [`Car::acted`].
    Act { after: Duration, command: Box<Command> },
}

/// One car.
pub(super) struct Car {
    pub(super) spec: VehicleSpec,
    pub(super) temper: Temper,
    pub(super) dice: StdRng,
    view: Shown,
    locked: bool,
    odometer_m: f64,
    fuel_pct: f64,
    position: (f64, f64),
    heading: f64,
    opened: Option<Timestamp>,
    driven_to: Option<Timestamp>,
    /// By how much what it tells of the time is off, in microseconds.
    skew_micros: i64,
    boot: u64,
    seq: u64,
    /// Commands that it has taken, and what it answered; none while it acts.
    taken: VecDeque<(Uuid, Option<Status>)>,
}

impl Car {
    pub(super) fn new(spec: VehicleSpec, temper: Temper, seed: u64, view: Shown) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let most = i64::try_from(temper.skew.as_micros()).unwrap_or(i64::MAX / 2);
        let skew_micros = dice.random_range(-most..=most);
        let heading = dice.random_range(0.0..std::f64::consts::TAU);
        {
            let mut view = shown(&view);
            view.locked = true;
            view.odometer_m = spec.odometer_m;
            view.fuel_pct = spec.fuel_pct;
        }
        Self {
            locked: true,
            odometer_m: spec.odometer_m as f64,
            fuel_pct: f64::from(spec.fuel_pct),
            position: spec.position,
            heading,
            opened: None,
            driven_to: None,
            skew_micros,
            boot: 0,
            seq: 0,
            taken: VecDeque::new(),
            spec,
            temper,
            dice,
            view,
        }
    }

    /// It connects at `now`: a new boot, counted by the clock so that it never counts down.
    pub(super) fn boots(&mut self, now: Timestamp) -> u64 {
        let by_clock = u64::try_from(now.micros() / 1_000).unwrap_or_default();
        self.boot = by_clock.max(self.boot + 1);
        self.boot
    }

    /// What it tells of the time.
    pub(super) fn told(&self, now: Timestamp) -> Moment {
        let millis = (now.micros() + self.skew_micros) / 1_000;
        Moment(Timestamp::from_micros(millis.max(0) * 1_000))
    }

    /// A message has come on a command topic.
    pub(super) fn commanded(
        &mut self,
        word: Word,
        payload: &[u8],
        retained: bool,
        now: Timestamp,
    ) -> Vec<Deed> {
        if retained {
            shown(&self.view).retained += 1;
            return Vec::new();
        }
        let command = match Command::read(payload) {
            Ok(command) if command.cmd == word && self.spec.key.signs_command(&command) => command,
            _ => {
                shown(&self.view).forged += 1;
                return Vec::new();
            }
        };
        let id = command.command_id.id();
        let seen = self.taken.iter().find(|(seen, _)| *seen == id).map(|(_, status)| *status);
        match seen {
            // It is at it: the answer comes when it is done.
            Some(None) => {
                shown(&self.view).repeats += 1;
                return Vec::new();
            }
            Some(Some(status)) => {
                shown(&self.view).repeats += 1;
                return vec![self.answer(word, &command.command_id, status, now, Duration::ZERO)];
            }
            None => {}
        }
        let status = if now > Timestamp::from_secs(command.exp) {
            shown(&self.view).expired += 1;
            Some(Status::Expired)
        } else if happens(&mut self.dice, self.temper.jams) {
            Some(Status::Jammed)
        } else if happens(&mut self.dice, self.temper.rejects) {
            Some(Status::Rejected)
        } else {
            None
        };
        if self.taken.len() == REMEMBERED {
            self.taken.pop_front();
        }
        self.taken.push_back((id, status));
        match status {
            Some(status) => self.answers(word, &command.command_id, status, now),
            None => {
                vec![Deed::Act { after: self.dawdle(), command: Box::new(command) }]
            }
        }
    }

    /// The actuator moves, unless the command's time is over by now.
    pub(super) fn acted(&mut self, command: &Command, now: Timestamp) -> Vec<Deed> {
        let (word, id) = (command.cmd, command.command_id.id());
        if now > Timestamp::from_secs(command.exp) {
            shown(&self.view).expired += 1;
            self.remember(id, Status::Expired);
            return self.answers(word, &command.command_id, Status::Expired, now);
        }
        self.drives(now);
        self.locked = word == Word::Lock;
        (self.opened, self.driven_to) = match word {
            Word::Unlock => (self.opened.or(Some(now)), self.driven_to),
            Word::Lock => (None, None),
        };
        {
            let mut view = shown(&self.view);
            view.locked = self.locked;
            if view.acts.len() == ACTS_SHOWN {
                view.acts.remove(0);
            }
            view.acts.push((id, word));
        }
        let status = word.done();
        self.remember(id, status);
        let event = if self.locked { "DOOR_LOCKED" } else { "DOOR_UNLOCKED" };
        let mut deeds = self.answers(word, &command.command_id, status, now);
        self.seq += 1;
        let notice = Notice {
            event: event.into(),
            seq: self.seq,
            t: Some(self.told(now)),
            signals: Signals::default().with(path::LOCKED, self.locked),
        };
        deeds.push(Deed::Send {
            after: Duration::ZERO,
            topic: Topic::Notice,
            payload: notice.write(),
        });
        deeds
    }

    fn remember(&mut self, id: Uuid, status: Status) {
        if let Some(taken) = self.taken.iter_mut().find(|(taken, _)| *taken == id) {
            taken.1 = Some(status);
        }
    }

    /// Nothing, or as long as its temper has it.
    fn dawdle(&mut self) -> Duration {
        if happens(&mut self.dice, self.temper.dawdles) {
            upto(&mut self.dice, self.temper.dawdle)
        } else {
            Duration::ZERO
        }
    }

    /// The answer, late, lost or said more often, as its temper has it.
    fn answers(
        &mut self,
        word: Word,
        command_id: &CommandRef,
        status: Status,
        now: Timestamp,
    ) -> Vec<Deed> {
        if happens(&mut self.dice, self.temper.loses) {
            return Vec::new();
        }
        let after = self.dawdle();
        let mut deeds = vec![self.answer(word, command_id, status, now, after)];
        while deeds.len() < 4 && happens(&mut self.dice, self.temper.repeats) {
            let after = upto(&mut self.dice, Duration::from_secs(2));
            deeds.push(self.answer(word, command_id, status, now, after));
        }
        deeds
    }

    fn answer(
        &mut self,
        word: Word,
        command_id: &CommandRef,
        status: Status,
        now: Timestamp,
        after: Duration,
    ) -> Deed {
        self.seq += 1;
        let told = Some(self.told(now));
        let mut answer = Answer::signed(status, command_id.clone(), told, self.seq, &self.spec.key);
        answer.signals = Signals::default()
            .with(path::ODOMETER, self.odometer_m as u64)
            .with(path::FUEL, self.fuel_pct as u64);
        Deed::Send { after, topic: Topic::Answer(word), payload: answer.write() }
    }

    /// What the sensors say.
    pub(super) fn telemetry(&mut self, now: Timestamp) -> Vec<u8> {
        let speed = self.drives(now);
        self.seq += 1;
        let signals = Signals::default()
            .with(path::ODOMETER, self.odometer_m as u64)
            .with(path::FUEL, self.fuel_pct as u64)
            .with(path::LOCKED, self.locked)
            .with(path::SPEED, (speed * 3.6).round())
            .with(path::MOVING, speed > 0.0)
            .with(path::LATITUDE, (self.position.0 * 1e6).round() / 1e6)
            .with(path::LONGITUDE, (self.position.1 * 1e6).round() / 1e6);
        {
            let mut view = shown(&self.view);
            view.telemetry += 1;
            view.odometer_m = self.odometer_m as u64;
            view.fuel_pct = self.fuel_pct as u8;
        }
        let telemetry =
            Telemetry { t: Some(self.told(now)), seq: self.seq, boot: Some(self.boot), signals };
        telemetry.write()
    }

    /// It drives while it is open, until the tank is empty; gives its speed in metres a second.
    fn drives(&mut self, now: Timestamp) -> f64 {
        let Some(opened) = self.opened else { return 0.0 };
        let going = opened.plus(GETS_GOING);
        let from = self.driven_to.map_or(going, |driven| driven.max(going));
        if now <= from || self.fuel_pct < 1.0 {
            return 0.0;
        }
        self.driven_to = Some(now);
        let metres = now.since(from).as_secs_f64() * SPEED_M_PER_S;
        self.odometer_m += metres;
        self.fuel_pct = (self.fuel_pct - metres / METRES_PER_PCT).max(0.0);
        self.heading += self.dice.random_range(-0.3..=0.3);
        let degrees = metres / METRES_PER_DEGREE;
        self.position.0 = (self.position.0 + degrees * self.heading.cos()).clamp(-89.0, 89.0);
        self.position.1 = (self.position.1 + degrees * self.heading.sin()).clamp(-179.0, 179.0);
        SPEED_M_PER_S
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use holdfast_domain::VehicleId;
    use holdfast_schemas::mqtt::Key;

    use super::*;

    fn car(temper: Temper) -> (Car, Shown) {
        let view = Shown::default();
        let spec = VehicleSpec {
            id: VehicleId::new("car-1").unwrap(),
            password: "p".into(),
            key: Key::new([7; 32]),
            odometer_m: 1_000,
            fuel_pct: 50,
            position: (52.5, 13.4),
        };
        (Car::new(spec, temper, 1, view.clone()), view)
    }

    fn command(id: u128, exp: i64, key: u8) -> Vec<u8> {
        let key = Key::new([key; 32]);
        Command::signed(Word::Unlock, Uuid::from_u128(id), None, 1, (0, exp), &key).write()
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// Does what the car says at once.
    fn obey(car: &mut Car, payload: &[u8], now: Timestamp) -> Vec<Status> {
        let mut open = car.commanded(Word::Unlock, payload, false, now);
        let mut said = Vec::new();
        while let Some(deed) = open.pop() {
            match deed {
                Deed::Act { command, .. } => open.extend(car.acted(&command, now)),
                Deed::Send { topic: Topic::Answer(_), payload, .. } => {
                    let answer = Answer::read(&payload).unwrap();
                    assert!(car.spec.key.signs_answer(&answer));
                    said.push(answer.status);
                }
                Deed::Send { .. } => {}
            }
        }
        said
    }

    #[test]
    fn it_acts_once_however_often_it_is_told() {
        let (mut car, view) = car(Temper::obedient());
        for _ in 0..3 {
            assert_eq!(obey(&mut car, &command(1, 20, 7), at(10)), [Status::Unlocked]);
        }
        let view = shown(&view).clone();
        assert_eq!(view.acts, [(Uuid::from_u128(1), Word::Unlock)]);
        assert_eq!((view.repeats, view.locked), (2, false));
    }

    #[test]
    fn it_refuses_after_exp_and_says_nothing_to_strangers() {
        let (mut car, view) = car(Temper::obedient());
        assert_eq!(
            obey(&mut car, &command(1, 20, 7), Timestamp::from_micros(20_000_001)),
            [Status::Expired]
        );
        assert_eq!(obey(&mut car, &command(2, 20, 8), at(10)), []);
        assert_eq!(car.commanded(Word::Lock, &command(3, 20, 7), false, at(10)), []);
        assert_eq!(car.commanded(Word::Unlock, &command(4, 20, 7), true, at(10)), []);
        assert_eq!(car.commanded(Word::Unlock, b"{", false, at(10)), []);
        let view = shown(&view).clone();
        assert_eq!((view.expired, view.forged, view.retained), (1, 3, 1));
        assert!(view.locked && view.acts.is_empty());
    }

    #[test]
    fn it_drives_only_while_it_is_open_and_its_odometer_never_goes_back() {
        let (mut car, _) = car(Temper::obedient());
        car.boots(at(1));
        let read = |car: &mut Car, now| Telemetry::read(&car.telemetry(now)).unwrap();
        assert_eq!(read(&mut car, at(5)).signals.odometer_m(), Some(1_000));
        obey(&mut car, &command(1, 20, 7), at(10));
        assert_eq!(read(&mut car, at(12)).signals.speed_kmh(), Some(0));
        let driving = read(&mut car, at(113));
        assert_eq!(driving.signals.odometer_m(), Some(2_100));
        assert_eq!(driving.signals.speed_kmh(), Some(40));
        assert_eq!(read(&mut car, at(100)).signals.odometer_m(), Some(2_100));
        assert!(car.boots(at(0)) > 1_000, "a boot never counts down");
    }

    #[test]
    fn an_unreliable_one_lies_repeats_and_jams_but_never_acts_twice_on_one_command() {
        let (mut car, view) = car(Temper::unreliable());
        let mut said = Vec::new();
        for id in 0..400 {
            said.extend(obey(&mut car, &command(id, 20, 7), at(10)));
            said.extend(obey(&mut car, &command(id, 20, 7), at(10)));
        }
        assert!(said.contains(&Status::Jammed) && said.contains(&Status::Rejected));
        assert!(said.len() > 800, "{}", said.len());
        let mut acts = shown(&view).acts.clone();
        let all = acts.len();
        acts.sort();
        acts.dedup();
        assert_eq!(acts.len(), all);
        assert_ne!(car.told(at(10_000)).0, at(10_000));
    }
}
