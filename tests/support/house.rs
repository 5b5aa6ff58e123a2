//! One running server.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_api::token::{self, Role, TokenKey};
use holdfast_domain::{Timestamp, UserId};
use holdfast_engine::side::Side;
use tempfile::TempDir;

use super::{PATIENCE, Person};

/// The binary that is judged.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("HOLDFAST_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_holdfast").into(), PathBuf::from)
}

/// Sends a signal to a process.
pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.expect("kill runs").success(), "kill -{signal} {pid}");
}

/// A server that ended before it was ready.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it said on standard error.
    pub(crate) logs: String,
}

/// A running server in a directory that goes away with the test.
pub(crate) struct House {
    directory: Arc<TempDir>,
    settings: Vec<(String, String)>,
    flags: Vec<String>,
    child: Child,
    /// Where it answers, without a slash at the end.
    pub(crate) url: String,
    mqtt: Option<String>,
    key: TokenKey,
    client: reqwest::Client,
}

impl House {
    /// A server with these settings (`HOLDS__HOLD_TTL` = `2s`).
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings, &[]).await
    }

    /// The same with flags for `serve`.
    pub(crate) async fn start_with(settings: &[(&str, &str)], flags: &[&str]) -> Self {
        let directory = Arc::new(TempDir::with_prefix("holdfast-test-").expect("a directory"));
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let settings = settings.iter().map(owned).collect();
        let flags = flags.iter().map(ToString::to_string).collect();
        Self::open(directory, settings, flags, &[]).await
    }

    /// The same under another program, which runs the binary and ends as it ends.
    pub(crate) async fn start_under(program: &[&str], settings: &[(&str, &str)]) -> Self {
        let directory = Arc::new(TempDir::with_prefix("holdfast-test-").expect("a directory"));
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let settings = settings.iter().map(owned).collect();
        Self::open(directory, settings, Vec::new(), program).await
    }

    /// A server in a directory of the caller's; or how it ended, and what it said.
    pub(crate) async fn try_in(
        directory: Arc<TempDir>,
        settings: &[(&str, &str)],
    ) -> Result<Self, Ended> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let settings = settings.iter().map(owned).collect();
        Self::try_open(directory, settings, Vec::new(), &[]).await
    }

    async fn open(
        directory: Arc<TempDir>,
        settings: Vec<(String, String)>,
        flags: Vec<String>,
        under: &[&str],
    ) -> Self {
        let opened = Self::try_open(directory, settings, flags, under).await;
        opened.unwrap_or_else(|ended| panic!("the server did not get ready: {ended:?}"))
    }

    async fn try_open(
        directory: Arc<TempDir>,
        settings: Vec<(String, String)>,
        flags: Vec<String>,
        under: &[&str],
    ) -> Result<Self, Ended> {
        let mut command = Self::command_in(directory.path(), &settings, under);
        command.arg("serve").args(&flags).stdout(Stdio::piped());
        let logs = std::fs::File::options()
            .create(true)
            .append(true)
            .open(directory.path().join("stderr.log"))
            .expect("a file for the logs");
        let mut child = command.stderr(logs).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("standard output is ours");
        let (told, hear) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let Ok(line) = hear.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let status = child.wait().expect("the process can be asked");
            let logs = std::fs::read_to_string(directory.path().join("stderr.log"));
            return Err(Ended { status, logs: logs.unwrap_or_default() });
        };
        let url = line
            .strip_prefix("holdfast ready http=")
            .unwrap_or_else(|| panic!("the first line says where it is ready, not {line:?}"));
        let mqtt = url.split(' ').find_map(|word| word.strip_prefix("mqtt=")).map(str::to_owned);
        let url = url.split(' ').next().expect("an address").to_owned();
        let side = Side::open(Self::data_in(directory.path()).join("side.sqlite")).await;
        let side = side.expect("the side file opens beside the server");
        let seed = holdfast::keys::token_seed(&side).await.expect("a key");
        side.close().await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        Ok(Self {
            directory,
            settings,
            flags,
            child,
            url,
            mqtt,
            key: TokenKey::from_seed(&seed),
            client,
        })
    }

    fn data_in(directory: &Path) -> PathBuf {
        directory.join("data")
    }

    fn command_in(directory: &Path, settings: &[(String, String)], under: &[&str]) -> Command {
        let mut command = match under {
            [] => Command::new(binary()),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(binary());
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOLDFAST__") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(directory)
            .env("HOLDFAST__DATA_DIR", Self::data_in(directory))
            .env("HOLDFAST__HTTP__LISTEN", "127.0.0.1:0")
            .env("HOLDFAST__MQTT__LISTEN", "")
            .stdin(Stdio::null());
        for (name, value) in settings {
            command.env(format!("HOLDFAST__{name}"), value);
        }
        command
    }

    /// Where its embedded broker listens.
    pub(crate) fn mqtt(&self) -> &str {
        self.mqtt.as_deref().expect("the ready line names the broker")
    }

    /// Another command of the binary, on the same directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Self::command_in(self.directory.path(), &self.settings, &[]);
        command.args(args);
        command
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        Self::data_in(self.directory.path())
    }

    /// What the server has logged so far.
    pub(crate) fn logs(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr.log")).unwrap_or_default()
    }

    /// Somebody with a token.
    pub(crate) fn person(&self, user: &str, role: Role) -> Person {
        let user_id = UserId::new(user).expect("a user's name");
        let ttl = Duration::from_secs(3_600);
        let token = token::issue(&self.key, &user_id, role, ttl, now());
        Person::new(&self.url, self.client.clone(), user, Some(token))
    }

    pub(crate) fn customer(&self, user: &str) -> Person {
        self.person(user, Role::Customer)
    }

    pub(crate) fn admin(&self) -> Person {
        self.person("admin", Role::Admin)
    }

    pub(crate) fn operator(&self) -> Person {
        self.person("operator", Role::Operator)
    }

    pub(crate) fn auditor(&self) -> Person {
        self.person("auditor", Role::Auditor)
    }

    /// Somebody without a token.
    pub(crate) fn stranger(&self) -> Person {
        Person::new(&self.url, self.client.clone(), "stranger", None)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return status;
            }
            assert!(began.elapsed() < at_most, "the server has not ended after {at_most:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end, kindly.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        kill(self.pid(), "TERM");
        self.wait(Duration::from_secs(15))
    }

    /// Ends it as a power cut would end the process.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("and is gone");
    }

    /// Starts it again on what it has left.
    pub(crate) async fn again(self) -> Self {
        self.again_under(&[]).await
    }

    /// The same under another program, which runs the binary and ends as it ends.
    pub(crate) async fn again_under(mut self, program: &[&str]) -> Self {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let (directory, settings, flags) =
            (self.directory.clone(), self.settings.clone(), self.flags.clone());
        Self::open(directory, settings, flags, program).await
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let logs = self.logs();
            let lines: Vec<&str> = logs.lines().collect();
            let last = lines.len().saturating_sub(30);
            eprintln!("--- the server's last words ---\n{}", lines[last..].join("\n"));
        }
    }
}

/// What the wall says.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.expect("after 1970").as_micros();
    Timestamp::from_micros(i64::try_from(micros).expect("before the year 294,000"))
}
