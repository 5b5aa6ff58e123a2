//! Who may say and hear what. The second wall: the first is the `mac` in every command and answer.
//!
//! ```text
//!             says                                    hears
//!   engine    hf/v1/v/*/cmd/unlock, cmd/lock          filters hf/v1/v/…/{rsp,tel,evt,state}…
//!   car-7     hf/v1/v/car-7/rsp/…, tel, evt,          filters hf/v1/v/car-7/…
//!             state/conn
//! ```
//!
//! Everything else is nobody's: other prefixes, `$SYS`, shared subscriptions, wildcards before or in the
//! place of the vehicle's name. `iot/mosquitto/` writes the same table for Mosquitto.

use holdfast_domain::VehicleId;
use holdfast_schemas::mqtt::{PREFIX, Topic};

use super::Principal;

/// The engine's user name, and the beginning of its client ids. No vehicle may be called so.
pub const ENGINE: &str = "holdfast-engine";

/// What the engine hears, as the level behind the vehicle's name.
const HEARD_BY_ENGINE: [&str; 4] = ["rsp", "tel", "evt", "state"];

impl Principal {
    /// Whom a user name means; nobody when it can be neither the engine's nor a vehicle's.
    pub fn of(user: &str) -> Option<Self> {
        if user == ENGINE {
            return Some(Self::Engine);
        }
        VehicleId::new(user).ok().filter(|id| !is_engines(id.as_str())).map(Self::Vehicle)
    }

    /// The user name that is this one's.
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Engine => ENGINE,
            Self::Vehicle(id) => id.as_str(),
        }
    }

    /// Whether it may use this client id. Whoever connects under a client id takes over its session, so
    /// a vehicle has one: its own name. Engines of several data directories may share a broker.
    pub(super) fn may_be(&self, client_id: &str) -> bool {
        match self {
            Self::Engine => is_engines(client_id),
            Self::Vehicle(id) => id.as_str() == client_id && !is_engines(client_id),
        }
    }
}

/// Whether a name is the engine's: `holdfast-engine`, or that and something behind a dash.
fn is_engines(name: &str) -> bool {
    name.strip_prefix(ENGINE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether `user` may publish on `topic`.
pub(super) fn may_say(user: &str, topic: &str) -> bool {
    let Some((vehicle, topic)) = parse(topic) else { return false };
    match topic {
        Topic::Command(_) => user == ENGINE,
        Topic::Answer(_) | Topic::Telemetry | Topic::Notice | Topic::Connection => user == vehicle,
    }
}

/// Whether `user` may subscribe to `filter`.
pub(super) fn may_hear(user: &str, filter: &str) -> bool {
    let Some((vehicle, rest)) = filter.strip_prefix(PREFIX).and_then(|f| f.split_once('/')) else {
        return false;
    };
    if user == ENGINE {
        let level = rest.split('/').next().unwrap_or_default();
        return HEARD_BY_ENGINE.contains(&level);
    }
    user == vehicle
}

/// The vehicle's name and what the topic is about, without copying either.
pub(super) fn parse(topic: &str) -> Option<(&str, Topic)> {
    let (vehicle, suffix) = topic.strip_prefix(PREFIX)?.split_once('/')?;
    let topic = Topic::ALL.into_iter().find(|topic| topic.suffix() == suffix)?;
    Some((vehicle, topic))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    const CAR: &str = "car-7";

    #[test]
    fn a_vehicle_says_what_is_its_own_and_nothing_else() {
        for topic in ["rsp/unlock", "rsp/lock", "tel", "evt", "state/conn"] {
            assert!(may_say(CAR, &format!("hf/v1/v/car-7/{topic}")), "{topic}");
            assert!(!may_say(CAR, &format!("hf/v1/v/car-8/{topic}")), "{topic}");
            assert!(!may_say(ENGINE, &format!("hf/v1/v/car-7/{topic}")), "{topic}");
        }
        for topic in [
            "hf/v1/v/car-7/cmd/unlock",
            "hf/v1/v/car-7/state/other",
            "hf/v1/v/car-7/",
            "hf/v1/v/car-7",
            "hf/v1/v//tel",
            "hf/v2/v/car-7/tel",
            "x/hf/v1/v/car-7/tel",
            "$SYS/broker",
            "",
        ] {
            assert!(!may_say(CAR, topic), "{topic}");
        }
    }

    #[test]
    fn only_the_engine_commands() {
        assert!(may_say(ENGINE, "hf/v1/v/car-7/cmd/unlock"));
        assert!(may_say(ENGINE, "hf/v1/v/car-7/cmd/lock"));
        assert!(!may_say(ENGINE, "hf/v1/v/car-7/cmd/start"));
    }

    #[test]
    fn no_wildcard_reaches_over_the_fence() {
        for filter in ["hf/v1/v/car-7/#", "hf/v1/v/car-7/cmd/+", "hf/v1/v/car-7/cmd/unlock"] {
            assert!(may_hear(CAR, filter), "{filter}");
        }
        for filter in [
            "#",
            "hf/#",
            "hf/v1/v/#",
            "hf/v1/v/+/cmd/#",
            "hf/v1/v/+/#",
            "+/v1/v/car-7/cmd/unlock",
            "hf/v1/v/car-8/cmd/unlock",
            "hf/v1/v/car-7",
            "$SYS/#",
            "$share/g/hf/v1/v/car-7/cmd/unlock",
        ] {
            assert!(!may_hear(CAR, filter), "{filter}");
        }
    }

    #[test]
    fn the_engine_hears_answers_and_not_its_own_commands() {
        for filter in
            ["hf/v1/v/+/rsp/#", "hf/v1/v/+/tel", "hf/v1/v/+/evt", "hf/v1/v/car-7/state/conn"]
        {
            assert!(may_hear(ENGINE, filter), "{filter}");
        }
        for filter in ["#", "hf/v1/v/#", "hf/v1/v/+/#", "hf/v1/v/+/+/unlock", "hf/v1/v/+/cmd/#"] {
            assert!(!may_hear(ENGINE, filter), "{filter}");
        }
    }

    #[test]
    fn a_client_id_belongs_to_one_principal() {
        let car = Principal::of(CAR).unwrap();
        assert!(car.may_be("car-7"));
        assert!(!car.may_be("car-8") && !car.may_be("") && !car.may_be(ENGINE));
        assert!(Principal::Engine.may_be("holdfast-engine"));
        assert!(Principal::Engine.may_be("holdfast-engine-3f2a"));
        assert!(
            !Principal::Engine.may_be("holdfast-engines") && !Principal::Engine.may_be("car-7")
        );
        // A vehicle that was given such a name would otherwise take over an engine's session.
        let wolf = Principal::Vehicle(VehicleId::new("holdfast-engine-3f2a").unwrap());
        assert!(!wolf.may_be("holdfast-engine-3f2a"));
        assert_eq!(Principal::of("holdfast-engine-3f2a"), None);
        assert_eq!(Principal::of(ENGINE), Some(Principal::Engine));
    }
}
