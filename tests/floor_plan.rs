//! The floor plan of DESIGN.md: a room may lean only on rooms below it.

use std::process::Command;

use serde_json::Value;

/// Which of our crates each may lean on.
const MAY_LEAN_ON: [(&str, &[&str]); 8] = [
    ("holdfast-domain", &[]),
    ("holdfast-store", &[]),
    ("holdfast-schemas", &["domain"]),
    ("holdfast-projections", &["domain", "schemas", "store"]),
    ("holdfast-engine", &["domain", "schemas", "store"]),
    ("holdfast-iot", &["engine", "schemas", "domain"]),
    ("holdfast-api", &["engine", "projections", "schemas", "domain", "store"]),
    ("holdfast", &["domain", "store", "schemas", "projections", "engine", "iot", "api"]),
];

/// Every step that one of our crates takes onto another one that it may not lean on.
fn forbidden(metadata: &Value) -> Vec<String> {
    let none = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&none);
    let mut found = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let allowed =
            MAY_LEAN_ON.iter().find(|(room, _)| *room == name).map(|(_, allowed)| allowed);
        for dependency in package["dependencies"].as_array().unwrap_or(&none) {
            let on = dependency["name"].as_str().unwrap_or_default();
            let Some(room) = on.strip_prefix("holdfast-").or((on == "holdfast").then_some(on))
            else {
                continue;
            };
            if !allowed.is_some_and(|allowed| allowed.contains(&room)) {
                found.push(format!("{name} may not lean on {on}"));
            }
        }
    }
    found
}

#[test]
fn every_room_leans_only_on_rooms_below_it() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let rooms = metadata["packages"].as_array().expect("packages").len();
    assert!(rooms >= 7, "only {rooms} packages were seen");
    assert_eq!(forbidden(&metadata), Vec::<String>::new());
}

#[test]
fn a_room_that_leans_upwards_or_sideways_is_told_by_name() {
    let metadata = serde_json::json!({ "packages": [
        { "name": "holdfast-store", "dependencies": [{ "name": "bytes" }, { "name": "holdfast-domain" }] },
        { "name": "holdfast-engine", "dependencies": [{ "name": "holdfast-projections" }] },
        { "name": "holdfast-attic", "dependencies": [{ "name": "holdfast-store" }] },
    ] });
    assert_eq!(
        forbidden(&metadata),
        [
            "holdfast-store may not lean on holdfast-domain",
            "holdfast-engine may not lean on holdfast-projections",
            "holdfast-attic may not lean on holdfast-store",
        ]
    );
}
