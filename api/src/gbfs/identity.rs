//! Public vehicle ids: another one after each trip, so that nobody can follow a vehicle, and with it a
//! customer, from where a trip began to where it ended.
//!
//! `id = UUID of the first 128 bits of HMAC-SHA256(secret, "gbfs vehicle" ‖ vehicle id ‖ trips begun)`
//!
//! A MAC rather than a plain UUIDv5: who knows all vehicle ids (they stand in URLs) and the algorithm (it
//! stands here) still cannot tell which id belongs to which vehicle, nor compute the next one. It is made
//! here and not in the read models: those follow from the log alone, and have no secrets. It needs no
//! memory, and is the same after a restart and on every node that has the secret.

use hmac::{Hmac, KeyInit, Mac};
use holdfast_domain::VehicleId;
use sha2::Sha256;

use super::settings::FeedSecret;

/// Under which id a vehicle is shown between two trips.
pub(super) fn public_id(secret: &FeedSecret, vehicle: &VehicleId, trips: u64) -> uuid::Uuid {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("a key may have any length");
    // No vehicle id contains this byte, so that no two inputs read alike.
    for part in ["gbfs vehicle", vehicle.as_str(), &trips.to_string()] {
        mac.update(part.as_bytes());
        mac.update(&[0x1f]);
    }
    let tag = mac.finalize().into_bytes();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&tag[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_differ_by_vehicle_by_trip_and_by_secret_and_stay_the_same_otherwise() {
        let (one, other) = (FeedSecret::new([1; 32]), FeedSecret::new([2; 32]));
        let vehicle = |name: &str| VehicleId::new(name).unwrap();
        let mut seen = BTreeSet::new();
        for secret in [&one, &other] {
            for name in ["van-1", "van-11", "van"] {
                for trips in [0, 1, 11] {
                    let id = public_id(secret, &vehicle(name), trips);
                    assert_eq!(id, public_id(secret, &vehicle(name), trips));
                    assert!(seen.insert(id), "{name} after {trips} trips");
                    assert!(!id.to_string().contains(name));
                }
            }
        }
    }
}
