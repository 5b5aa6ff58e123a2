//! Bad input of every kind gets the right 4xx at once, and leaves no event.

use std::time::{Duration, Instant};

use holdfast_api::token::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Answer, World};

/// How fast bad input is refused. A machine that compiles beside the test is slower than a server.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Sends it a few times; the fastest must be at once, since a busy machine may stall any single one.
async fn refused(world: &World, make: impl Fn() -> reqwest::RequestBuilder, status: u16) -> Answer {
    let mut fastest = Duration::MAX;
    let mut last = None;
    for _ in 0..3 {
        let began = Instant::now();
        let answer = world.send(make()).await;
        fastest = fastest.min(began.elapsed());
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        last = Some(answer);
        if fastest < AT_ONCE {
            break;
        }
    }
    assert!(fastest < AT_ONCE, "took {fastest:?}: {last:?}");
    last.unwrap()
}

fn problem(answer: &Answer, code: &str) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["code"], code, "{body}");
    let kebab = code.to_lowercase().replace('_', "-");
    assert_eq!(body["type"], format!("/problems/{kebab}"));
    assert_eq!(body["status"], answer.status.as_u16());
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
    assert!(body["title"].is_string());
}

#[tokio::test]
async fn each_row_of_the_limits_is_refused_at_once_and_leaves_no_event() {
    let world = World::start().await.with_hall().await;
    let token = world.token("ada", Role::Customer);
    let before = world.head();
    let post = |path: &str| {
        world.request(Method::POST, path).bearer_auth(&token).header("idempotency-key", "k")
    };
    let lock = |body: String| {
        post("/api/v1/seats/lock").header("content-type", "application/json").body(body)
    };

    // Bodies.
    let answer = refused(&world, || lock("x".repeat((1 << 20) + 1)), 413).await;
    problem(&answer, "TOO_LARGE");
    let deep = format!("{{\"seatMapId\":{}1{}}}", "[".repeat(64), "]".repeat(64));
    for bad in [
        &*deep,
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"seatMapId\":NaN}",
        "{\"seatMapId\":1e400}",
        "{\"seatMapId\":\"\\ud800\"}",
        "{\"seatMapId\":1}",
        "{\"seatMapId\":\"hall\",\"unknown\":1}",
        "{\"seatMapId\":\"hall\",\"seatIds\":\"S-1-1\"}",
        "{\"seatMapId\":\"hall\"} trailing",
        "\u{feff}{}",
    ] {
        let answer = refused(&world, || lock(bad.into()), 400).await;
        problem(&answer, "MALFORMED");
    }
    let form = || post("/api/v1/seats/lock").form(&[("seatMapId", "hall")]);
    problem(&refused(&world, form, 415).await, "UNSUPPORTED_MEDIA_TYPE");
    let text = || {
        post("/api/v1/seats/lock")
            .header("content-type", "text/plain")
            .body("{\"seatMapId\":\"hall\"}")
    };
    problem(&refused(&world, text, 415).await, "UNSUPPORTED_MEDIA_TYPE");

    // Keys.
    let keyless = || {
        world
            .request(Method::POST, "/api/v1/seats/lock")
            .bearer_auth(&token)
            .json(&json!({"seatMapId": "hall", "seatIds": ["S-1-1"]}))
    };
    problem(&refused(&world, keyless, 400).await, "IDEMPOTENCY_KEY_MISSING");
    let long = || keyless().header("idempotency-key", "k".repeat(256));
    problem(&refused(&world, long, 400).await, "MALFORMED");

    // Readable, and impossible.
    let many: Vec<String> = (1..=51).map(|n| format!("S-1-{n}")).collect();
    for (body, status, code) in [
        (json!({"seatMapId": "hall"}), 422, "INVALID_INPUT"),
        (json!({"seatMapId": "hall", "seatIds": []}), 422, "INVALID_INPUT"),
        (json!({"seatMapId": "hall", "seatIds": many}), 422, "INVALID_INPUT"),
        (json!({"seatMapId": "hall", "autoAssign": {"quantity": 0}}), 422, "INVALID_INPUT"),
        (json!({"seatMapId": "hall", "seatIds": ["no seat"]}), 404, "NOT_FOUND"),
        (json!({"seatMapId": "hall", "seatIds": ["S-99-99"]}), 404, "NOT_FOUND"),
        (json!({"seatMapId": "nowhere", "seatIds": ["S-1-1"]}), 404, "NOT_FOUND"),
        (json!({"seatMapId": "\u{202e}llah", "seatIds": ["S-1-1"]}), 404, "NOT_FOUND"),
        (json!({"seatMapId": "x".repeat(100_000), "seatIds": ["S-1-1"]}), 404, "NOT_FOUND"),
    ] {
        let answer = refused(&world, || lock(body.to_string()), status).await;
        problem(&answer, code);
    }
    for body in [
        json!({}),
        json!({"ticket_id": "hall-ticket"}),
        json!({"ticket_id": "hall-ticket", "qty": 0}),
        json!({"ticket_id": "hall-ticket", "qty": -1}),
        json!({"ticket_id": "hall-ticket", "qty": 99_999_999_999u64}),
        json!({"ticket_id": "hall-ticket", "qty": 2, "seat_ids": ["S-1-1"]}),
    ] {
        problem(&refused(&world, || post("/orders").json(&body), 422).await, "INVALID_INPUT");
    }
    let body = json!({"ticket_id": "hall-ticket", "qty": 1.5});
    let answer = refused(&world, || post("/orders").json(&body), 400).await;
    problem(&answer, "MALFORMED");
    assert_eq!(answer.position(), before.0, "a refusal is true of the log as it stands");

    // Paths, methods, queries.
    problem(&refused(&world, || world.request(Method::GET, "/nowhere"), 404).await, "NOT_FOUND");
    problem(
        &refused(&world, || world.request(Method::PUT, "/orders"), 405).await,
        "METHOD_NOT_ALLOWED",
    );
    let stale = || world.request(Method::GET, "/inventory/hall-ticket?min_position=x");
    problem(&refused(&world, stale, 400).await, "MALFORMED");
    assert_eq!(world.head(), before, "nothing was recorded");
}

