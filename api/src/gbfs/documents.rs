//! The five documents: what stands in `data` of each. Rows in, JSON out; no clock, no headers.
//!
//! Four are GBFS 3.0. `vehicle_availability` is of 3.1 (release candidate 3), since 3.0 has no such
//! document; 3.1 is a superset, but 3.0's discovery document may not name it, so ours does not.

use holdfast_domain::Timestamp;
use holdfast_projections::{ItemRow, VehicleRow};
use serde_json::{Map, Value, json};

use super::free::{Free, Window};
use super::identity::public_id;
use super::settings::{FormFactor, GbfsConfig};

/// One document of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Document {
    Discovery,
    SystemInformation,
    VehicleTypes,
    VehicleStatus,
    VehicleAvailability,
}

impl Document {
    /// Its name in the feed, and its file's.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Discovery => "gbfs",
            Self::SystemInformation => "system_information",
            Self::VehicleTypes => "vehicle_types",
            Self::VehicleStatus => "vehicle_status",
            Self::VehicleAvailability => "vehicle_availability",
        }
    }

    /// Which GBFS it is written in.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Discovery
            | Self::SystemInformation
            | Self::VehicleTypes
            | Self::VehicleStatus => "3.0",
            Self::VehicleAvailability => "3.1-RC3",
        }
    }

    /// For how many seconds readers may keep it.
    pub(super) fn ttl(self) -> u32 {
        match self {
            Self::Discovery | Self::SystemInformation | Self::VehicleTypes => 300,
            Self::VehicleStatus | Self::VehicleAvailability => 10,
        }
    }
}

/// The envelope of all documents.
pub(super) fn envelope(document: Document, last_updated: Timestamp, data: &Value) -> Value {
    json!({
        "last_updated": moment(last_updated),
        "ttl": document.ttl(),
        "version": document.version(),
        "data": data,
    })
}

/// `gbfs.json`: where the others are.
pub(super) fn discovery(base: &str) -> Value {
    let listed = [
        Document::Discovery,
        Document::SystemInformation,
        Document::VehicleTypes,
        Document::VehicleStatus,
    ];
    let feeds = listed.map(|document| {
        let name = document.name();
        json!({"name": name, "url": format!("{base}/gbfs/3/{name}.json")})
    });
    json!({ "feeds": feeds })
}

/// `system_information.json`: whose feed it is.
pub(super) fn system_information(config: &GbfsConfig) -> Value {
    let mut data = json!({
        "system_id": config.system_id,
        "languages": [config.language],
        "name": local(config, &config.name),
        "opening_hours": config.opening_hours,
        "feed_contact_email": config.feed_contact_email,
        "timezone": config.timezone,
    });
    if let Some(operator) = &config.operator {
        data["operator"] = local(config, operator);
    }
    if let Some(url) = &config.public_url {
        data["url"] = url.as_str().into();
    }
    data
}

/// `vehicle_types.json`: the vehicle classes of the catalogue.
pub(super) fn vehicle_types(config: &GbfsConfig, classes: &[ItemRow]) -> Value {
    let types = classes.iter().map(|class| {
        let category = class.description.category.as_deref();
        let form = category.and_then(FormFactor::named).unwrap_or(config.form_factor);
        let mut kind = json!({
            "vehicle_type_id": class.sku,
            "form_factor": form.name(),
            "propulsion_type": config.propulsion.name(),
            "name": local(config, &class.description.name),
            "return_constraint": "free_floating",
        });
        if config.propulsion.has_a_range() {
            kind["max_range_meters"] = config.max_range_m.into();
        }
        kind
    });
    json!({ "vehicle_types": types.collect::<Vec<_>>() })
}

