//! An MQTT 5 client that tells everything it is told, in order.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    LastWill, LastWillProperties, PubAckReason, Publish, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions};
use rumqttc::{NetworkOptions, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// After this long without a word a test has failed; nothing that works comes near it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the broker said.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Connected; whether an earlier session was found.
    Up(bool),
    Message(Publish),
    Subscribed(Vec<SubscribeReasonCode>),
    Published(PubAckReason),
    /// The connection is over, and why. Nothing comes after it.
    Down(String),
}

/// How to connect.
#[derive(Clone)]
pub(crate) struct Dial(pub(crate) MqttOptions);

impl Dial {
    /// As `user`, which is the client id too.
    pub(crate) fn new(addr: SocketAddr, user: &str, password: &str) -> Self {
        let mut options = MqttOptions::new(user, addr.ip().to_string(), addr.port());
        options.set_credentials(user, password);
        options.set_clean_start(true);
        options.set_keep_alive(Duration::from_secs(30));
        // Its default makes room for 65,535 messages, in every client.
        options.set_outgoing_inflight_upper_limit(64);
        // And it hangs up on a packet above 10 KiB unless told otherwise.
        options.set_max_packet_size(Some(1024 * 1024));
        Self(options).nodelay(true)
    }

    /// Without a name and a password.
    pub(crate) fn anonymous(addr: SocketAddr) -> Self {
        let mut options = MqttOptions::new("anybody", addr.ip().to_string(), addr.port());
        options.set_outgoing_inflight_upper_limit(64);
        Self(options)
    }

    pub(crate) fn client_id(mut self, id: &str) -> Self {
        self.0.set_client_id(id.to_owned());
        self
    }

    /// Finds its session again for a minute after it went away.
    pub(crate) fn lasting(mut self) -> Self {
        self.0.set_clean_start(false).set_session_expiry_interval(Some(60));
        self
    }

    pub(crate) fn nodelay(mut self, nodelay: bool) -> Self {
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(nodelay);
        self.0.set_network_options(network);
        self
    }

    /// What the broker says for it `delay_secs` after it vanished.
    pub(crate) fn will(mut self, topic: &str, payload: &str, delay_secs: u32) -> Self {
        let properties = LastWillProperties {
            delay_interval: Some(delay_secs),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        self.0.set_last_will(LastWill {
            topic: topic.to_owned().into(),
            message: payload.to_owned().into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Some(properties),
        });
        self
    }

    pub(crate) fn transport(mut self, transport: Transport) -> Self {
        self.0.set_transport(transport);
        self
    }

    /// Connects, or tells why not.
    pub(crate) async fn connect(self) -> Result<Client, String> {
        let (handle, events) = AsyncClient::new(self.0, 256);
        let (told, heard) = mpsc::unbounded_channel();
        let task = tokio::spawn(pump(events, told));
        let mut client = Client { handle, heard, task, session_present: false };
        match client.next().await {
            Heard::Up(session_present) => {
                client.session_present = session_present;
                Ok(client)
            }
            Heard::Down(why) => Err(why),
            said @ (Heard::Message(_) | Heard::Subscribed(_) | Heard::Published(_)) => {
                Err(format!("{said:?} before CONNACK"))
            }
        }
    }
}

async fn pump(mut events: EventLoop, told: mpsc::UnboundedSender<Heard>) {
    loop {
        let heard = match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(ack))) => Heard::Up(ack.session_present),
            Ok(Event::Incoming(Incoming::Publish(publish))) => Heard::Message(publish),
            Ok(Event::Incoming(Incoming::SubAck(ack))) => Heard::Subscribed(ack.return_codes),
            Ok(Event::Incoming(Incoming::PubAck(ack))) => Heard::Published(ack.reason),
            Ok(_) => continue,
            Err(error) => {
                // Nobody may listen any more.
                let _ = told.send(Heard::Down(error.to_string()));
                return;
            }
        };
        if told.send(heard).is_err() {
            return;
        }
    }
}

/// A connected client. Dropped, it vanishes without a goodbye.
pub(crate) struct Client {
    pub(crate) handle: AsyncClient,
    heard: mpsc::UnboundedReceiver<Heard>,
    task: JoinHandle<()>,
    /// Whether the broker found an earlier session.
    pub(crate) session_present: bool,
}

impl Client {
    /// The next that it hears.
    pub(crate) async fn next(&mut self) -> Heard {
        match tokio::time::timeout(PATIENCE, self.heard.recv()).await {
            Ok(Some(heard)) => heard,
            Ok(None) => Heard::Down("it was over before".to_owned()),
            Err(_) => panic!("heard nothing for {PATIENCE:?}"),
        }
    }

    /// The next message, whatever else is said before.
    pub(crate) async fn message(&mut self) -> Publish {
        loop {
            match self.next().await {
                Heard::Message(publish) => return publish,
                Heard::Down(why) => panic!("the connection ended: {why}"),
                Heard::Up(_) | Heard::Subscribed(_) | Heard::Published(_) => {}
            }
        }
    }

    /// The next message's payload as text.
    pub(crate) async fn text(&mut self) -> String {
        String::from_utf8(self.message().await.payload.to_vec()).expect("UTF-8")
    }

    /// Why the connection ended.
    pub(crate) async fn down(&mut self) -> String {
        loop {
            if let Heard::Down(why) = self.next().await {
                return why;
            }
        }
    }

    /// Subscribes, and tells whether the broker granted it.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> bool {
        self.handle.subscribe(filter, QoS::AtLeastOnce).await.expect("the client runs");
        loop {
            match self.next().await {
                Heard::Subscribed(codes) => {
                    return matches!(codes[..], [SubscribeReasonCode::Success(_)]);
                }
                Heard::Down(why) => panic!("the connection ended: {why}"),
                Heard::Up(_) | Heard::Message(_) | Heard::Published(_) => {}
            }
        }
    }

    /// Publishes with QoS 1, and gives what the broker said to it. Messages that come meanwhile are lost.
    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        retain: bool,
        payload: &str,
    ) -> PubAckReason {
        let payload = payload.to_owned();
        let asked = self.handle.publish(topic, QoS::AtLeastOnce, retain, payload).await;
        asked.expect("the client runs");
        self.acknowledged().await
    }

    /// The same with properties of MQTT 5.
    pub(crate) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        properties: PublishProperties,
    ) -> PubAckReason {
        let qos = QoS::AtLeastOnce;
        let payload = payload.to_owned();
        let asked = self.handle.publish_with_properties(topic, qos, false, payload, properties);
        asked.await.expect("the client runs");
        self.acknowledged().await
    }

    async fn acknowledged(&mut self) -> PubAckReason {
        loop {
            match self.next().await {
                Heard::Published(reason) => return reason,
                Heard::Down(why) => panic!("the connection ended: {why}"),
                Heard::Up(_) | Heard::Message(_) | Heard::Subscribed(_) => {}
            }
        }
    }

    /// Vanishes without a goodbye, as a car in a tunnel does.
    pub(crate) async fn vanish(mut self) {
        self.task.abort();
        // Waited for, so that the socket is closed when this returns. It was aborted: an error is right.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
