//! Commands that are out: handed to the broker, not answered, not at their end.
//!
//! A broker that restarts may have lost what it had acknowledged, and the library loses what it had not
//! sent. So when the connection is back everything that is out goes out again, but only before its end:
//! the same command id, so a vehicle that has already acted answers without acting.

use std::collections::HashMap;

use holdfast_domain::{Timestamp, VehicleId};
use holdfast_schemas::mqtt::Command;
use uuid::Uuid;

/// How many commands may be out: more than a fleet unlocks in the 20 s that one lasts.
const MOST: usize = 10_000;

/// A command that is out.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) vehicle: VehicleId,
    pub(crate) command: Command,
    /// Its place among all that went out.
    number: u64,
}

impl Out {
    /// When it must not reach the vehicle any more.
    fn end(&self) -> Timestamp {
        Timestamp::from_secs(self.command.exp)
    }

    /// The message's expiry in whole seconds, rounded up; none at its end.
    pub(crate) fn expiry_secs(&self, now: Timestamp) -> Option<u32> {
        let left = self.end().since(now);
        let secs = u32::try_from(left.as_micros().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        (secs > 0).then_some(secs)
    }
}

/// Commands that are out.
#[derive(Default)]
pub(crate) struct Outbox {
    out: HashMap<Uuid, Out>,
    number: u64,
    /// Whether what is at its end is forgotten; it always is, but in a twin.
    ends: bool,
}

impl Outbox {
    pub(crate) fn new(ends: bool) -> Self {
        Self { ends, ..Self::default() }
    }

    fn forget_ended(&mut self, now: Timestamp) {
        let ends = self.ends;
        self.out.retain(|_, out| !ends || now < out.end());
    }

    /// Takes a command in, in place of an earlier attempt of the same; none when there are too many.
    pub(crate) fn put(
        &mut self,
        vehicle: &VehicleId,
        command: Command,
        now: Timestamp,
    ) -> Option<Out> {
        let id = command.command_id.id();
        if self.out.len() >= MOST && !self.out.contains_key(&id) {
            self.forget_ended(now);
            if self.out.len() >= MOST {
                return None;
            }
        }
        self.number += 1;
        let out = Out { vehicle: vehicle.clone(), command, number: self.number };
        self.out.insert(id, out.clone());
        Some(out)
    }

    /// The vehicle has answered it.
    pub(crate) fn settle(&mut self, command_id: Uuid) {
        self.out.remove(&command_id);
    }

    /// What must go out again, in its order; what is at its end is forgotten.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Out> {
        self.due_if(now, |_| true)
    }

    /// The same of one vehicle.
    pub(crate) fn due_to(&mut self, vehicle: &VehicleId, now: Timestamp) -> Vec<Out> {
        self.due_if(now, |out| out.vehicle == *vehicle)
    }

    fn due_if(&mut self, now: Timestamp, which: impl Fn(&Out) -> bool) -> Vec<Out> {
        self.forget_ended(now);
        let mut due: Vec<Out> = self.out.values().filter(|out| which(out)).cloned().collect();
        due.sort_by_key(|out| out.number);
        due
    }

    /// How many are out.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use holdfast_schemas::mqtt::{Key, Word};

    use super::*;

    fn command(id: u128, exp: i64) -> Command {
        let key = Key::new([1; 32]);
        Command::signed(Word::Unlock, Uuid::from_u128(id), None, 1, (0, exp), &key)
    }

    #[test]
    fn what_is_not_answered_goes_out_again_in_order_until_its_end() {
        let car = VehicleId::new("car-1").unwrap();
        let mut outbox = Outbox::new(true);
        for (id, exp) in [(3, 30), (1, 10), (2, 20), (4, 40)] {
            outbox.put(&car, command(id, exp), Timestamp::from_secs(0)).unwrap();
        }
        outbox.settle(Uuid::from_u128(2));
        let ids = |due: Vec<Out>| -> Vec<u128> {
            due.iter().map(|out| out.command.command_id.id().as_u128()).collect()
        };
        assert_eq!(ids(outbox.due(Timestamp::from_secs(9))), [3, 1, 4]);
        assert_eq!(ids(outbox.due(Timestamp::from_secs(10))), [3, 4]);
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn an_expiry_is_never_zero_while_there_is_time() {
        let car = VehicleId::new("car-1").unwrap();
        let mut outbox = Outbox::new(true);
        let out = outbox.put(&car, command(1, 10), Timestamp::from_secs(0)).unwrap();
        assert_eq!(out.expiry_secs(Timestamp::from_secs(0)), Some(10));
        assert_eq!(out.expiry_secs(Timestamp::from_micros(9_999_999)), Some(1));
        assert_eq!(out.expiry_secs(Timestamp::from_secs(10)), None);
    }

    #[test]
    fn the_outbox_is_bounded() {
        let car = VehicleId::new("car-1").unwrap();
        let mut outbox = Outbox::new(true);
        for id in 0..MOST {
            assert!(outbox.put(&car, command(id as u128, 10), Timestamp::from_secs(0)).is_some());
        }
        assert!(outbox.put(&car, command(1 << 64, 10), Timestamp::from_secs(0)).is_none());
        assert!(outbox.put(&car, command(0, 10), Timestamp::from_secs(0)).is_some(), "a repeat");
        assert!(outbox.put(&car, command(1 << 64, 20), Timestamp::from_secs(10)).is_some());
    }
}
