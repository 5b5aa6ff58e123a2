//! The words on the wire and on disk: stored event names and versions, metadata, envelopes.
//!
//! Rust names may change with taste; what is written here may not. An event is stored as
//! `(kind, schema_version, JSON)`; this room knows which Rust value that is and back.

mod asyncapi;
mod cloudevents;
mod codec;
mod deadletter;
mod metadata;
pub mod mqtt;
mod names;
mod topics;
mod upcast;
mod variant;

pub use asyncapi::{asyncapi_document, asyncapi_schema_of};
pub use cloudevents::{CloudEvent, Stored, data_schema};
pub use codec::{AnyEvent, DecodeError, StoredEvent, decode_any};
pub use deadletter::DeadLetterEvent;
pub use metadata::{Actor, ActorKind, Metadata, MetadataRef, Origin};
pub use names::all_names;
pub use topics::{Alias, seed_topics};
