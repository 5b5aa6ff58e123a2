//! Races of commands and answers.

use std::time::Duration;

use holdfast_domain::vehicle::Answer::Unlocked;
use holdfast_domain::vehicle::CommandKind;
use holdfast_engine::ports::{Clock as _, Sent, VehicleLink as _};
use holdfast_schemas::mqtt::{Answer, Command, CommandRef, Connection, Status, Topic, Word};
use rumqttc::v5::mqttbytes::QoS;

use super::world::{Told, World, car, handed, key, soon};
use crate::link::Protections;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_out_as_the_contract_says_and_its_answer_comes_back() {
    let mut world = World::new();
    let running = world.link().await;
    let vehicles = world.vehicles(1, |_| {}).await;
    let mut onlooker = world.onlooker("hf/v1/v/car-1/cmd/#").await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;

    let publish = onlooker.hears().await;
    assert_eq!(publish.topic, "hf/v1/v/car-1/cmd/unlock");
    assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, false));
    let command = Command::read(&publish.payload).unwrap();
    assert!(key(&car(1)).signs_command(&command));
    assert_eq!((command.cmd, command.command_id.id()), (Word::Unlock, call.command_id));
    assert_eq!(command.exp, call.exp.micros() / 1_000_000);
    let properties = publish.properties.unwrap();
    assert!(matches!(properties.message_expiry_interval, Some(1..=20)), "{properties:?}");
    assert_eq!(properties.response_topic.as_deref(), Some("hf/v1/v/car-1/rsp/unlock"));
    assert_eq!(properties.correlation_data.unwrap(), call.command_id.to_string());

    // S1-07
    let answer = world.desk.answer(call.command_id).await;
    assert_eq!((answer.kind, answer.answer), (CommandKind::Unlock, Unlocked));
    assert_eq!((answer.odometer_m, answer.fuel_pct), (Some(12_345_678), Some(82)));
    soon(|| running.link.health().commands_out == 0).await;
    let view = vehicles.view(&car(1)).unwrap();
    assert_eq!((view.locked, view.acts.len()), (false, 1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unlock_dup_a_command_that_goes_out_twice_is_acted_on_once() {
    let mut world = World::new();
    let running = world.link().await;
    let vehicles = world.vehicles(1, |_| {}).await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    world.desk.answer(call.command_id).await;
    handed(&running, &call).await;
    soon(|| world.desk.answers().len() >= 2).await;
    let view = vehicles.view(&car(1)).unwrap();
    assert_eq!(view.acts.len(), 1);
    assert!(view.repeats >= 1);
}

/// Fault 38: the broker is down at the command, and back before its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_met_no_broker_goes_out_by_itself_when_it_is_back() {
    let mut world = World::new();
    let running = world.link().await;
    let vehicles = world.vehicles(1, |_| {}).await;
    world.mosquitto.kill();
    soon(|| !running.link.health().connected).await;
    let call = world.unlock(&car(1));
    assert!(matches!(running.link.send(&call).await, Sent::NotConnected(_)));
    assert!(world.mosquitto.restart());
    assert_eq!(world.desk.answer(call.command_id).await.answer, Unlocked);
    assert_eq!(vehicles.view(&car(1)).unwrap().acts.len(), 1);
}

/// A broker that has acknowledged a command and dies before the vehicle has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_the_broker_has_lost_goes_out_again() {
    let mut world = World::new();
    let running = world.link().await;
    let vehicles = world.vehicles(1, |_| {}).await;
    // Away, so that the broker keeps what comes for it, in memory.
    vehicles.vanish(&car(1), Duration::from_millis(300)).await;
    let lost = |told: &Told| matches!(told, Told::Lost(..)).then_some(());
    world.desk.until(lost).await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    world.mosquitto.kill();
    soon(|| !running.link.health().connected).await;
    assert!(world.mosquitto.restart());
    assert_eq!(world.desk.answer(call.command_id).await.answer, Unlocked);
    assert_eq!(vehicles.view(&car(1)).unwrap().acts.len(), 1);
}

