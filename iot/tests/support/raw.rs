//! A client that keeps no rules: bytes on a socket. Libraries refuse to send what these tests need.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that was let in.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    /// Speaks MQTT 3.1.1, which knows no maximum packet size.
    pub(crate) async fn connect(addr: SocketAddr, user: &str, password: &str) -> Self {
        let mut stream = TcpStream::connect(addr).await.expect("the broker listens");
        let mut body = vec![0, 4];
        body.extend_from_slice(b"MQTT");
        body.extend_from_slice(&[4, 0b1100_0010, 0, 60]);
        for text in [user, user, password] {
            put(&mut body, text.as_bytes());
        }
        let mut packet = vec![0x10];
        length(&mut packet, body.len());
        packet.extend_from_slice(&body);
        stream.write_all(&packet).await.expect("written");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.expect("CONNACK");
        assert_eq!(answer, [0x20, 2, 0, 0], "CONNACK with success");
        Self(stream)
    }

    /// Publishes `bytes` zeros with QoS 0. Whether all of it could be sent: the other side may hang up.
    pub(crate) async fn publish(&mut self, topic: &str, bytes: usize) -> bool {
        let mut packet = vec![0x30];
        length(&mut packet, 2 + topic.len() + bytes);
        put(&mut packet, topic.as_bytes());
        packet.resize(packet.len() + bytes, 0);
        self.0.write_all(&packet).await.is_ok()
    }

    /// Subscribes with QoS 1 and reads what it is told to that.
    pub(crate) async fn subscribe(&mut self, filter: &str) {
        let mut packet = vec![0x82];
        length(&mut packet, 2 + 2 + filter.len() + 1);
        packet.extend_from_slice(&[0, 1]);
        put(&mut packet, filter.as_bytes());
        packet.push(1);
        self.0.write_all(&packet).await.expect("written");
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer).await.expect("SUBACK");
        assert_eq!(answer, [0x90, 3, 0, 1, 1], "SUBACK with QoS 1");
    }

    /// Whether the other side hangs up (within ten seconds), whatever it says before.
    pub(crate) async fn is_hung_up_on(&mut self) -> bool {
        let mut rest = [0; 1024];
        let read = async { while matches!(self.0.read(&mut rest).await, Ok(n) if n > 0) {} };
        tokio::time::timeout(Duration::from_secs(10), read).await.is_ok()
    }
}

fn put(into: &mut Vec<u8>, text: &[u8]) {
    let len = u16::try_from(text.len()).expect("short");
    into.extend_from_slice(&len.to_be_bytes());
    into.extend_from_slice(text);
}

/// MQTT's variable byte integer.
fn length(into: &mut Vec<u8>, mut rest: usize) {
    loop {
        let byte = u8::try_from(rest % 128).expect("below 128");
        rest /= 128;
        into.push(if rest > 0 { byte | 0x80 } else { byte });
        if rest == 0 {
            return;
        }
    }
}
