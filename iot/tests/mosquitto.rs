//! `iot/mosquitto/setup.sh`, judged by what the Mosquitto does that it sets up.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use support::client::{Client, Dial};
use support::house::topic;
use support::mosquitto::{Mosquitto, line};

const CAR: &str = "car-1";
const ENGINE: &str = "holdfast-engine";

fn broker() -> Option<Mosquitto> {
    let broker = Mosquitto::start()?;
    broker.admit(CAR, "secret");
    Some(broker)
}

async fn car(broker: &Mosquitto) -> Client {
    Dial::new(broker.vehicles(), CAR, "secret").connect().await.expect("let in")
}

async fn engine(broker: &Mosquitto) -> Client {
    let dial = Dial::new(broker.engine(), ENGINE, &broker.engine_password());
    dial.connect().await.expect("let in")
}

/// What is in one of its files.
fn file(broker: &Mosquitto, name: &str) -> Vec<u8> {
    std::fs::read(broker.path(name)).expect("it is there")
}

/// TLS that trusts this CA alone.
fn trusting(ca: &Path) -> Transport {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("PEM") {
        roots.add(certificate.expect("a certificate")).expect("a CA");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config)))
}

/// As `dial`, but by name: the certificate is for `localhost`.
fn by_name(broker: &Mosquitto, transport: Transport) -> Dial {
    let mut dial = Dial::new(broker.vehicles(), CAR, "secret").transport(transport);
    let mut options = rumqttc::v5::MqttOptions::new(CAR, "localhost", broker.tls_port());
    options.set_credentials(CAR, "secret").set_transport(dial.0.transport());
    options.set_outgoing_inflight_upper_limit(64);
    dial.0 = options;
    dial
}

#[tokio::test]
async fn a_vehicle_comes_over_tls_that_trusts_our_ca() {
    let Some(broker) = broker() else { return };
    let mut car = by_name(&broker, trusting(&broker.ca())).connect().await.expect("let in");
    assert!(car.subscribe(&topic(CAR, "cmd/unlock")).await);
    engine(&broker).await.publish(&topic(CAR, "cmd/unlock"), false, "open").await;
    assert_eq!(car.text().await, "open");
    // Without TLS that port says nothing, and another CA's certificate is none.
    let Some(other) = Mosquitto::start() else { return };
    assert!(by_name(&broker, trusting(&other.ca())).connect().await.is_err());
}

#[tokio::test]
async fn with_client_certificates_a_password_alone_is_not_enough() {
    let Some(broker) = Mosquitto::start_with(&["--client-certificates"]) else { return };
    broker.admit(CAR, "secret");
    assert!(by_name(&broker, trusting(&broker.ca())).connect().await.is_err());
    let (made, said) = broker.setup("client-certificate", &[CAR], "");
    assert!(made, "{said}");
    let read = |name: &str| file(&broker, &format!("clients/{CAR}.{name}"));
    let transport = {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(broker.ca()).expect("PEM") {
            roots.add(certificate.expect("a certificate")).expect("a CA");
        }
        let chain = vec![CertificateDer::from_pem_slice(&read("crt")).expect("PEM")];
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&read("key")).expect("PEM");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("they fit");
        Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config)))
    };
    assert!(by_name(&broker, transport).connect().await.is_ok());
}

#[tokio::test]
async fn no_vehicle_comes_in_by_the_engines_door() {
    let Some(broker) = broker() else { return };
    assert!(Dial::new(broker.engine(), CAR, "secret").connect().await.is_err());
    let wrong_door = Dial::new(broker.vehicles(), ENGINE, &broker.engine_password());
    assert!(wrong_door.connect().await.is_err());
}

#[tokio::test]
async fn sessions_and_connection_states_outlive_a_restart() {
    let Some(mut broker) = broker() else { return };
    let dial = || Dial::new(broker.vehicles(), CAR, "secret").lasting();
    let mut car = dial().connect().await.expect("let in");
    assert!(car.subscribe(&topic(CAR, "cmd/unlock")).await);
    car.publish(&topic(CAR, "state/conn"), true, "here").await;
    broker.stop();
    car.down().await;
    broker.start_again();
    let mut engine = engine(&broker).await;
    assert!(engine.subscribe(&topic("+", "state/conn")).await);
    assert_eq!(engine.text().await, "here");
    engine.publish(&topic(CAR, "cmd/unlock"), false, "open").await;
    let dial = Dial::new(broker.vehicles(), CAR, "secret").lasting();
    let mut car = dial.connect().await.expect("let in");
    assert!(car.session_present);
    assert_eq!(car.text().await, "open");
}

