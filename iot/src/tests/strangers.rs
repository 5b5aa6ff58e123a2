//! Forged, foreign, retained, garbled: what vehicles do not say, said in their name.

use std::time::Duration;

use holdfast_engine::ports::Clock as _;
use holdfast_schemas::mqtt::{
    Answer, Command, CommandRef, Signals, Status, Telemetry, Topic, Word, path,
};

use super::world::{Told, World, car, handed, key, soon};
use crate::link::Protections;
use crate::simulator::Temper;

const UNLOCK: Topic = Topic::Answer(Word::Unlock);

/// Somebody answers for a vehicle that has not, with another's key; whether he is believed, and how often
/// it is recorded that he was not.
async fn spoofed(without: impl FnOnce(&mut Protections)) -> (usize, usize) {
    let mut world = World::new();
    let running = world.link_without(without).await;
    let mut onlooker = world.onlooker("hf/v1/v/car-1/cmd/#").await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    let command = Command::read(&onlooker.hears().await.payload).unwrap();
    let forged = Answer::signed(Status::Unlocked, command.command_id, None, 1, &key(&car(2)));
    onlooker.says(&UNLOCK.of(&car(1)), false, forged.write()).await;
    // The command's own mac does not serve either.
    let replayed = Answer { mac: command.mac, ..forged.clone() };
    onlooker.says(&UNLOCK.of(&car(1)), false, replayed.write()).await;
    let bare = Answer { mac: String::new(), ..forged };
    onlooker.says(&UNLOCK.of(&car(1)), false, bare.write()).await;
    soon(|| world.desk.answers().len() + world.desk.ignored() == 3).await;
    let health = running.link.health();
    assert_eq!(health.forged as usize, world.desk.ignored());
    assert_eq!(health.commands_out, usize::from(health.forged > 0), "it goes on asking");
    (world.desk.answers().len(), world.desk.ignored())
}

