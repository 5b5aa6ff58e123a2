//! Who may do what: every role tries every field and every path; nobody sees what is another's.

use std::collections::BTreeMap;
use std::time::Duration;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use holdfast_api::token::{self, Role, TokenKey};
use holdfast_api::{AccessRule, FIELDS};
use holdfast_domain::UserId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sockets::Talk;
use crate::world::{SEED, World, bearing};

/// Nobody, and one of each role.
fn callers(world: &World) -> Vec<(Option<Role>, Option<String>)> {
    let known = Role::ALL.map(|role| (Some(role), Some(world.token(role.name(), role))));
    std::iter::once((None, None)).chain(known).collect()
}

#[derive(Debug, PartialEq)]
enum Judged {
    Passed,
    AskedForToken,
    Forbidden,
}

fn expected(role: Option<Role>, rule: AccessRule) -> Judged {
    match (rule, role) {
        (AccessRule::Anyone, _) | (AccessRule::SignedIn, Some(_)) => Judged::Passed,
        (_, None) => Judged::AskedForToken,
        (AccessRule::OneOf(wanted), Some(role)) => {
            if wanted.iter().any(|permission| role.may(*permission)) {
                Judged::Passed
            } else {
                Judged::Forbidden
            }
        }
    }
}

/// Writes a document for a root field from the schema alone: a new field is tried without a new line here.
struct Author {
    types: BTreeMap<String, TypeDefinition>,
}

impl Author {
    fn new() -> Self {
        let document = parse_schema(holdfast_api::sdl()).unwrap();
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(kind) => Some((kind.node.name.node.to_string(), kind.node)),
            TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
        });
        Self { types: types.collect() }
    }

    fn document(&self, name: &str) -> String {
        let (root, field) = name.split_once('.').unwrap();
        let TypeKind::Object(object) = &self.types[root].kind else { panic!("{root}") };
        let found = object.fields.iter().find(|f| f.node.name.node == field).unwrap();
        let args: Vec<_> =
            found.node.arguments.iter().filter_map(|arg| self.argument(&arg.node)).collect();
        let args = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
        let operation = root.to_lowercase();
        let refused = "... on Refusal { code }";
        let selection = match base(&found.node.ty.node) {
            "Boolean" | "String" | "Int" | "ID" => String::new(),
            kind if matches!(self.types[kind].kind, TypeKind::Union(_)) => {
                format!("{{ __typename {refused} }}")
            }
            _ => "{ __typename }".into(),
        };
        format!("{operation} {{ {field}{args} {selection} }}")
    }

    fn argument(&self, arg: &InputValueDefinition) -> Option<String> {
        let kind = &arg.ty.node;
        (!kind.nullable).then(|| format!("{}: {}", arg.name.node, self.value(kind)))
    }

    fn value(&self, kind: &Type) -> String {
        let name = match &kind.base {
            BaseType::List(inner) => return format!("[{}]", self.value(inner)),
            BaseType::Named(name) => name.as_str(),
        };
        match name {
            "ID" | "String" => "\"x\"".into(),
            "Int" | "Float" => "1".into(),
            "Boolean" => "true".into(),
            "DateTime" => "\"2026-11-21T12:00:00Z\"".into(),
            "Position" => "\"1\"".into(),
            other => match &self.types[other].kind {
                TypeKind::Enum(values) => values.values[0].node.value.node.to_string(),
                TypeKind::InputObject(input) => {
                    let fields = input.fields.iter().filter_map(|field| self.argument(&field.node));
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
                }
                TypeKind::Scalar
                | TypeKind::Object(_)
                | TypeKind::Interface(_)
                | TypeKind::Union(_) => {
                    panic!("{other} is no input")
                }
            },
        }
    }
}

fn base(kind: &Type) -> &str {
    match &kind.base {
        BaseType::List(inner) => base(inner),
        BaseType::Named(name) => name.as_str(),
    }
}

/// What an answer of GraphQL says about permissions, be it an error or a refusal.
fn judged(answer: &Value, field: &str) -> Judged {
    let error = answer["errors"][0]["extensions"]["code"].as_str();
    let refused = answer["data"][field]["code"].as_str();
    match error.or(refused) {
        Some("UNAUTHENTICATED") => Judged::AskedForToken,
        Some("FORBIDDEN") => Judged::Forbidden,
        Some("INTERNAL" | "GRAPHQL_INVALID") => panic!("{field}: {answer}"),
        _ => Judged::Passed,
    }
}

