//! The peers that are servers: started from what is installed, on a directory and port of their own,
//! and ended with the measurement. Where one is not installed it is left out, and the report says so.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

/// Whom PostgreSQL runs as when this runs as root, which it refuses: nobody.
const NOBODY: u32 = 65_534;

/// A PostgreSQL of our own: a fresh cluster with the settings that it comes with.
pub(crate) struct Cluster {
    data: PathBuf,
    socket: PathBuf,
    port: u16,
    tools: PathBuf,
}

impl Cluster {
    /// Makes a cluster and starts it; says why it cannot.
    pub(crate) fn start(home: &Path) -> Result<Self, String> {
        let tools = postgres_tools().ok_or("PostgreSQL is not installed (no initdb)")?;
        let root = home.join("postgres");
        std::fs::create_dir_all(&root).map_err(|error| error.to_string())?;
        if is_root() {
            chown(&root, Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
        }
        let cluster = Self { data: root.join("data"), socket: root, port: free_port(), tools };
        let data = cluster.data.display().to_string();
        cluster.run("initdb", &["-D", &data, "-U", "bench", "-A", "trust", "-E", "UTF8"])?;
        let settings = format!(
            "-c listen_addresses='' -c port={} -c unix_socket_directories='{}'",
            cluster.port,
            cluster.socket.display()
        );
        let log = cluster.socket.join("log").display().to_string();
        cluster.run("pg_ctl", &["-D", &data, "-o", &settings, "-l", &log, "-w", "start"])?;
        Ok(cluster)
    }

    /// A connection of its own, over the cluster's socket.
    pub(crate) async fn connect(&self) -> Client {
        let address =
            format!("host={} port={} user=bench dbname=postgres", self.socket.display(), self.port);
        let (client, connection) =
            tokio_postgres::connect(&address, NoTls).await.expect("the cluster takes connections");
        tokio::spawn(async move {
            // Ends with its client; an error shows in whatever that client asks next.
            let _ = connection.await;
        });
        client
    }

    fn run(&self, tool: &str, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.tools.join(tool));
        command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let status = command.status().map_err(|error| format!("{tool}: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{tool} ended with {status}")) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data.display().to_string();
        if let Err(error) = self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]) {
            eprintln!("PostgreSQL in {data} may still run: {error}");
        }
    }
}

/// Where `initdb` and `pg_ctl` are.
fn postgres_tools() -> Option<PathBuf> {
    let debian = (13..=18).rev().map(|it| PathBuf::from(format!("/usr/lib/postgresql/{it}/bin")));
    // Version 15 is the one that figures are compared with; another is better than none.
    let fifteen = PathBuf::from("/usr/lib/postgresql/15/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::iter::once(fifteen).chain(debian).chain(std::env::split_paths(&path));
    places.find(|place| place.join("initdb").exists() && place.join("pg_ctl").exists())
}

/// A UmaDB server of our own.
pub(crate) struct Uma {
    child: Child,
    port: u16,
}

impl Uma {
    /// Starts the server; says why it cannot.
    pub(crate) async fn start(program: &Path, home: &Path) -> Result<Self, String> {
        let (data, port) = (home.join("umadb"), free_port());
        std::fs::create_dir_all(&data).map_err(|error| error.to_string())?;
        let child = Command::new(program)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--db-path"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("UmaDB is not installed ({}: {error})", program.display()))?;
        let mut uma = Self { child, port };
        // For whoever has to end the server when this program was killed (benches/peers.sh).
        let noted = std::fs::write(home.join("umadb.pid"), uma.child.id().to_string());
        noted.map_err(|error| error.to_string())?;
        let until = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Ok(Some(status)) = uma.child.try_wait() {
                return Err(format!("UmaDB ended with {status}"));
            }
            if Instant::now() > until {
                return Err("UmaDB does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(uma)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Uma {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that other users may walk through: PostgreSQL's user has its cluster below it.
pub(crate) fn passable(home: &Path) {
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(home, permissions).expect("it is ours");
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
