//! What both brokers owe us, asked of both: the embedded one, and Mosquitto as `iot/mosquitto/setup.sh`
//! sets it up. The fence is the second wall; the first, the `mac`, is judged elsewhere.

mod support;

use rumqttc::v5::mqttbytes::v5::{PubAckReason, PublishProperties};

use support::client::Dial;
use support::house::{House, password, topic};
use support::raw::Raw;

const CAR: &str = "car-1";
const WOLF: &str = "car-2";

/// Runs a test against each broker.
macro_rules! of_both {
    ($($(#[$doc:meta])* $name:ident($house:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$doc])*
            async fn judge($house: House) $body

            #[tokio::test]
            async fn embedded() {
                judge(House::embedded(&[CAR, WOLF]).await).await;
            }

            #[tokio::test]
            async fn mosquitto() {
                if let Some(house) = House::mosquitto(&[CAR, WOLF]) {
                    judge(house).await;
                }
            }
        }
    )*};
}

of_both! {
    a_command_reaches_its_vehicle_with_all_that_mqtt_5_tells(house) {
        let (mut car, mut engine) = (house.vehicle(CAR).await, house.engine().await);
        let properties = PublishProperties {
            response_topic: Some(topic(CAR, "rsp/unlock")),
            correlation_data: Some("c-1".into()),
            message_expiry_interval: Some(20),
            ..PublishProperties::default()
        };
        let acked = engine.publish_with(&topic(CAR, "cmd/unlock"), "open", properties).await;
        assert_eq!(acked, PubAckReason::Success);
        let command = car.message().await;
        assert!(!command.retain);
        let properties = command.properties.expect("properties");
        assert_eq!(properties.response_topic, Some(topic(CAR, "rsp/unlock")));
        assert_eq!(properties.correlation_data.as_deref(), Some(&b"c-1"[..]));
        assert!(properties.message_expiry_interval.is_some_and(|left| left <= 20));
        car.publish(&topic(CAR, "rsp/unlock"), false, "opened").await;
        assert_eq!(engine.text().await, "opened");
    }

    a_vehicle_that_speaks_3_1_1_is_served_too(house) {
        let mut engine = house.engine().await;
        let mut old = Raw::connect(house.vehicles(), CAR, &password(CAR)).await;
        assert!(old.publish(&topic(CAR, "tel"), 100).await);
        assert_eq!(engine.message().await.payload.len(), 100);
    }

    // Fault 42, D35: what car-2 says in car-1's name is heard by nobody.
    a_vehicle_that_speaks_on_anothers_topic_is_not_heard(house) {
        let (mut engine, mut wolf) = (house.engine().await, house.dial(WOLF).connect().await.expect("let in"));
        for rest in ["rsp/unlock", "evt", "state/conn", "tel", "cmd/unlock"] {
            let said = wolf.publish(&topic(CAR, rest), false, "forged").await;
            assert_eq!(said, PubAckReason::NotAuthorized, "{rest}");
        }
        let said = wolf.publish(&topic(WOLF, "cmd/unlock"), false, "forged").await;
        assert_eq!(said, PubAckReason::NotAuthorized);
        // Whatever was let through before would be heard before this.
        wolf.publish(&topic(WOLF, "evt"), false, "mine").await;
        assert_eq!(engine.text().await, "mine");
    }

    no_filter_hears_what_is_said_to_others(house) {
        let (mut car, mut engine) = (house.vehicle(CAR).await, house.engine().await);
        let mut wolf = house.vehicle(WOLF).await;
        for filter in [
            "#", "hf/#", "hf/v1/v/+/cmd/#", "+/v1/v/car-1/cmd/unlock", "hf/v1/v/car-1/#", "hf/v1/v/car-1/cmd/unlock",
            "hf/v1/v/+/rsp/#", "$SYS/#", "$share/pack/hf/v1/v/car-1/cmd/unlock",
        ] {
            let granted = wolf.subscribe(filter).await;
            assert!(!(granted && house.refuses_filters()), "{filter}");
        }
        engine.publish(&topic(CAR, "cmd/unlock"), false, "for car-1").await;
        assert_eq!(car.text().await, "for car-1");
        car.publish(&topic(CAR, "rsp/unlock"), false, "from car-1").await;
        engine.publish(&topic(WOLF, "cmd/unlock"), false, "for car-2").await;
        assert_eq!(wolf.text().await, "for car-2");
    }

    nobody_comes_in_without_a_name_and_its_password(house) {
        assert!(Dial::anonymous(house.vehicles()).connect().await.is_err());
        for (user, password) in [(CAR, "wrong"), (CAR, ""), ("car-3", "of-car-3"), (CAR, "of-car-2")] {
            let come = Dial::new(house.vehicles(), user, password).connect().await;
            assert!(come.is_err(), "{user} with {password:?}");
        }
        // No vehicle's password opens the engine's door.
        assert!(Dial::new(house.vehicles(), "holdfast-engine", &password(CAR)).connect().await.is_err());
    }

    // Whoever connects under a client id takes its session over, and the broker hangs up on the first.
    anothers_client_id_takes_nothing_over(house) {
        let (mut car, mut engine) = (house.vehicle(CAR).await, house.engine().await);
        let wolf = house.dial(WOLF).client_id(CAR).lasting().connect().await;
        assert!(!wolf.as_ref().is_ok_and(|wolf| wolf.session_present));
        engine.publish(&topic(CAR, "cmd/unlock"), false, "still yours").await;
        assert_eq!(car.text().await, "still yours");
    }

    a_forged_command_that_is_retained_reaches_nobody(house) {
        let mut wolf = house.dial(WOLF).connect().await.expect("let in");
        for vehicle in [CAR, WOLF] {
            let said = wolf.publish(&topic(vehicle, "cmd/unlock"), true, "forged").await;
            assert_eq!(said, PubAckReason::NotAuthorized);
        }
        // Retained messages come right after the subscription, before anything that is said later.
        let (mut car, mut engine) = (house.vehicle(CAR).await, house.engine().await);
        engine.publish(&topic(CAR, "cmd/unlock"), false, "genuine").await;
        assert_eq!(car.text().await, "genuine");
    }

    a_payload_of_a_megabyte_ends_its_own_connection_and_no_other(house) {
        let (mut car, mut engine) = (house.vehicle(CAR).await, house.engine().await);
        let mut wolf = Raw::connect(house.vehicles(), WOLF, &password(WOLF)).await;
        wolf.publish(&topic(WOLF, "evt"), 1024 * 1024).await;
        assert!(wolf.is_hung_up_on().await);
        engine.publish(&topic(CAR, "cmd/unlock"), false, "alive").await;
        assert_eq!(car.text().await, "alive");
        car.publish(&topic(CAR, "evt"), false, "alive too").await;
        assert_eq!(engine.text().await, "alive too");
    }

    the_last_will_is_spoken_late_and_not_at_all_for_who_is_back(house) {
        let mut engine = house.engine().await;
        let state = topic(CAR, "state/conn");
        let dial = || house.dial(CAR).lasting().will(&state, "gone", 2);
        let mut car = dial().connect().await.expect("let in");
        car.publish(&state, true, "here").await;
        assert_eq!(engine.text().await, "here");
        car.vanish().await;
        // Back before the two seconds are over: nothing was said in between.
        let mut car = dial().connect().await.expect("let in");
        car.publish(&state, true, "back").await;
        assert_eq!(engine.text().await, "back");
        car.vanish().await;
        assert_eq!(engine.text().await, "gone");
        // Retained, so whoever comes later knows it too.
        let late = house.dial_engine().client_id("holdfast-engine-2").connect().await;
        let mut late = late.expect("let in");
        assert!(late.subscribe(&topic("+", "state/conn")).await);
        let told = late.message().await;
        assert!(told.retain);
        assert_eq!(&told.payload[..], b"gone");
    }

    a_vehicle_that_was_away_gets_what_is_still_good(house) {
        let mut engine = house.engine().await;
        let mut car = house.dial(CAR).lasting().connect().await.expect("let in");
        assert!(car.subscribe(&topic(CAR, "cmd/unlock")).await);
        car.vanish().await;
        let expiring = |secs| PublishProperties {
            message_expiry_interval: Some(secs),
            ..PublishProperties::default()
        };
        engine.publish_with(&topic(CAR, "cmd/unlock"), "stale", expiring(1)).await;
        engine.publish_with(&topic(CAR, "cmd/unlock"), "good", expiring(60)).await;
        // The broker's clock is its own: no test can move it.
        tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
        let mut car = house.dial(CAR).lasting().connect().await.expect("let in");
        assert!(car.session_present);
        assert_eq!(car.text().await, "good");
    }

    a_changed_password_ends_the_connection_that_had_the_old_one(house) {
        let mut car = house.vehicle(CAR).await;
        house.rotate(CAR, "new").await;
        car.down().await;
        assert!(house.dial(CAR).connect().await.is_err());
        assert!(Dial::new(house.vehicles(), CAR, "new").connect().await.is_ok());
    }
}