#[tokio::test(flavor = "multi_thread")]
async fn spoof_an_answer_without_the_vehicles_mac_is_recorded_and_not_believed() {
    assert_eq!(spoofed(|_| {}).await, (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn twin_without_macs_whoever_reaches_the_broker_says_that_it_is_open() {
    assert_eq!(spoofed(|it| it.mac = false).await, (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_says_whose_answer_it_is() {
    let world = World::new();
    let running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let id = CommandRef::from(uuid::Uuid::from_u128(1));
    let own = Answer::signed(Status::Unlocked, id, None, 1, &key(&car(1)));
    // Signed by car 1, said on car 2's topic.
    onlooker.says(&UNLOCK.of(&car(2)), false, own.write()).await;
    let ignored =
        |told: &Told| matches!(told, Told::Ignored(who, ..) if *who == car(2)).then_some(());
    world.desk.until(ignored).await;
    // UNLOCKED is no answer to a lock.
    onlooker.says(&Topic::Answer(Word::Lock).of(&car(1)), false, own.write()).await;
    onlooker.says(&UNLOCK.of(&car(1)), false, own.write()).await;
    world.desk.answer(id_of(&own)).await;
    assert_eq!(world.desk.answers().len(), 1);
    assert_eq!(running.link.health().refused, 1);
}

fn id_of(answer: &Answer) -> uuid::Uuid {
    answer.command_id.id()
}

/// A genuine answer is retained by somebody, and the engine starts again and again; how often it is told.
async fn retained(without: impl FnOnce(&mut Protections)) -> usize {
    let world = World::new();
    let mut onlooker = world.onlooker("none").await;
    let id = CommandRef::from(uuid::Uuid::from_u128(1));
    let answer = Answer::signed(Status::Unlocked, id, None, 1, &key(&car(1)));
    onlooker.says(&UNLOCK.of(&car(1)), true, answer.write()).await;
    let running = world.link_without(without).await;
    let marker = CommandRef::from(uuid::Uuid::from_u128(2));
    let fresh = Answer::signed(Status::Unlocked, marker.clone(), None, 2, &key(&car(1)));
    onlooker.says(&UNLOCK.of(&car(1)), false, fresh.write()).await;
    world.desk.answer(marker.id()).await;
    assert_eq!(running.link.health().retained as usize, 2 - world.desk.answers().len());
    world.desk.answers().len() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_answer_changes_nothing() {
    assert_eq!(retained(|_| {}).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn twin_retained_answers_come_again_at_every_start() {
    assert_eq!(retained(|it| it.retained = false).await, 1);
}

/// Also while the link is up: a message that is to be retained shows itself at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_to_be_retained_changes_nothing_from_the_start() {
    let world = World::new();
    let running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let id = CommandRef::from(uuid::Uuid::from_u128(1));
    let answer = Answer::signed(Status::Unlocked, id, None, 1, &key(&car(1)));
    onlooker.says(&UNLOCK.of(&car(1)), true, answer.write()).await;
    soon(|| running.link.health().retained == 1).await;
    assert_eq!(world.desk.answers(), []);
}

/// A retained forged command, and a forged one that is not: no vehicle moves.
#[tokio::test(flavor = "multi_thread")]
async fn a_retained_or_forged_command_moves_no_vehicle() {
    let world = World::new();
    let _running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let (id, now) = (uuid::Uuid::from_u128(9), world.clock.wall().micros() / 1_000_000);
    let topic = Topic::Command(Word::Unlock).of(&car(1));
    let signed = |signer: u32| {
        let key = key(&car(signer));
        Command::signed(Word::Unlock, id, None, 1, (now, now + 600), &key).write()
    };
    onlooker.says(&topic, true, signed(1)).await;
    let vehicles = world.vehicles(1, |_| {}).await;
    onlooker.says(&topic, false, signed(2)).await;
    onlooker.says(&topic, false, b"{\"cmd\":\"UNLOCK\"}".to_vec()).await;
    soon(|| vehicles.view(&car(1)).is_some_and(|view| view.forged == 2)).await;
    let view = vehicles.view(&car(1)).unwrap();
    assert_eq!((view.retained, view.acts.len(), view.locked), (1, 0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_any_size_is_refused_counted_and_nothing_of_it_is_told() {
    let mut world = World::new();
    let running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let megabyte = vec![b'['; 1 << 20];
    let mut said = 0;
    for topic in [UNLOCK, Topic::Answer(Word::Lock), Topic::Notice, Topic::Connection] {
        let topic = topic.of(&car(1));
        for payload in [
            megabyte.clone(),
            vec![0xff; 16 * 1024],
            b"".to_vec(),
            b"[".repeat(10_000),
            b"{\"seq\":NaN}".to_vec(),
            br#"{"online":"yes","status":1,"seq":-1,"event":7,"signals":[]}"#.to_vec(),
            b"\"\xc3\x28\"".to_vec(),
        ] {
            onlooker.says(&topic, false, payload).await;
            said += 1;
        }
    }
    let tel = Topic::Telemetry.of(&car(1));
    for payload in
        [megabyte, b"{".to_vec(), br#"{"seq":1,"signals":{"Vehicle.Speed":"x"}}"#.to_vec()]
    {
        onlooker.says(&tel, false, payload).await;
        said += 1;
    }
    soon(|| running.link.health().refused == said).await;
    assert_eq!(world.desk.all(), []);
    // And it still works, on the same connection.
    assert_eq!(running.link.health().connections, 1);
    let _vehicles = world.vehicles(1, |_| {}).await;
    let call = world.unlock(&car(1));
    handed(&running, &call).await;
    world.desk.answer(call.command_id).await;
}

/// Telemetry that nobody keeps up with does not hold up an answer, and drops its oldest.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_wait_behind_telemetry() {
    let mut world = World::new();
    let running = world.link().await;
    let vehicles = world.vehicles(1, |it| it.telemetry_every = Duration::from_secs(60)).await;
    let mut onlooker = world.onlooker("none").await;
    let tel = Topic::Telemetry.of(&car(2));
    for seq in 1..=3_000 {
        let signals = Signals::default().with(path::ODOMETER, seq * 1_000);
        let telemetry = Telemetry { t: None, seq, boot: Some(1), signals };
        onlooker.tosses(&tel, telemetry.write()).await;
        if seq == 1_500 {
            let call = world.unlock(&car(1));
            handed(&running, &call).await;
            world.desk.answer(call.command_id).await;
        }
    }
    assert_eq!(vehicles.view(&car(1)).unwrap().acts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_goes_raw_into_files_and_sampled_to_the_desk_but_not_a_strangers() {
    let world = World::new();
    let running = world.link().await;
    let mut onlooker = world.onlooker("none").await;
    let says = |seq: u64| {
        let signals = Signals::default()
            .with(path::ODOMETER, 12_345_678_u64)
            .with(path::FUEL, 82_u64)
            .with(path::LOCKED, true)
            .with(path::LATITUDE, 52.516)
            .with(path::LONGITUDE, 13.377);
        Telemetry { t: None, seq, boot: Some(1), signals }.write()
    };
    let stranger = holdfast_domain::VehicleId::new("stranger-1").unwrap();
    for seq in [1, 2, 4, 3] {
        onlooker.says(&Topic::Telemetry.of(&car(1)), false, says(seq)).await;
    }
    onlooker.says(&Topic::Telemetry.of(&stranger), false, says(1)).await;
    onlooker.says(&Topic::Notice.of(&car(1)), false, r#"{"event":"TAMPER","seq":1}"#).await;
    let sampled = |told: &Told| {
        let Told::Sampled(who, sample) = told else { return None };
        (*who == car(1)).then(|| sample.clone())
    };
    let sample = world.desk.until(sampled).await;
    assert_eq!((sample.boot, sample.seq), (1, 1));
    assert_eq!((sample.odometer_m, sample.fuel_pct), (Some(12_345_678), Some(82)));
    let place = (sample.latitude_udeg, sample.longitude_udeg);
    assert_eq!(place, (Some(52_516_000), Some(13_377_000)));
    let lines = || -> Vec<serde_json::Value> {
        let Ok(entries) = std::fs::read_dir(world.dir.path()) else { return Vec::new() };
        let text = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let text: String = text.collect();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    soon(|| lines().iter().any(|line| line["topic"] == "evt")).await;
    let of = |who: &str, topic: &str| {
        lines().iter().filter(|line| line["vehicle"] == who && line["topic"] == topic).count()
    };
    assert_eq!(of("car-1", "tel"), 4);
    let samples = world.desk.all().iter().filter(|told| sampled(told).is_some()).count();
    assert_eq!(samples, 1, "3 came late, 2 and 4 said nothing new");
    // Once the desk has refused a stranger nothing of him is written.
    let before = of("stranger-1", "tel");
    let refused = running.link.health().refused;
    onlooker.says(&Topic::Telemetry.of(&stranger), false, says(2)).await;
    soon(|| running.link.health().refused > refused).await;
    assert_eq!(of("stranger-1", "tel"), before);
}

/// Whatever vehicles do by their seeds: none acts twice on a command, none after its end, and every answer
/// that is told is to a command that went out.
#[tokio::test(flavor = "multi_thread")]
async fn unreliable_vehicles_and_a_broker_that_restarts() {
    let seeds = std::env::var("HOLDFAST_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(2);
    for seed in 1..=seeds {
        let mut world = World::new();
        let running = world.link().await;
        let mut temper = Temper::unreliable();
        temper.dawdle = Duration::from_millis(200);
        temper.away = Duration::from_millis(200);
        temper.vanishes = 50;
        let vehicles = world
            .vehicles(20, |it| {
                it.seed = seed;
                it.temper = temper;
            })
            .await;
        let mut out = Vec::new();
        for round in 0..5 {
            for number in 1..=20 {
                let call = world.unlock(&car(number));
                holdfast_engine::ports::VehicleLink::send(&running.link, &call).await;
                out.push(call);
            }
            if round == 2 {
                world.mosquitto.kill();
                assert!(world.mosquitto.restart());
            }
        }
        // As the process does that asks for them: each attempt until there is an answer.
        let answered =
            |world: &World, id| world.desk.answers().iter().any(|answer| answer.command_id == id);
        for _ in 0..200 {
            let mut open = 0;
            for call in &out {
                if !answered(&world, call.command_id) {
                    holdfast_engine::ports::VehicleLink::send(&running.link, call).await;
                    open += 1;
                }
            }
            if open == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for call in &out {
            assert!(answered(&world, call.command_id), "seed {seed}: no answer to {call:?}");
        }
        let ids: Vec<uuid::Uuid> = out.iter().map(|call| call.command_id).collect();
        for answer in world.desk.answers() {
            assert!(ids.contains(&answer.command_id), "seed {seed}: {answer:?}");
        }
        for number in 1..=20 {
            let mut acts = vehicles.view(&car(number)).unwrap().acts;
            let all = acts.len();
            acts.sort();
            acts.dedup();
            assert_eq!(acts.len(), all, "seed {seed}: car {number} acted twice on one command");
        }
        assert_eq!(world.desk.ignored(), 0, "seed {seed}");
    }
}
