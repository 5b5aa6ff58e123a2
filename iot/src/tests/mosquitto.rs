//! A Mosquitto of the test's own, on a free port, that lets everybody in.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Broker;

pub(super) struct Mosquitto {
    dir: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Mosquitto {
    pub(super) fn start() -> Self {
        // Somebody else may take the port between our looking and its listening.
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let data = dir.path().display();
            // `user`: else, started by root, it gives up the right to its own directory.
            let config = format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nuser root\n\
                 persistence true\npersistence_location {data}/\nmax_queued_messages 0\n"
            );
            std::fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
            let mut broker = Self { dir, port, process: None };
            if broker.restart() {
                return broker;
            }
        }
        panic!("Mosquitto does not listen");
    }

    pub(super) fn broker(&self) -> Broker {
        Broker::new(&format!("mqtt://127.0.0.1:{}", self.port), None).unwrap()
    }

    /// Ends it at once, as a crash does: what was not written is lost.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it on the same port; whether it listens.
    pub(super) fn restart(&mut self) -> bool {
        let mut command = Command::new(program());
        command.arg("-c").arg(self.dir.path().join("mosquitto.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = self.process.insert(command.spawn().expect("Mosquitto runs"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            // The only way to learn that another process listens.
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend([Path::new("/usr/sbin").to_owned(), Path::new("/usr/local/sbin").to_owned()]);
    places
        .into_iter()
        .map(|place| place.join("mosquitto"))
        .find(|program| program.is_file())
        .expect("Mosquitto is needed: apt-get install mosquitto")
}
