//! A Mosquitto of the test's own, with the very configuration that `iot/mosquitto/setup.sh` makes for real
//! use, in a directory of its own on free ports. It is killed when it is dropped.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long Mosquitto may take to listen.
const STARTING: Duration = Duration::from_secs(20);

pub(crate) struct Mosquitto {
    directory: TempDir,
    ports: Ports,
    program: PathBuf,
    process: Option<Child>,
}

#[derive(Clone, Copy)]
struct Ports {
    engine: u16,
    vehicles: u16,
    tls: u16,
}

impl Mosquitto {
    /// Starts one. None only if `HOLDFAST_WITHOUT_MOSQUITTO` is set: then its tests are left out.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more options of `setup.sh init`.
    pub(crate) fn start_with(options: &[&str]) -> Option<Self> {
        if std::env::var_os("HOLDFAST_WITHOUT_MOSQUITTO").is_some() {
            eprintln!("left out: HOLDFAST_WITHOUT_MOSQUITTO is set");
            return None;
        }
        let program = find().expect(
            "Mosquitto is not installed: apt-get install mosquitto, or HOLDFAST_WITHOUT_MOSQUITTO=1 \
             to leave its tests out",
        );
        // Somebody else may take a port between our looking and Mosquitto's listening.
        for _ in 0..5 {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let ports = Ports { engine: free(), vehicles: free(), tls: free() };
            let mut broker = Self { directory, ports, program: program.clone(), process: None };
            broker.set_up(options);
            if broker.try_start() {
                return Some(broker);
            }
        }
        panic!("Mosquitto did not start; its last words are above");
    }

    /// Where the engine connects.
    pub(crate) fn engine(&self) -> SocketAddr {
        local(self.ports.engine)
    }

    /// The engine's password.
    pub(crate) fn engine_password(&self) -> String {
        let url = self.engine_url();
        let password =
            url.strip_prefix("mqtt://holdfast-engine:").and_then(|rest| rest.split_once('@'));
        password.expect("user and password").0.to_owned()
    }

    /// What `mqtt.broker` is set to.
    pub(crate) fn engine_url(&self) -> String {
        let settings = std::fs::read_to_string(self.path("holdfast.toml")).expect("made by init");
        let value = settings.lines().find_map(|line| line.strip_prefix("broker = \""));
        value.and_then(|rest| rest.strip_suffix('"')).expect("a broker").to_owned()
    }

    /// Where vehicles connect without TLS.
    pub(crate) fn vehicles(&self) -> SocketAddr {
        local(self.ports.vehicles)
    }

    /// Where they connect with TLS, as `localhost`.
    pub(crate) fn tls_port(&self) -> u16 {
        self.ports.tls
    }

    /// The certificate of the CA that made the broker's.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca/ca.crt")
    }

    /// Lets a vehicle in, or gives it another password.
    pub(crate) fn admit(&self, vehicle: &str, password: &str) {
        self.admit_lines(&line(vehicle, password));
    }

    /// The same with lines of `holdfast vehicle credentials`.
    pub(crate) fn admit_lines(&self, lines: &str) {
        let done = self.setup("add-vehicle", &[], lines);
        assert!(done.0, "setup.sh add-vehicle: {}", done.1);
    }

    /// Lets a vehicle in no more.
    pub(crate) fn remove(&self, vehicle: &str) {
        let done = self.setup("remove-vehicle", &[vehicle], "");
        assert!(done.0, "setup.sh remove-vehicle: {}", done.1);
    }

    /// Runs `setup.sh` on this broker's directory: whether it succeeded, and what it said.
    pub(crate) fn setup(&self, command: &str, options: &[&str], input: &str) -> (bool, String) {
        let mut setup = Command::new(script());
        setup.arg(command).arg("--dir").arg(self.directory.path()).args(options);
        setup.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = setup.spawn().expect("setup.sh runs");
        let mut stdin = child.stdin.take().expect("piped");
        // It may refuse before it has read everything.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("setup.sh ends");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// A file of its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Ends it at once, as a crash does; what it had not written yet is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    /// Ends it politely; it writes sessions and retained messages first.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            let asked = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
            assert!(asked.success(), "it runs");
            process.wait().expect("it ends");
        }
    }

    /// Starts it again on the same ports.
    pub(crate) fn start_again(&mut self) {
        assert!(self.try_start(), "Mosquitto did not start again; its last words are above");
    }

    fn set_up(&self, options: &[&str]) {
        let ports = [self.ports.engine, self.ports.vehicles, self.ports.tls].map(|p| p.to_string());
        // Its own account could not reach a test's directory.
        let account = Command::new("id").arg("-un").output().expect("id runs").stdout;
        let account = String::from_utf8(account).expect("a name");
        let mut all = vec!["--name", "localhost", "--name", "127.0.0.1", "--listen", "127.0.0.1"];
        all.extend([
            "--engine-port",
            &ports[0],
            "--local-port",
            &ports[1],
            "--tls-port",
            &ports[2],
        ]);
        all.extend(["--user", account.trim()]);
        all.extend(options);
        let done = self.setup("init", &all, "");
        assert!(done.0, "setup.sh init: {}", done.1);
    }

    fn try_start(&mut self) -> bool {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log"));
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.path("mosquitto.conf")).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log.expect("a log"));
        let mut process = command.spawn().expect("Mosquitto runs");
        let begun = Instant::now();
        while begun.elapsed() < STARTING {
            if let Some(status) = process.try_wait().expect("ours") {
                let said = std::fs::read_to_string(self.path("log")).unwrap_or_default();
                eprintln!("Mosquitto ended with {status}: {said}");
                return false;
            }
            let listening = [self.engine(), self.vehicles(), local(self.ports.tls)];
            if listening.iter().all(|addr| TcpStream::connect(addr).is_ok()) {
                self.process = Some(process);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It is of no use any more, whether it can be killed or not.
        let _ = process.kill().and_then(|()| process.wait());
        false
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill().and_then(|()| process.wait());
        }
    }
}

/// What `holdfast vehicle credentials` prints.
pub(crate) fn line(vehicle: &str, password: &str) -> String {
    format!("{{\"user\":\"{vehicle}\",\"password\":\"{password}\",\"key\":\"bm9uZQ==\"}}\n")
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn free() -> u16 {
    let listener = TcpListener::bind(local(0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(elsewhere);
    places.find_map(|place| Some(place.join("mosquitto")).filter(|program| program.is_file()))
}

/// The script, from wherever this file is compiled into.
fn script() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inside = package.join("mosquitto/setup.sh");
    if inside.is_file() { inside } else { package.join("iot/mosquitto/setup.sh") }
}