/// `vehicle_status.json`: what can be rented now.
pub(super) fn vehicle_status(config: &GbfsConfig, all: &[Free], now: Timestamp) -> Value {
    let vehicles = all.iter().filter_map(|free| Some((free, free.now(now)?)));
    let vehicles = vehicles.map(|(Free { vehicle, .. }, window)| {
        let mut it = Map::new();
        it.insert("vehicle_id".into(), shown_id(config, vehicle));
        it.insert("vehicle_type_id".into(), vehicle.sku.as_str().into());
        it.insert("is_reserved".into(), false.into());
        it.insert("is_disabled".into(), false.into());
        match vehicle.location {
            Some(location) => {
                it.insert("lat".into(), location.latitude.into());
                it.insert("lon".into(), location.longitude.into());
            }
            // It stands where the fleet stands: one of the two must be told.
            None => {
                it.insert("station_id".into(), station(config));
            }
        }
        if let Some(at) = vehicle.last_seen {
            it.insert("last_reported".into(), moment(at).into());
        }
        if config.propulsion.has_a_range()
            && let Some(percent) = vehicle.fuel_pct
        {
            // Percent in Holdfast, a share from 0 to 1 in GBFS.
            let percent = u32::from(percent.min(100));
            let range = u64::from(config.max_range_m) * u64::from(percent) / 100;
            it.insert("current_fuel_percent".into(), (f64::from(percent) / 100.0).into());
            it.insert("current_range_meters".into(), range.into());
        }
        if let Some(until) = window.until {
            it.insert("available_until".into(), moment(until).into());
        }
        Value::Object(it)
    });
    json!({ "vehicles": vehicles.collect::<Vec<_>>() })
}

/// `vehicle_availability.json`: when it can be rented, now and ahead of time.
pub(super) fn vehicle_availability(config: &GbfsConfig, all: &[Free], now: Timestamp) -> Value {
    // What is free already has been so since the minute that has begun, so that the document does not
    // become another one every second.
    let minute = Timestamp::from_secs(now.micros().div_euclid(60_000_000) * 60);
    let slot = |window: &Window| {
        let from = if window.from <= now { minute } else { window.from };
        let mut slot = json!({"from": moment(from)});
        if let Some(until) = window.until {
            slot["until"] = moment(until).into();
        }
        slot
    };
    let vehicles = all.iter().map(|free| {
        json!({
            "vehicle_id": shown_id(config, &free.vehicle),
            "vehicle_type_id": free.vehicle.sku,
            "station_id": station(config),
            "availabilities": free.windows.iter().map(slot).collect::<Vec<_>>(),
        })
    });
    json!({ "vehicles": vehicles.collect::<Vec<_>>() })
}

fn shown_id(config: &GbfsConfig, vehicle: &VehicleRow) -> Value {
    public_id(&config.secret, &vehicle.id, vehicle.trips).to_string().into()
}

/// Holdfast knows no stations; where GBFS wants one, the fleet as a whole is it.
fn station(config: &GbfsConfig) -> Value {
    format!("{}-fleet", config.system_id).into()
}

/// A text in the feed's language.
fn local(config: &GbfsConfig, text: &str) -> Value {
    json!([{"text": text, "language": config.language}])
}

/// A moment, to the second: some of GBFS's fields take no fraction.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    format!("{}Z", whole.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_to_the_second() {
        assert_eq!(moment(Timestamp::from_micros(1_795_264_826_900_001)), "2026-11-21T12:40:26Z");
    }

    #[test]
    fn a_class_whose_category_says_so_is_a_bicycle_and_what_is_pedalled_has_no_range() {
        let config = GbfsConfig {
            propulsion: super::super::settings::Propulsion::Human,
            ..GbfsConfig::default()
        };
        let class = |category: Option<&str>| ItemRow {
            sku: "city".parse().expect("a sku"),
            description: holdfast_domain::item::Description {
                name: "City".into(),
                kind: holdfast_domain::item::Kind::VehicleClass,
                category: category.map(Into::into),
                price: holdfast_domain::Money::new(
                    100,
                    holdfast_domain::Currency::new("EUR").expect("a currency"),
                ),
                max_per_user: None,
                on_decline: Default::default(),
                late_payment: Default::default(),
                remote_unlock: true,
            },
            seat_map_id: None,
            position: holdfast_store::Position(1),
        };
        let types =
            vehicle_types(&config, &[class(Some("bicycle")), class(Some("vans")), class(None)]);
        let forms: Vec<_> = types["vehicle_types"]
            .as_array()
            .expect("types")
            .iter()
            .map(|kind| kind["form_factor"].as_str().expect("a form"))
            .collect();
        assert_eq!(forms, ["bicycle", "car", "car"]);
        assert_eq!(types["vehicle_types"][0].get("max_range_meters"), None);
    }
}
