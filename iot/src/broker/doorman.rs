//! Lets in whom [`VehicleAuth`] knows, under its own client id, and asks the fence about everything that
//! is said and subscribed to afterwards.
//!
//! ```text
//!   CONNECT without user or password ─────► 0x86 bad user name or password
//!           with a wrong one ─────────────► 0x86
//!           right, but another client id ─► 0x85 client id not valid: it would take over a session
//!           right ────────────────────────► no stranger any more
//! ```

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use mqtt5::broker::{AuthProvider, AuthResult};
use mqtt5::error::Result;
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;

use super::strangers::Strangers;
use super::twin::{Twin, Twins};
use super::{VehicleAuth, fence};

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(super) struct Doorman {
    pub(super) auth: Arc<dyn VehicleAuth>,
    pub(super) strangers: Arc<Strangers>,
    pub(super) twins: Twins,
}

impl Doorman {
    async fn judge(&self, connect: &ConnectPacket) -> AuthResult {
        let (Some(user), Some(password)) = (&connect.username, &connect.password) else {
            return AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        };
        let Some(principal) = self.auth.verify(user, password).await else {
            tracing::info!(user, "MQTT: unknown user or wrong password");
            return AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        };
        if principal.user() != user {
            tracing::error!(user, ?principal, "MQTT: the password is another's; nobody is let in");
            return AuthResult::fail(ReasonCode::NotAuthorized);
        }
        let own = principal.may_be(&connect.client_id);
        if !own && !self.twins.lack(Twin::OwnClientId) {
            tracing::warn!(user, client_id = connect.client_id, "MQTT: another's client id");
            return AuthResult::fail(ReasonCode::ClientIdentifierNotValid);
        }
        AuthResult::success_with_user(user)
    }
}

impl AuthProvider for Doorman {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        peer: SocketAddr,
    ) -> Later<'a, Result<AuthResult>> {
        Box::pin(async move {
            let result = self.judge(connect).await;
            if result.authenticated {
                self.strangers.known(peer);
            }
            Ok(result)
        })
    }

    fn authorize_publish<'a>(
        &'a self,
        client_id: &str,
        user: Option<&'a str>,
        topic: &'a str,
    ) -> Later<'a, bool> {
        let may = user.is_some_and(|user| fence::may_say(user, topic));
        if !may {
            metrics::counter!("holdfast_mqtt_refused_total", "what" => "publish").increment(1);
            tracing::warn!(client_id, topic, "MQTT: not its own topic");
        }
        Box::pin(ready(may || self.twins.lack(Twin::Fence)))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        client_id: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Later<'a, bool> {
        let may = user.is_some_and(|user| fence::may_hear(user, filter));
        if !may {
            metrics::counter!("holdfast_mqtt_refused_total", "what" => "subscribe").increment(1);
            tracing::warn!(client_id, filter, "MQTT: not its own filter");
        }
        Box::pin(ready(may || self.twins.lack(Twin::Fence)))
    }
}
