//! What the feed says of the system that no event tells: its name, its time zone, what its vehicles are.

/// The secret from which public vehicle ids follow. Whoever knows it can follow a vehicle from trip to
/// trip; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedSecret([u8; 32]);

impl FeedSecret {
    /// A secret that the installation keeps, so that ids stay as they are over a restart.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// One that ends with the process: ids then rotate at a restart too, which harms nobody.
    pub fn of_this_process() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system has random numbers");
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for FeedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FeedSecret(…)")
    }
}

/// What a vehicle is, in the words of GBFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of GBFS say it")]
pub enum FormFactor {
    Bicycle,
    CargoBicycle,
    Car,
    Moped,
    ScooterStanding,
    ScooterSeated,
    Other,
}

impl FormFactor {
    /// All of them.
    pub const ALL: [FormFactor; 7] = [
        Self::Bicycle,
        Self::CargoBicycle,
        Self::Car,
        Self::Moped,
        Self::ScooterStanding,
        Self::ScooterSeated,
        Self::Other,
    ];

    /// As GBFS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bicycle => "bicycle",
            Self::CargoBicycle => "cargo_bicycle",
            Self::Car => "car",
            Self::Moped => "moped",
            Self::ScooterStanding => "scooter_standing",
            Self::ScooterSeated => "scooter_seated",
            Self::Other => "other",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// What moves a vehicle, in the words of GBFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of GBFS say it")]
pub enum Propulsion {
    Human,
    ElectricAssist,
    Electric,
    Combustion,
    CombustionDiesel,
    Hybrid,
    PlugInHybrid,
    HydrogenFuelCell,
}

impl Propulsion {
    /// All of them.
    pub const ALL: [Propulsion; 8] = [
        Self::Human,
        Self::ElectricAssist,
        Self::Electric,
        Self::Combustion,
        Self::CombustionDiesel,
        Self::Hybrid,
        Self::PlugInHybrid,
        Self::HydrogenFuelCell,
    ];

    /// As GBFS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::ElectricAssist => "electric_assist",
            Self::Electric => "electric",
            Self::Combustion => "combustion",
            Self::CombustionDiesel => "combustion_diesel",
            Self::Hybrid => "hybrid",
            Self::PlugInHybrid => "plug_in_hybrid",
            Self::HydrogenFuelCell => "hydrogen_fuel_cell",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether it has a tank or a battery, and so a range.
    pub fn has_a_range(self) -> bool {
        match self {
            Self::Human => false,
            Self::ElectricAssist
            | Self::Electric
            | Self::Combustion
            | Self::CombustionDiesel
            | Self::Hybrid
            | Self::PlugInHybrid
            | Self::HydrogenFuelCell => true,
        }
    }
}

/// The feed's settings. Defaults make a valid feed; a public one wants its own name and address.
#[derive(Clone, Debug)]
pub struct GbfsConfig {
    /// The system's id, unique in the world once the feed is published.
    pub system_id: String,
    /// What customers call it.
    pub name: String,
    /// The language of its texts, BCP 47.
    pub language: String,
    /// Who runs it, if that is to be told.
    pub operator: Option<String>,
    /// Where readers of the feed report trouble with it.
    pub feed_contact_email: String,
    /// Its time zone, as IANA names it.
    pub timezone: String,
    /// When it is open, as OpenStreetMap writes opening hours.
    pub opening_hours: String,
    /// Under which URL this server is reached from outside; that of the request itself when absent.
    pub public_url: Option<String>,
    /// What vehicles are, for classes whose category is none of GBFS's words for it.
    pub form_factor: FormFactor,
    /// What moves them.
    pub propulsion: Propulsion,
    /// How far one goes with a full tank or battery, in metres.
    pub max_range_m: u32,
    /// Vehicles with less fuel are not shown, in percent (V6).
    pub least_fuel_pct: u8,
    /// From which public vehicle ids follow.
    pub secret: FeedSecret,
}

impl Default for GbfsConfig {
    fn default() -> Self {
        Self {
            system_id: "holdfast".into(),
            name: "Holdfast".into(),
            language: "en".into(),
            operator: None,
            feed_contact_email: "gbfs@holdfast.invalid".into(),
            timezone: "UTC".into(),
            opening_hours: "24/7".into(),
            public_url: None,
            form_factor: FormFactor::Car,
            propulsion: Propulsion::Combustion,
            max_range_m: 500_000,
            least_fuel_pct: 15,
            secret: FeedSecret::of_this_process(),
        }
    }
}
