//! One connection to the broker, kept up until it is told to stop.
//!
//! ```text
//!   dial ─► CONNACK ─► subscribe ─► SUBACK ─► up ─► … ─► lost ─► down ─► wait (longer, by chance) ─► dial
//! ```
//!
//! Every connection gets a new event loop. The library would keep what it had not sent and send it after
//! the next CONNACK, however old it is by then; and once a broker has told it a smaller receive maximum
//! it counts past the end of its table and never comes up again. What must be sent again is known by
//! whoever sent it (see `link/outbox.rs`), with its end.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, Packet, PubAckReason, Publish, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Broker;
use crate::backoff::{Backoff, any_seed};
use crate::stopping;

/// How many requests (commands, acknowledgements) may wait for the socket.
pub(crate) const REQUESTS: usize = 4_096;
/// A connection that has lasted so long was a good one: the next wait is the first again.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// Why a connection is down that was to end.
pub(crate) const STOPPED: &str = "stopped";
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// After so many connections in a row that ended in something unreadable the broker is asked to forget
/// the session: it keeps delivering what cannot be read, and nothing else would ever come through.
const GARBLED: u32 = 3;
/// Longer packets are not taken at all; a broker that speaks version 5 does not even send them. Well
/// above what is read, so that a payload of a megabyte is counted for what it is.
const LONGEST_PACKET: u32 = 2 << 20;

/// Whether the broker keeps what comes while nobody is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// Nothing is kept.
    Fresh,
    /// For so long.
    Kept(Duration),
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) broker: Broker,
    pub(crate) client_id: String,
    pub(crate) session: Session,
    pub(crate) keep_alive: Duration,
    /// How many QoS 1 messages of ours may be unacknowledged; the broker's own limit counts too.
    pub(crate) inflight: u16,
    /// How many of theirs may be.
    pub(crate) receive: u16,
    pub(crate) filters: Vec<Filter>,
    pub(crate) will: Option<LastWill>,
    /// Whether QoS 1 messages are acknowledged by whoever has dealt with them.
    pub(crate) manual_acks: bool,
    /// The first and the longest wait between two tries.
    pub(crate) waits: (Duration, Duration),
}

impl Dial {
    /// The library's options. `forget`: the broker is to forget the session.
    pub(crate) fn options(&self, forget: bool) -> MqttOptions {
        let mut options = self.broker.options(&self.client_id);
        let (clean, expiry) = match self.session {
            Session::Fresh => (true, 0),
            Session::Kept(span) => (forget, u32::try_from(span.as_secs()).unwrap_or(u32::MAX)),
        };
        options.set_clean_start(clean);
        options.set_session_expiry_interval(Some(expiry));
        options.set_keep_alive(self.keep_alive);
        options.set_max_packet_size(Some(LONGEST_PACKET));
        options.set_receive_maximum(Some(self.receive));
        options.set_outgoing_inflight_upper_limit(self.inflight);
        options.set_manual_acks(self.manual_acks);
        if let Some(will) = &self.will {
            options.set_last_will(will.clone());
        }
        options
    }
}

/// What happens on a connection is told to this one. Nothing here waits: the socket would.
pub(crate) trait Party: Send {
    /// Connected and subscribed.
    fn up(&mut self, client: &AsyncClient);
    /// A message has come.
    fn arrived(&mut self, client: &AsyncClient, publish: Publish);
    /// The broker does not take a message of ours.
    fn refused(&mut self, reason: PubAckReason);
    /// The connection is lost, or did not come about.
    fn down(&mut self, why: &str);
}

/// Why a connection ended.
enum Ended {
    Stopped,
    Lost { why: String, garbled: bool },
}

/// Keeps a connection up until `stop`.
pub(crate) async fn keep(dial: Dial, mut party: impl Party, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::new(dial.waits.0, dial.waits.1, any_seed());
    let mut garbled = 0;
    loop {
        let (client, eventloop) = AsyncClient::new(dial.options(garbled >= GARBLED), REQUESTS);
        let began = Instant::now();
        // The library has its `unreachable!`s; a panic in it is a connection that ended.
        let live = AssertUnwindSafe(live(&dial, eventloop, &client, &mut party, &mut stop));
        let ended = live.catch_unwind().await.unwrap_or_else(|_| Ended::Lost {
            why: "the MQTT library panicked".into(),
            garbled: true,
        });
        match ended {
            Ended::Stopped => return party.down(STOPPED),
            Ended::Lost { why, garbled: unreadable } => {
                garbled = if unreadable { garbled + 1 } else { 0 };
                party.down(&why);
            }
        }
        if began.elapsed() >= GOOD_AFTER {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = stopping(&mut stop) => return,
        }
    }
}

async fn live(
    dial: &Dial,
    mut eventloop: EventLoop,
    client: &AsyncClient,
    party: &mut impl Party,
    stop: &mut watch::Receiver<bool>,
) -> Ended {
    let lost = |why: String| Ended::Lost { why, garbled: false };
    loop {
        let event = tokio::select! {
            event = eventloop.poll() => event,
            // What `poll` was doing is lost with it, and so is the connection: nothing is half done.
            () = stopping(stop) => {
                goodbye(client, &mut eventloop).await;
                return Ended::Stopped;
            }
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if client.try_subscribe_many(dial.filters.clone()).is_err() {
                    return lost("the subscriptions are not valid".into());
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let refused = ack
                    .return_codes
                    .iter()
                    .zip(&dial.filters)
                    .find(|(code, _)| !matches!(code, SubscribeReasonCode::Success(_)));
                if let Some((code, filter)) = refused {
                    return lost(format!(
                        "the broker refuses the subscription to {} ({code:?}): check its ACL",
                        filter.path
                    ));
                }
                party.up(client);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => party.arrived(client, publish),
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                let taken = [PubAckReason::Success, PubAckReason::NoMatchingSubscribers];
                if !taken.contains(&ack.reason) {
                    party.refused(ack.reason);
                }
            }
            Ok(_) => {}
            Err(error) => {
                return Ended::Lost { garbled: is_garbled(&error), why: error.to_string() };
            }
        }
    }
}

/// Whether what came could not be read, rather than nothing having come.
fn is_garbled(error: &ConnectionError) -> bool {
    let ConnectionError::MqttState(error) = error else { return false };
    matches!(error, StateError::IncomingPacketTooLarge { .. })
        || matches!(error, StateError::Deserialization(error)
            if !matches!(error, rumqttc::v5::mqttbytes::Error::Io(_)))
}

/// Leaves as one who means to: the broker does not publish the will.
async fn goodbye(client: &AsyncClient, eventloop: &mut EventLoop) {
    if client.try_disconnect().is_err() {
        return;
    }
    let left = async {
        while !matches!(eventloop.poll().await, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_))
        {
        }
    };
    // Who does not let us go in time is left without a word.
    let _ = tokio::time::timeout(GOODBYE, left).await;
}
