//! Bad input of every kind in the limits table: the right 4xx, quickly, and no event.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::*;

/// How long a refusal may take.
const QUICKLY: Duration = Duration::from_millis(200);

async fn raw(person: &Person, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    person.ask(Method::POST, path, &headers, Some(body.into())).await.expect("the door answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_gets_through() {
    let house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 2, seats: 30 }).await;
    let ada = house.customer("ada");
    // Warm up what is slow only once.
    ada.get("/seatmaps/hall").await.expect(200);
    let before = recorded(&house).await.len();
    let lock = "/api/v1/seats/lock";
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let seats = |seats: Value| json!({ "seatMapId": "hall", "seatIds": seats });
    let many: Vec<String> = (1..=51).map(|n| format!("A-{}-{}", n / 30 + 1, n % 30 + 1)).collect();

    let mut answers: Vec<(&str, &[u16], Answer)> = Vec::new();
    let bodies: Vec<(&str, &[u16], Vec<u8>)> = vec![
        ("no JSON", &[400], b"{".to_vec()),
        ("another type", &[400, 422], b"[]".to_vec()),
        ("too deep", &[400], format!("{{\"seatMapId\":{}}}", deep(65)).into_bytes()),
        ("much too deep", &[400], deep(100_000).into_bytes()),
        ("not a number", &[400, 422], b"{\"seatMapId\":\"hall\",\"seatIds\":[NaN]}".to_vec()),
        (
            "half a surrogate",
            &[400, 404, 422],
            br#"{"seatMapId":"hall","seatIds":["\ud800"]}"#.to_vec(),
        ),
        ("NUL", &[400, 404, 422], br#"{"seatMapId":"hall","seatIds":["A-1-1\u0000"]}"#.to_vec()),
        ("not UTF-8", &[400], b"{\"seatMapId\":\"\xff\",\"seatIds\":[]}".to_vec()),
        ("too large", &[413], vec![b' '; (1 << 20) + 1]),
    ];
    for (what, statuses, body) in bodies {
        answers.push((what, statuses, raw(&ada, lock, body).await));
    }
    let wishes: Vec<(&str, &[u16], Value)> = vec![
        ("no seats", &[422], seats(json!([]))),
        ("a seat twice", &[422], seats(json!(["A-1-1", "A-1-1"]))),
        ("51 seats", &[422], seats(json!(many))),
        ("no such seat", &[404, 422], seats(json!(["Z-9-9"]))),
        ("an odd seat", &[404, 422], seats(json!(["\u{202e}🎭"]))),
        ("a long seat", &[404, 422], seats(json!(["x".repeat(500_000)]))),
        ("no such map", &[404], json!({ "seatMapId": "attic", "seatIds": ["A-1-1"] })),
        (
            "a map with an odd name",
            &[404, 422],
            json!({ "seatMapId": "a/../b", "seatIds": ["A-1-1"] }),
        ),
    ];
    for (what, statuses, body) in wishes {
        answers.push((what, statuses, ada.post(lock, body).await));
    }
    let without_key = ada
        .ask(
            Method::POST,
            lock,
            &[("content-type", "application/json")],
            Some(seats(json!(["A-1-1"])).to_string().into_bytes()),
        )
        .await
        .expect("the door answers");
    answers.push(("no key", &[400], without_key));
    let long_key = "k".repeat(256);
    answers.push((
        "a long key",
        &[400, 422],
        ada.post_as(lock, &long_key, seats(json!(["A-1-1"]))).await,
    ));
    let stranger = house.stranger();
    answers.push(("no token", &[401, 403], stranger.post(lock, seats(json!(["A-1-1"]))).await));
    let mut forger = house.stranger();
    forger.token = Some("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".into());
    answers.push(("a forged token", &[401], forger.post(lock, seats(json!(["A-1-1"]))).await));
    answers.push(("no permission", &[403], ada.get("/events").await));
    answers.push(("no such path", &[404], ada.get("/nowhere").await));
    answers.push(("a bad id", &[404, 422], ada.get("/reservations/not-an-id").await));
    answers.push((
        "nothing to sell",
        &[404, 422],
        ada.post("/orders", json!({ "ticket_id": "nothing", "qty": 1 })).await,
    ));
    answers.push((
        "a negative quantity",
        &[400, 422],
        ada.post("/orders", json!({ "ticket_id": "x", "qty": -1 })).await,
    ));

    let huge = br#"{"ticket_id":"x","qty":1e400}"#.to_vec();
    answers.push(("a huge quantity", &[400, 422], raw(&ada, "/orders", huge).await));

    // GraphQL: 50 aliases, 20 directives, 16 KiB, batches of 10. (Depth and complexity are judged where
    // the schema is: api/.)
    let aliases: String = (0..51).map(|n| format!("a{n}: me {{ id }} ")).collect();
    let directives = "@include(if: true) ".repeat(21);
    let documents = [
        ("too many aliases", format!("{{ {aliases} }}")),
        ("too many directives", format!("{{ me {directives} {{ id }} }}")),
        ("too long a document", format!("{{ me {{ id }} }} # {}", "x".repeat(17_000))),
        ("no GraphQL", "{ me { id ".to_owned()),
        ("no such field", "{ weather }".to_owned()),
    ];
    for (what, query) in documents {
        let answer = ada.graphql(&query, json!({})).await;
        assert!(answer.status < 500, "{what}: {}", answer.text);
        let refused = answer.status >= 400 || answer.body["errors"].is_array();
        assert!(refused, "{what}: {}", answer.text);
        assert!(answer.took < QUICKLY, "{what} took {:?}", answer.took);
    }
    let batch: Vec<Value> = (0..11).map(|_| json!({ "query": "{ me { id } }" })).collect();
    let answer = raw(&ada, "/graphql", json!(batch).to_string()).await;
    assert!(
        (400..500).contains(&answer.status) || answer.text.contains("errors"),
        "{}",
        answer.text
    );

    for (what, statuses, answer) in &answers {
        assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
        assert!(answer.took < QUICKLY, "{what} took {:?}", answer.took);
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{what}: {}", answer.text);
        for field in ["type", "code", "request_id"] {
            assert!(answer.body[field].is_string(), "{what}: {field} in {}", answer.text);
        }
    }
    assert_eq!(recorded(&house).await.len(), before, "no event was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_headers_are_refused() {
    let house = House::start(&[]).await;
    let long = "x".repeat(20_000);
    let answer =
        house.stranger().ask(Method::GET, "/health/live", &[("x-long", &long)], None).await;
    match answer {
        Ok(answer) => assert!((400..500).contains(&answer.status), "{}", answer.status),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
    house.stranger().get("/health/live").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_head_in_drops_is_sent_away_and_bothers_nobody() {
    let house = House::start(&[]).await;
    let address = house.url.strip_prefix("http://").expect("a URL").to_owned();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut slow = std::net::TcpStream::connect(&address).expect("connected");
            slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-half").expect("half a head");
            slow
        })
        .collect();
    house.stranger().get("/health/live").await.expect(200);
    tokio::task::spawn_blocking(move || {
        for mut slow in slow {
            slow.set_read_timeout(Some(Duration::from_secs(14))).expect("a timeout");
            let mut end = Vec::new();
            // Closed, with or without a word; a timeout would be an error of another kind.
            match slow.read_to_end(&mut end) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
    })
    .await
    .expect("all are sent away");
}
