//! The README's tour, executed as a reader would: every block of shell, in order, in one shell, against
//! a fresh demo server. What the README says must stay true.

use std::process::{Command, Stdio};

use crate::support::*;

/// The shell blocks between the markers.
fn blocks(readme: &str) -> Vec<String> {
    let begins = readme.find("<!-- tour").expect("the README marks where its tour begins");
    let ends = readme.find("<!-- /tour -->").expect("the README marks where its tour ends");
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in readme[begins..ends].lines() {
        match &mut block {
            None if line.trim() == "```sh" => block = Some(String::new()),
            None => {}
            Some(text) if line.trim() == "```" => {
                blocks.push(std::mem::take(text));
                block = None;
            }
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_the_readme_s_tour_works() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("there is a README");
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 5, "the tour has only {} steps", blocks.len());
    let house = House::start_with(&[("MQTT__LISTEN", "127.0.0.1:0")], &["--demo"]).await;
    // The reader's server is at the usual place; this one is not.
    let binary = binary();
    let mut script = String::from("set -euo pipefail\n");
    for (at, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '--- step {}' >&2\n", at + 1));
        script.push_str(
            &block
                .replace("http://127.0.0.1:8080", &house.url)
                .replace("ws://127.0.0.1:8080", &house.url.replace("http", "ws"))
                .replace("./target/release/holdfast", &binary.to_string_lossy()),
        );
    }
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOLDFAST__DATA_DIR", house.data())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the tour stopped:\n{err}\n{out}");
    for word in [
        "CONFIRMED",
        "HF1.",
        "SEATS_TAKEN",
        "PAYMENT_DECLINED",
        "reservation.confirmed",
        "SUCCESS",
        "IN_USE",
        "COMPLETED",
        "claim_status",
        "current_fuel_percent",
        "all is well",
    ] {
        assert!(out.contains(word), "the tour shows {word}:\n{out}");
    }
    judge_log(&house).await;
}
