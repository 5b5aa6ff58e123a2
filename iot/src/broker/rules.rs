//! What is taken from those who may speak: nothing retained but a vehicle's connection state, and
//! nothing longer than anybody would read.
//!
//! A retained command would be given to the vehicle again at every connection, for ever; so it is not
//! retained and not delivered either, even when it comes from the engine's own user. The library has no
//! refusal at this place: what is not taken is acknowledged and dropped, counted and logged.

use std::future::{Future, ready};
use std::pin::Pin;

use holdfast_schemas::mqtt::{MAX_PAYLOAD_BYTES, Topic};
use mqtt5::broker::{
    BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientPublishEvent,
    PublishAction,
};

use super::fence;
use super::twin::{Twin, Twins};

pub(super) struct Rules {
    pub(super) twins: Twins,
}

impl Rules {
    /// Why a message is not taken, if it is not.
    fn offence(&self, event: &ClientPublishEvent) -> Option<&'static str> {
        let about = fence::parse(&event.topic).map(|(_, topic)| topic);
        if event.retain && about != Some(Topic::Connection) && !self.twins.lack(Twin::Retained) {
            return Some("retained");
        }
        if event.payload.len() > MAX_PAYLOAD_BYTES && !self.twins.lack(Twin::PayloadLength) {
            return Some("too long");
        }
        None
    }
}

impl BrokerEventHandler for Rules {
    fn on_client_connect<'a>(
        &'a self,
        _: ClientConnectEvent,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        metrics::gauge!("holdfast_mqtt_connections").increment(1.0);
        Box::pin(ready(()))
    }

    fn on_client_disconnect<'a>(
        &'a self,
        _: ClientDisconnectEvent,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        metrics::gauge!("holdfast_mqtt_connections").decrement(1.0);
        Box::pin(ready(()))
    }

    fn on_client_publish<'a>(
        &'a self,
        event: ClientPublishEvent,
    ) -> Pin<Box<dyn Future<Output = PublishAction> + Send + 'a>> {
        let action = match self.offence(&event) {
            None => PublishAction::Continue,
            Some(why) => {
                metrics::counter!("holdfast_mqtt_refused_total", "what" => why).increment(1);
                tracing::warn!(client_id = %event.client_id, topic = %event.topic, why, "MQTT: not taken");
                PublishAction::Handled
            }
        };
        Box::pin(ready(action))
    }
}