#[tokio::test]
async fn a_killed_broker_comes_back_on_the_same_ports() {
    let Some(mut broker) = broker() else { return };
    let mut first = car(&broker).await;
    broker.kill();
    first.down().await;
    assert!(Dial::new(broker.vehicles(), CAR, "secret").connect().await.is_err());
    broker.start_again();
    drop(car(&broker).await);
}

#[tokio::test]
async fn a_vehicle_that_is_removed_is_cut_and_not_let_in_again() {
    let Some(broker) = broker() else { return };
    broker.admit("car-10", "other");
    let mut car = car(&broker).await;
    broker.remove(CAR);
    car.down().await;
    assert!(Dial::new(broker.vehicles(), CAR, "secret").connect().await.is_err());
    // The name that begins alike stays.
    assert!(Dial::new(broker.vehicles(), "car-10", "other").connect().await.is_ok());
}

#[tokio::test]
async fn the_engine_is_given_another_password() {
    let Some(broker) = broker() else { return };
    let old = broker.engine_password();
    let mut engine = engine(&broker).await;
    let (done, said) = broker.setup("engine-password", &[], "");
    assert!(done, "{said}");
    engine.down().await;
    assert_ne!(broker.engine_password(), old);
    assert!(Dial::new(broker.engine(), ENGINE, &old).connect().await.is_err());
    assert!(broker.engine_url().ends_with(&format!("@{}", broker.engine())));
    let new = Dial::new(broker.engine(), ENGINE, &broker.engine_password());
    assert!(new.connect().await.is_ok());
}

#[test]
fn setting_up_again_keeps_what_is_there() {
    let Some(broker) = broker() else { return };
    let names = ["ca/ca.crt", "server.crt", "engine.passwd", "holdfast.toml", "vehicles.passwd"];
    let read = || names.map(|name| file(&broker, name));
    let before = read();
    let same = ["--name", "localhost", "--name", "127.0.0.1"];
    let (done, said) = broker.setup("init", &same, "");
    assert!(done, "{said}");
    for (name, (before, after)) in names.iter().zip(before.iter().zip(read())) {
        assert!(*before == after, "{name} is another");
    }
    // Another name is another certificate.
    let (done, said) = broker.setup("init", &["--name", "mqtt.example.org"], "");
    assert!(done, "{said}");
    assert!(before[1] != read()[1]);
}

#[test]
fn what_is_no_vehicles_credentials_changes_nothing() {
    let Some(broker) = broker() else { return };
    let before = file(&broker, "vehicles.passwd");
    for (input, word) in [
        ("", "nothing came in"),
        ("car-7 secret\n", "holdfast vehicle credentials"),
        ("{\"user\":\"car-7\"}\n", "nothing was changed"),
        (&line("holdfast-engine", "x"), "the engine's"),
        (&line("holdfast-engine-2", "x"), "the engine's"),
        (&line("car:7", "x"), "colon"),
        (&line("+", "x"), "cannot be a user"),
        (&format!("{}{}", line("car-7", "x"), line("#", "x")), "cannot be a user"),
    ] {
        let (done, said) = broker.setup("add-vehicle", &[], input);
        assert!(!done && said.contains(word), "{input:?}: {said}");
        assert_eq!(file(&broker, "vehicles.passwd"), before, "{input:?}");
    }
}

#[test]
fn no_secret_is_readable_by_others() {
    let Some(broker) = broker() else { return };
    assert!(broker.setup("client-certificate", &[CAR], "").0);
    let secrets = [
        "ca/ca.key",
        "server.key",
        "engine.passwd",
        "vehicles.passwd",
        "holdfast.toml",
        "clients/car-1.key",
    ];
    for name in secrets {
        let mode = std::fs::metadata(broker.path(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o007, 0, "{name}: {mode:o}");
    }
    for name in ["engine.passwd", "vehicles.passwd"] {
        let text = String::from_utf8(file(&broker, name)).expect("text");
        assert!(!text.contains("secret") && !text.contains(&broker.engine_password()), "{name}");
    }
    // Nothing that was on its way was left behind.
    let left = std::fs::read_dir(broker.path(".")).expect("it is there").filter_map(Result::ok);
    let left: Vec<_> = left.map(|file| file.file_name().into_string().expect("a name")).collect();
    assert!(
        !left.iter().any(|name| name.starts_with(".passing") || name.contains(".passwd.")),
        "{left:?}"
    );
}

#[test]
fn help_is_given_and_nonsense_is_refused() {
    let Some(broker) = Mosquitto::start() else { return };
    let (done, said) = broker.setup("--help", &[], "");
    assert!(done && said.contains("add-vehicle"), "{said}");
    for nonsense in [&["init", "--tls-prot", "1"][..], &["sing"], &["init", "--days", "many"]] {
        let (done, said) = broker.setup(nonsense[0], &nonsense[1..], "");
        assert!(!done && said.contains("usage:"), "{nonsense:?}: {said}");
    }
}
