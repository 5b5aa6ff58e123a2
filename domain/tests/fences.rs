//! The first purity fence: what `domain` may lean on. (The second is `clippy.toml` beside it.)

/// Crates that compute or describe. None of them reads a clock, a disk, a network or randomness with
/// the features that stand beside it in `Cargo.toml`. `serde_json` writes down what a snapshot keeps of
/// a stored event (`kept`); it only computes.
const ALLOWED: [&str; 9] = [
    "chrono",
    "data-encoding",
    "iso_currency",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "uuid",
];

/// The lines of one section of the manifest.
fn section(manifest: &'static str, name: &str) -> impl Iterator<Item = &'static str> {
    let heading = format!("[{name}]");
    let behind = manifest.lines().skip_while(move |line| line.trim() != heading).skip(1);
    let lines = behind.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

const MANIFEST: &str = include_str!("../Cargo.toml");

#[test]
fn the_rules_lean_on_nothing_that_acts() {
    let mut seen = 0;
    for line in section(MANIFEST, "dependencies") {
        let name = line.split(['=', '.', ' ']).next().expect("a name");
        assert!(
            ALLOWED.contains(&name),
            "holdfast-domain may not lean on {name}: rules are told everything they need. If it \
             only computes, add it to this list and say why in the review."
        );
        seen += 1;
    }
    assert!(seen > 0, "the manifest was not understood");
    let other = |line: &&str| line.starts_with('[') && line.contains("dependencies");
    let others: Vec<_> = MANIFEST.lines().filter(other).collect();
    assert_eq!(others, ["[dependencies]", "[dev-dependencies]"], "no other list, none by target");
}

#[test]
fn chrono_comes_without_its_clock_and_uuid_without_randomness() {
    for (name, forbidden) in
        [("chrono", &["clock", "now"][..]), ("uuid", &["v1", "v4", "v6", "v7", "rng"][..])]
    {
        let line = section(MANIFEST, "dependencies")
            .find(|line| line.starts_with(name))
            .expect("a dependency");
        assert!(line.contains("default-features = false"), "{name} must leave its defaults out");
        for feature in forbidden {
            assert!(!line.contains(&format!("\"{feature}\"")), "{name} must do without {feature}");
        }
    }
}