#[tokio::test]
async fn every_role_tries_every_field() {
    let world = World::start().await;
    let author = Author::new();
    for (role, token) in callers(&world) {
        for (name, rule) in FIELDS.iter().filter(|(name, _)| !name.starts_with("Subscription")) {
            let answer = world.graphql(token.as_deref(), &author.document(name), json!({})).await;
            let field = name.split_once('.').unwrap().1;
            assert_eq!(judged(&answer, field), expected(role, *rule), "{role:?} {name}: {answer}");
            if name.starts_with("Mutation") && judged(&answer, field) == Judged::Forbidden {
                // The union holds Refused, so a missing permission is a value there.
                assert_eq!(answer["data"][field]["__typename"], "Refused", "{name}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn every_role_tries_every_subscription() {
    let world = World::start().await;
    let author = Author::new();
    for (role, token) in callers(&world) {
        for (name, rule) in FIELDS.iter().filter(|(name, _)| name.starts_with("Subscription")) {
            let mut talk = Talk::open(&world, token.as_deref()).await;
            talk.subscribe("1", &author.document(name)).await;
            // A refusal comes at once; what passes is silent, so something that answers comes behind it.
            talk.subscribe("2", "{ me { id } }").await;
            let mut answer = json!({});
            loop {
                let message = talk.next().await;
                match message["id"].as_str() {
                    Some("1") if message["type"] == "error" => {
                        answer = json!({"errors": message["payload"]})
                    }
                    Some("1") if message["type"] == "next" => answer = message["payload"].clone(),
                    Some("2") if message["type"] == "complete" => break,
                    _ => {}
                }
            }
            let expected = expected(role, *rule);
            assert_eq!(judged(&answer, name), expected, "{role:?} {name}: {answer}");
        }
    }
}

#[tokio::test]
async fn every_role_tries_every_path() {
    let world = World::start().await;
    let document = world.get("/openapi.json", None).await.json();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, told) in methods.as_object().unwrap() {
            let security = told["security"].as_array().expect("every path says who may");
            let open = security.contains(&json!({}));
            let wanted: Option<Vec<&str>> = told["x-permissions"]
                .as_array()
                .map(|list| list.iter().filter_map(Value::as_str).collect());
            for (role, token) in callers(&world) {
                let at = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
                let at = at.collect::<Vec<_>>().join("/");
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let request = world.request(method.clone(), &at).header("idempotency-key", "k");
                let request =
                    if method == Method::GET { request } else { request.json(&json!({})) };
                let answer = world.send(bearing(request, token.as_deref())).await;
                let expected = match (open, role, &wanted) {
                    (true, _, _) => None,
                    (false, None, _) => Some(401),
                    (false, Some(_), None) => None,
                    (false, Some(role), Some(wanted)) => {
                        let may = role.permissions().iter().any(|p| wanted.contains(&p.name()));
                        (!may).then_some(403)
                    }
                };
                let status = answer.status.as_u16();
                match expected {
                    Some(refused) => {
                        assert_eq!(status, refused, "{role:?} {method} {path}: {answer:?}");
                        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                    }
                    None => assert!(
                        !matches!(status, 401 | 403) && status < 500,
                        "{role:?} {method} {path}: {answer:?}"
                    ),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "the document tells of too few paths");
    assert_eq!(world.head().0, 0, "nothing was recorded");
}

#[tokio::test]
async fn anothers_things_answer_as_absent_ones() {
    let world = World::start().await.with_hall().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let seats = world.seats("hall").await;
    let lock = world
        .post("/api/v1/seats/lock", &ada, "l", json!({"seatMapId": "hall", "seatIds": [seats[0]]}))
        .await;
    let lock_id = lock.json()["lockId"].as_str().unwrap().to_owned();
    let order = world
        .post(
            "/orders",
            &ada,
            "o",
            json!({"ticket_id": "hall-ticket", "qty": 1, "seat_ids": [seats[1]]}),
        )
        .await;
    assert_eq!(order.status, StatusCode::CREATED, "{order:?}");
    let id = order.json()["order_id"].as_str().unwrap().to_owned();
    let paid = world
        .post("/payments", &ada, "p", json!({"order_id": id, "payment_method": "tok_approve"}))
        .await;
    assert_eq!(paid.status, StatusCode::OK, "{paid:?}");
    let payment = paid.json()["payment_id"].as_str().unwrap().to_owned();
    world.engine.quiet().await;
    world.settled().await;
    let ticket = world
        .graphql(
            Some(&ada),
            "query($id: ID!) { reservation(id: $id) { tickets { id } } }",
            json!({"id": id}),
        )
        .await;
    let ticket = ticket["data"]["reservation"]["tickets"][0]["id"].as_str().unwrap().to_owned();

    // Over REST: the same status, code and detail as of something that was never there.
    let absent_id = "00000000-0000-0000-0000-000000000001";
    let strip = |text: &str| {
        let mut body: Value = serde_json::from_str(text).unwrap();
        body["request_id"] = Value::Null;
        body
    };
    for (mine, absent) in [
        (format!("/reservations/{id}"), format!("/reservations/res_{absent_id}")),
        (format!("/payments/{payment}"), format!("/payments/pay_{absent_id}")),
    ] {
        assert_eq!(world.get(&mine, Some(&ada)).await.status, StatusCode::OK);
        let (his, none) =
            (world.get(&mine, Some(&bob)).await, world.get(&absent, Some(&bob)).await);
        assert_eq!(his.status, StatusCode::NOT_FOUND);
        assert_eq!((his.status, strip(&his.text)), (none.status, strip(&none.text)), "{mine}");
    }
    let bodies = json!({"payment_method": "tok_approve"});
    for (method, mine, absent, body) in [
        (
            Method::POST,
            format!("/orders/{id}/pay"),
            format!("/orders/res_{absent_id}/pay"),
            bodies.clone(),
        ),
        (
            Method::PATCH,
            format!("/orders/{id}/cancel"),
            format!("/orders/res_{absent_id}/cancel"),
            json!({}),
        ),
        (
            Method::POST,
            format!("/api/v1/bookings/{id}/pay"),
            format!("/api/v1/bookings/res_{absent_id}/pay"),
            bodies,
        ),
    ] {
        let his = world.rest(method.clone(), &mine, &bob, "k1", body.clone()).await;
        let none = world.rest(method, &absent, &bob, "k2", body).await;
        assert_eq!(his.status, StatusCode::NOT_FOUND, "{his:?}");
        assert_eq!(strip(&his.text)["code"], strip(&none.text)["code"], "{mine}");
        assert_eq!(strip(&his.text)["detail"], strip(&none.text)["detail"], "{mine}");
    }

    // Over GraphQL: null, and the same refusal.
    let query = "query($r: ID!, $p: ID!, $t: ID!) { reservation(id: $r) { id } payment(id: $p) { id } ticket(id: $t) { id } \
                 a: node(id: $r) { id } b: node(id: $p) { id } c: node(id: $t) { id } \
                 reservations { edges { node { id } } pageInfo { hasNextPage } } }";
    let ids = json!({"r": id, "p": payment, "t": ticket});
    let hers = world.graphql(Some(&ada), query, ids.clone()).await;
    for field in ["reservation", "payment", "ticket", "a", "b", "c"] {
        assert!(hers["data"][field]["id"].is_string(), "{field}: {hers}");
    }
    for stranger in [Some(bob.as_str()), Some(&world.token("eve", Role::Analyst))] {
        let his = world.graphql(stranger, query, ids.clone()).await;
        for field in ["reservation", "payment", "ticket", "a", "b", "c"] {
            assert!(his["data"][field].is_null(), "{field}: {his}");
        }
        assert_eq!(his["data"]["reservations"]["edges"], json!([]));
    }
    for reader in [Role::Operator, Role::Auditor, Role::Admin] {
        let token = world.token("someone", reader);
        let seen = world.graphql(Some(&token), query, ids.clone()).await;
        assert!(seen["data"]["reservation"]["id"].is_string(), "{reader:?}: {seen}");
    }
    let refused = "... on Refused { code message }";
    let cancelled = world
        .mutate(
            &bob,
            "cancelReservation",
            json!({"idempotencyKey": "k", "reservationId": id}),
            refused,
        )
        .await;
    assert_eq!(cancelled["code"], "NOT_FOUND", "{cancelled}");

    // Giving back another's lock says nothing and does nothing.
    let released = world
        .rest(Method::DELETE, &format!("/api/v1/seats/lock/{lock_id}"), &bob, "k", json!({}))
        .await;
    assert!(released.status.is_success() || released.status == StatusCode::NOT_FOUND);
    let again = world
        .post("/api/v1/seats/lock", &bob, "k9", json!({"seatMapId": "hall", "seatIds": [seats[0]]}))
        .await;
    assert_eq!(again.json()["code"], "SEATS_TAKEN", "{again:?}");
}

#[tokio::test]
async fn the_sandboxs_ledger_is_for_operators_and_auditors_and_a_panic_tells_nothing() {
    use axum::routing::get;
    async fn broken() -> &'static str {
        panic!("the secret is tomato")
    }
    let world = World::tuned(|config, _| {
        let pages = axum::Router::new()
            .route("/sandbox/ledger", get(|| async { "[]" }))
            .route("/sandbox/pay/x", get(|| async { "a page" }))
            .route("/sandbox/broken", get(broken));
        config.sandbox = Some(pages);
        config.cors_origins = vec!["https://shop.example".into()];
    })
    .await;
    for (role, token) in callers(&world) {
        let answer = world.get("/sandbox/ledger", token.as_deref()).await.status.as_u16();
        let expected = match role {
            None => 401,
            Some(Role::Customer | Role::Analyst) => 403,
            Some(Role::Operator | Role::Auditor | Role::Admin) => 200,
        };
        assert_eq!(answer, expected, "{role:?}");
        assert_eq!(world.get("/sandbox/pay/x", token.as_deref()).await.status, StatusCode::OK);
    }
    let broken = world.get("/sandbox/broken", None).await;
    assert_eq!((broken.status.as_u16(), &broken.json()["code"]), (500, &json!("INTERNAL")));
    assert!(!broken.text.contains("tomato"), "{broken:?}");
    // Pages of listed origins may call, others may not.
    for (origin, may) in [("https://shop.example", true), ("https://evil.example", false)] {
        for method in [Method::GET, Method::OPTIONS] {
            let request = world.request(method, "/health/live").header("origin", origin);
            let answer = world.send(request).await;
            assert_eq!(answer.header("access-control-allow-origin").is_some(), may, "{origin}");
        }
    }
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let world = World::start().await;
    let ada = UserId::new("ada").unwrap();
    let key = TokenKey::from_seed(&SEED);
    let short =
        token::issue(&key, &ada, Role::Customer, Duration::from_secs(2), world.engine.now());
    let mut talk = Talk::open(&world, Some(&short)).await;
    assert_eq!(talk.closed().await, 4403);
}

#[tokio::test]
async fn a_bad_token_is_refused_everywhere_and_makes_nobody_anonymous() {
    let world = World::start().await.with_hall().await;
    let key = TokenKey::from_seed(&SEED);
    let ada = UserId::new("ada").unwrap();
    let long_ago = world.engine.now().minus(Duration::from_secs(10_000));
    let expired = token::issue(&key, &ada, Role::Admin, Duration::from_secs(900), long_ago);
    let other = TokenKey::from_seed(&[1; 32]);
    let foreign =
        token::issue(&other, &ada, Role::Admin, Duration::from_secs(900), world.engine.now());
    let good = world.token("ada", Role::Customer);
    let (head, rest) = good.split_once('.').unwrap();
    let none = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"at+jwt"}"#);
    let unsigned = format!("{none}.{}.", rest.split('.').next().unwrap());
    for bad in [
        &expired,
        &foreign,
        &unsigned,
        "",
        "x",
        &format!("{head}.{head}.{head}"),
        &format!("{good}x"),
    ] {
        let answer = world.get("/inventory/hall-ticket", Some(bad)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert!(answer.header("www-authenticate").is_some());
        let query = json!({"query": "{ me { id } }"});
        let answer =
            world.send(world.request(Method::POST, "/graphql").bearer_auth(bad).json(&query)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let error = &answer.json()["errors"][0]["extensions"];
        assert_eq!(error["code"], "UNAUTHENTICATED");
        assert_eq!(error["requestId"].as_str(), answer.header("x-request-id"));
        assert_eq!(Talk::refused(&world, bad).await, 4403);
    }
    let basic = world.request(Method::GET, "/inventory/hall-ticket").basic_auth("a", Some("b"));
    assert_eq!(world.send(basic).await.status, StatusCode::UNAUTHORIZED);
}