/// A command is not answered, its end comes, and then the connection is lost and back. How often it goes
/// out.
async fn goes_out(lasts: Duration, without: impl FnOnce(&mut Protections)) -> usize {
    let mut world = World::new();
    let running = world.link_without(without).await;
    let mut onlooker = world.onlooker("hf/v1/v/+/cmd/#").await;
    let call = world.call(&car(1), lasts);
    handed(&running, &call).await;
    world.clock.advance(Duration::from_secs(20));
    let connections = running.link.health().connections;
    world.usurp("holdfast-engine").await;
    soon(|| running.link.health().connections > connections).await;
    // What goes out again goes out before this.
    let last = world.unlock(&car(1));
    handed(&running, &last).await;
    let mut times = 0;
    loop {
        match Command::read(&onlooker.hears().await.payload).unwrap().command_id.id() {
            id if id == last.command_id => return times,
            id => times += usize::from(id == call.command_id),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_answered_goes_out_again_when_the_connection_is_back() {
    assert_eq!(goes_out(Duration::from_secs(60), |_| {}).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_out_after_its_end() {
    assert_eq!(goes_out(Duration::from_secs(20), |_| {}).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twin_without_ends_a_command_goes_out_when_its_customer_is_gone() {
    assert_eq!(goes_out(Duration::from_secs(20), |it| it.ends = false).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_its_end_is_not_even_tried() {
    let mut world = World::new();
    let running = world.link().await;
    let call = world.call(&car(1), Duration::from_secs(20));
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(running.link.send(&call).await, Sent::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_engine_could_not_record_waits_until_it_can() {
    let mut world = World::new();
    *world.desk.busy.lock().unwrap() = 3;
    let running = world.link().await;
    let _vehicles = world.vehicles(1, |_| {}).await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    world.desk.answer(call.command_id).await;
    assert_eq!(*world.desk.busy.lock().unwrap(), 0);
}

/// The engine dies after the vehicle has answered and before that is recorded (fault 43, other way round).
/// Whether the next one is told.
async fn is_told_after_a_crash(without: impl FnOnce(&mut Protections)) -> bool {
    let mut world = World::new();
    world.desk.hangs.send_replace(true);
    let running = world.link_without(without).await;
    let vehicles = world.vehicles(1, |_| {}).await;
    let mut onlooker = world.onlooker("hf/v1/v/car-1/rsp/#").await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    onlooker.hears().await;
    // It has come here, too: the command need not go out again.
    soon(|| running.link.health().commands_out == 0).await;
    running.crash().await;
    world.desk.hangs.send_replace(false);
    let running = world.link().await;
    // What the broker kept comes before what happens now.
    let next = world.unlock(&car(1));
    handed(&running, &next).await;
    world.desk.answer(next.command_id).await;
    assert_eq!(vehicles.view(&car(1)).unwrap().acts.len(), 2);
    world.desk.answers().iter().any(|answer| answer.command_id == call.command_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_came_while_the_engine_died_is_told_to_the_next_one() {
    assert!(is_told_after_a_crash(|_| {}).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn twin_acknowledged_at_once_an_answer_dies_with_the_engine() {
    assert!(!is_told_after_a_crash(|it| it.acknowledged_when_done = false).await);
}

/// The engine is away while the vehicle answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_came_while_the_engine_was_away_is_kept_by_the_broker() {
    let mut world = World::new();
    let running = world.link().await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    running.stop().await;
    let mut onlooker = world.onlooker("none").await;
    let command_id = CommandRef::from(call.command_id);
    let answer = Answer::signed(Status::Unlocked, command_id, None, 1, &key(&car(1)));
    onlooker.says(&Topic::Answer(Word::Unlock).of(&car(1)), false, answer.write()).await;
    let _running = world.link().await;
    let told = world.desk.answer(call.command_id).await;
    assert_eq!(told.device_time, world.clock.wall(), "it did not say, so it is when it came");
}

/// An old will, told after the new connection; whether the vehicle is then taken for lost.
async fn an_old_will(without: impl FnOnce(&mut Protections)) -> bool {
    let world = World::new();
    let _running = world.link_without(without).await;
    let mut onlooker = world.onlooker("none").await;
    let topic = Topic::Connection.of(&car(1));
    let said = |online, boot| Connection { online, boot: Some(boot), t: None }.write();
    onlooker.says(&topic, true, said(true, 7)).await;
    onlooker.says(&topic, true, said(false, 6)).await;
    onlooker.says(&topic, true, said(true, 8)).await;
    let next = |told: &Told| matches!(told, Told::Connected(_, 8)).then_some(());
    world.desk.until(next).await;
    world.desk.all().contains(&Told::Lost(car(1), Some(6)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_will_of_a_connection_that_was_replaced_is_old_news() {
    assert!(!an_old_will(|_| {}).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn twin_without_boots_an_old_will_takes_a_connected_vehicle_away() {
    assert!(an_old_will(|it| it.boots = false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_that_vanishes_is_lost_by_its_will_and_back_in_a_later_boot() {
    let world = World::new();
    let _running = world.link().await;
    let vehicles = world.vehicles(1, |_| {}).await;
    let boot = world.desk.connected(&car(1)).await;
    vehicles.vanish(&car(1), Duration::from_millis(100)).await;
    let lost = |told: &Told| if let Told::Lost(_, lost) = told { Some(*lost) } else { None };
    assert_eq!(world.desk.until(lost).await, Some(boot));
    let back =
        |told: &Told| matches!(told, Told::Connected(_, later) if *later > boot).then_some(());
    world.desk.until(back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_names_no_boot_is_that_of_the_last_one() {
    let world = World::new();
    let _running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let topic = Topic::Connection.of(&car(1));
    onlooker.says(&topic, true, r#"{"online":true,"boot":7,"t":1795264826}"#).await;
    onlooker.says(&topic, true, r#"{"online":false}"#).await;
    let lost = |told: &Told| matches!(told, Told::Lost(_, Some(7))).then_some(());
    world.desk.until(lost).await;
}

/// Whoever starts learns how things stand from what is retained.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_starts_learns_who_is_connected() {
    let world = World::new();
    let mut onlooker = world.onlooker("none").await;
    for number in 1..=50 {
        let topic = Topic::Connection.of(&car(number));
        let online = Connection { online: number % 2 == 0, boot: Some(3), t: None };
        onlooker.says(&topic, true, online.write()).await;
    }
    let _running = world.link().await;
    for number in 1..=50 {
        let expected = match number % 2 {
            0 => Told::Connected(car(number), 3),
            _ => Told::Lost(car(number), Some(3)),
        };
        world.desk.until(|told| (*told == expected).then_some(())).await;
    }
}

/// Fault 44: a connection that flaps ends as it is, without a fact for each of its changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_flaps_is_told_as_it_ends() {
    let world = World::new();
    let running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let topic = Topic::Connection.of(&car(1));
    for boot in 1..=100 {
        for online in [true, false] {
            onlooker
                .says(&topic, true, Connection { online, boot: Some(boot), t: None }.write())
                .await;
        }
    }
    onlooker
        .says(&topic, true, Connection { online: true, boot: Some(101), t: None }.write())
        .await;
    soon(|| running.link.health().refused == 181).await;
    assert_eq!(world.desk.all().len(), 20);
    soon(|| world.clock.next_wake().is_some()).await;
    world.clock.advance(Duration::from_secs(10));
    let ends = |told: &Told| matches!(told, Told::Connected(_, 101)).then_some(());
    world.desk.until(ends).await;
    assert_eq!(world.desk.all().len(), 21);
}