#[tokio::test]
async fn each_graphql_limit_is_refused_at_once_and_leaves_no_event() {
    let world = World::start().await.with_hall().await;
    let token = world.token("ada", Role::Admin);
    let before = world.head();
    let send =
        |body: Value| world.request(Method::POST, "/graphql").bearer_auth(&token).json(&body);
    let query = |query: String| send(json!({"query": query}));
    let coded = |answer: &Answer| {
        answer.json()["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    };

    let nested =
        format!("{}{}", "{ node(id: \"x\") { ... on Reservation ".repeat(13), "}".repeat(26));
    let fields = format!("{{ me {{ {} }} }}", "id ".repeat(1_001));
    let aliases =
        format!("{{ {} }}", (0..51).map(|n| format!("a{n}: me {{ id }} ")).collect::<String>());
    let directives = format!("{{ me {{ id {} }} }}", "@include(if: true) ".repeat(21));
    let long = format!("{{ me {{ id }} }} # {}", "x".repeat(16 << 10));
    let mut bomb = String::from("{ ...F0 } ");
    for n in 0..200 {
        bomb += &format!("fragment F{n} on Query {{ ...F{} ...F{} }} ", n + 1, n + 1);
    }
    bomb += "fragment F200 on Query { me { id } }";
    let cycle = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned();
    let dear =
        "{ a: seatMap(id: \"hall\") { seats { id } } b: seatMap(id: \"hall\") { seats { id } } }"
            .to_owned();
    for bad in [
        nested,
        fields,
        aliases,
        directives,
        long,
        bomb,
        cycle,
        dear,
        "{".into(),
        String::new(),
        "{ nothing }".into(),
        "{ me { id".into(),
        "{".repeat(10_000),
        "mutation { lockSeats { __typename } }".into(),
    ] {
        let answer = refused(&world, || query(bad.clone()), 400).await;
        assert_eq!(coded(&answer), "GRAPHQL_INVALID", "{bad}");
        assert!(!answer.text.contains("Did you mean"), "{answer:?}");
    }
    for first in ["0", "-1", "101"] {
        let answer = refused(
            &world,
            || query(format!("{{ items(first: {first}) {{ pageInfo {{ hasNextPage }} }} }}")),
            400,
        )
        .await;
        assert_eq!(coded(&answer), "INVALID_INPUT");
    }
    let answer = refused(
        &world,
        || query("{ items(after: \"junk\") { pageInfo { hasNextPage } } }".into()),
        400,
    )
    .await;
    assert_eq!(coded(&answer), "INVALID_INPUT");

    let one = json!({"query": "{ me { id } }"});
    let batch = |n: usize| send(Value::Array(vec![one.clone(); n]));
    assert_eq!(world.send(batch(10)).await.json().as_array().unwrap().len(), 10);
    refused(&world, || batch(11), 400).await;
    refused(&world, || batch(0), 400).await;
    refused(&world, || send(json!(1)), 400).await;
    refused(&world, || send(json!({"query": 1})), 400).await;
    refused(&world, || send(json!({"query": "{ me { id } }", "variables": [1]})), 400).await;

    // Two halls are too much for a batch as well.
    let hall = json!({"query": "{ seatMap(id: \"hall\") { seats { id } } }"});
    let answer = refused(&world, || send(json!([hall, one, hall])), 400).await;
    assert_eq!(coded(&answer), "GRAPHQL_INVALID");
    let fits = world.send(send(json!([hall, one]))).await.json();
    assert_eq!(fits[0]["data"]["seatMap"]["seats"].as_array().unwrap().len(), 20, "{fits}");

    // What a page of somebody else could send without asking.
    let form = || {
        world
            .request(Method::POST, "/graphql")
            .bearer_auth(&token)
            .form(&[("query", "{ me { id } }")])
    };
    refused(&world, form, 415).await;
    let text = || {
        world
            .request(Method::POST, "/graphql")
            .bearer_auth(&token)
            .header("content-type", "text/plain")
            .body("{\"query\":\"{ me { id } }\"}")
    };
    refused(&world, text, 415).await;
    let get = || world.request(Method::GET, "/graphql?query=mutation%7Bx%7D").bearer_auth(&token);
    refused(&world, get, 405).await;
    assert_eq!(world.head(), before, "nothing was recorded");

    // Introspection is allowed: GraphiQL asks for it.
    let schema = world.graphql(None, INTROSPECTION, json!({})).await;
    assert_eq!(schema["data"]["__schema"]["queryType"]["name"], "Query", "{schema}");
}

/// As GraphiQL asks.
const INTROSPECTION: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } \
    subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } } \
    fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description \
    args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } \
    interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } \
    possibleTypes { ...TypeRef } } fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue } \
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";

#[tokio::test]
async fn seats_are_shown_as_they_were_asked_for() {
    let world = World::start().await.with_hall().await;
    let query = "query Q($with: Boolean!) { seatMap(id: \"hall\") { name seats { __typename ...S \
        where: section price { currency } ... on Seat { price { m: __typename formatted } } } } } \
        fragment S on Seat { id status x label @skip(if: $with) price { amountMinor } }";
    let answer = world.graphql(None, query, json!({"with": true})).await;
    let seats = answer["data"]["seatMap"]["seats"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let rest = world.get("/seatmaps/hall", None).await.json();
    let rest = rest["seats"].as_array().unwrap();
    assert_eq!(seats.len(), rest.len());
    for (seat, rest) in seats.iter().zip(rest) {
        assert_eq!(
            *seat,
            json!({
                "__typename": "Seat", "id": rest["id"], "status": "FREE", "x": rest["x"],
                "where": rest["section"],
                "price": {"amountMinor": "4500", "currency": "EUR", "m": "Money",
                    "formatted": seat["price"]["formatted"]},
            })
        );
    }
}

#[tokio::test]
async fn graphiql_is_served_to_browsers() {
    let world = World::start().await;
    let answer =
        world.send(world.request(Method::GET, "/graphql").header("accept", "text/html,*/*")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("/graphql/ws"));
    let page = world.get("/", None).await;
    assert!(page.text.contains("/ws/seats/"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}

/// Opens a connection by hand.
async fn raw(world: &World, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes until the server closes, within a bound.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    // A reset is a close too.
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect("it is closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn heads_that_do_not_come_to_an_end_are_closed() {
    let world = World::tuned(|config, _| {
        config.limits.header_read = Duration::from_millis(300);
        config.limits.body_read = Duration::from_millis(300);
    })
    .await;
    let began = Instant::now();
    for start in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: ",
        "PRI * HTTP/2.0\r\n",
        "PRI",
    ] {
        let text = until_closed(raw(&world, start).await).await;
        assert!(!text.contains("200"), "{start:?}: {text}");
    }
    // A body that drips.
    let head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let text = until_closed(raw(&world, head).await).await;
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    // And a connection that has had its answer and says no more.
    let text =
        until_closed(raw(&world, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn large_heads_are_refused() {
    let world = World::start().await;
    let head =
        format!("GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(40 << 10));
    let text = until_closed(raw(&world, &head).await).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn many_slow_clients_keep_nobody_waiting() {
    let world = World::start().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        slow.push(raw(&world, "GET / HTTP/1.1\r\nHost:").await);
    }
    assert_eq!(world.get("/health/live", None).await.status, StatusCode::OK);
    drop(slow);
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_closes_the_rest() {
    let world = World::start().await;
    let idle = raw(&world, "").await;
    let half = raw(&world, "GET /health/live HTTP/1.1\r\nHost: x\r\n").await;
    assert_eq!(world.get("/health/live", None).await.status, StatusCode::OK);
    world.stop();
    until_closed(idle).await;
    drop(half);
    let refused = async {
        while TcpStream::connect(world.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), refused).await.expect("nobody listens any more");
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let world = World::start().await;
    // The preface, and an empty SETTINGS frame; the server begins with its own.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let mut stream = raw(&world, preface).await;
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame");
}

#[tokio::test]
async fn rates_are_kept_when_they_are_set() {
    let world =
        World::tuned(|config, _| config.limits.holds_per_minute = 2).await.with_hall().await;
    let token = world.token("ada", Role::Customer);
    let seats = world.seats("hall").await;
    for (n, seat) in seats.iter().take(3).enumerate() {
        let body = json!({"seatMapId": "hall", "seatIds": [seat]});
        let answer = world.post("/api/v1/seats/lock", &token, &format!("k{n}"), body).await;
        if n < 2 {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        } else {
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
            assert!(answer.header("retry-after").is_some());
        }
    }
}

#[tokio::test]
async fn every_problem_type_has_a_page() {
    let world = World::start().await;
    for code in holdfast_api::ProblemCode::ALL {
        let page = world.get(&format!("/problems/{}", code.kebab()), None).await;
        assert_eq!(page.status, StatusCode::OK, "{code:?}");
        assert!(page.text.contains(code.name()));
    }
    assert_eq!(world.get("/problems/none", None).await.status, StatusCode::NOT_FOUND);
}
