//! Real brokers: a NATS server and a RabbitMQ broker of a test's own, and the means to stop them at once and start them again.
//!
//! Each runs in a folder and on ports of its own, and ends with the process of the test.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use annals_test_postgres::{Host, certificate, free_port};

/// How long a broker may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The address of a broker that has no host of its own.
const LOCAL: &str = "127.0.0.1";

/// A process that ends with this one, however this one ends: a shell waits for the end of its input, and then kills it.
struct Tied {
    shell: Child,
    _input: ChildStdin,
    pid: String,
}

impl Tied {
    fn start(program: &Path, arguments: &[&str], folder: &Path, variables: &[(&str, String)]) -> Self {
        // In a group of its own: RabbitMQ's program starts another one.
        let script = r#"setsid "$@" >>output.log 2>&1 </dev/null & echo $!; read _; kill -9 -$! 2>/dev/null"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "tied"]).arg(program).args(arguments).current_dir(folder);
        shell.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().expect("a shell runs");
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut pid).expect("a line");
        Self { _input: shell.stdin.take().expect("a pipe"), shell, pid: pid.trim().to_owned() }
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.pid);
        let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        self.signal("-9");
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn wait_for(address: &str, port: u16, folder: &Path, answers: impl Fn(&mut TcpStream) -> std::io::Result<bool>) {
    let began = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect((address, port)) {
            let limits = stream.set_read_timeout(Some(Duration::from_secs(5)));
            if limits.is_ok() && answers(&mut stream).unwrap_or(false) {
                return;
            }
        }
        let output = || std::fs::read_to_string(folder.join("output.log")).unwrap_or_default();
        assert!(began.elapsed() < PATIENCE, "the broker does not start:\n{}", output());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A program that `scripts/brokers` installs; none if such tests may be left out.
fn program(path: PathBuf) -> Option<PathBuf> {
    let found = path.exists();
    if !found {
        annals_test_postgres::skip(&format!("{} is missing (scripts/brokers installs it)", path.display()));
    }
    found.then_some(path)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let (from, to) = {
            let entry = entry.expect("an entry");
            (entry.path(), to.join(entry.file_name()))
        };
        match from.is_dir() {
            true => copy_folder(&from, &to),
            false => _ = std::fs::copy(&from, &to).expect("a file is copied"),
        }
    }
}

/// A NATS server with JetStream.
pub struct NatsServer {
    program: PathBuf,
    folder: tempfile::TempDir,
    pub address: String,
    pub port: u16,
    /// The network namespace in which it runs, if not in that of this process.
    namespace: Option<String>,
    process: Option<Tied>,
}

impl NatsServer {
    /// Starts one; none if it is not installed, and such tests may be left out.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// Starts one with more lines of configuration.
    pub fn start_with(more: &str) -> Option<Self> {
        let mut server = Self::made(LOCAL, free_port(), more)?;
        server.restart();
        Some(server)
    }

    fn made(address: &str, port: u16, more: &str) -> Option<Self> {
        // An example is below the workspace.
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("target/brokers"));
        let venv = above.take(3).find(|venv| venv.exists()).unwrap_or_else(|| "target/brokers".into());
        let program = program(venv.join("bin/nats-server"))?;
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = format!(
            "listen: \"{address}:{port}\"\njetstream {{ store_dir: \"{}\", max_mem: 64MB, max_file: 1GB, sync_interval: always }}\n{more}\n",
            folder.path().join("store").display()
        );
        std::fs::write(folder.path().join("nats.conf"), configuration).expect("a file is written");
        Some(Self { program, folder, address: address.to_owned(), port, namespace: None, process: None })
    }

    /// Starts a cluster of three.
    pub fn cluster() -> Option<Vec<Self>> {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let routes: Vec<String> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let configured = |(number, port)| {
            let cluster = format!("name: annals, listen: \"127.0.0.1:{port}\", routes: [{}]", routes.join(", "));
            Self::start_on(free_port(), &format!("server_name: n{number}\ncluster {{ {cluster} }}"))
        };
        let servers: Vec<Self> = ports.iter().enumerate().map(configured).collect::<Option<_>>()?;
        servers.iter().for_each(Self::wait);
        Some(servers)
    }

    /// Starts one of a cluster on this port, and does not wait: it waits for the others.
    pub fn start_on(port: u16, more: &str) -> Option<Self> {
        let mut server = Self::made(LOCAL, port, more)?;
        server.spawn();
        Some(server)
    }

    /// As [`Self::start_on`], on a host of its own.
    pub fn start_at(host: &Host, port: u16, more: &str) -> Option<Self> {
        let mut server = Self::made(host.address(), port, more)?;
        server.namespace = Some(host.namespace().to_owned());
        server.spawn();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.address, self.port)
    }

    /// Stops it (`-STOP`) or lets it run again (`-CONT`).
    pub fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Removes what it has on disk, while it is killed.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.folder.path().join("store")).expect("a folder is removed");
    }

    /// Copies what it has on disk, while it is killed.
    pub fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().expect("a folder");
        copy_folder(&self.folder.path().join("store"), copy.path());
        copy
    }

    /// Replaces what it has on disk by a copy, while it is killed.
    pub fn replace(&self, copy: &tempfile::TempDir) {
        self.wipe();
        copy_folder(copy.path(), &self.folder.path().join("store"));
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again with what it has on disk.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait();
    }

    /// Starts it, and does not wait.
    pub fn spawn(&mut self) {
        let program = self.program.display().to_string();
        let (ip, folder) = (Path::new("ip"), self.folder.path());
        self.process = Some(match &self.namespace {
            None => Tied::start(&self.program, &["-c", "nats.conf"], folder, &[]),
            Some(namespace) => {
                Tied::start(ip, &["netns", "exec", namespace, &program, "-c", "nats.conf"], folder, &[])
            }
        });
    }

    /// Waits until it accepts connections.
    pub fn wait(&self) {
        // It greets who connects.
        let greets = |stream: &mut TcpStream| {
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).map(|_| line.starts_with("INFO"))
        };
        wait_for(&self.address, self.port, self.folder.path(), greets);
    }

    pub async fn context(&self) -> async_nats::jetstream::Context {
        let client = async_nats::connect(self.url()).await.expect("a connection");
        async_nats::jetstream::new(client)
    }

    /// Creates a stream whose first message gets this sequence.
    pub async fn create(&self, name: &str, first: u64) -> async_nats::jetstream::stream::Stream {
        self.create_as(stream(name, first)).await
    }

    pub async fn create_as(
        &self,
        config: async_nats::jetstream::stream::Config,
    ) -> async_nats::jetstream::stream::Stream {
        let began = Instant::now();
        loop {
            match self.context().await.create_stream(config.clone()).await {
                Ok(stream) => return stream,
                // JetStream starts a moment after the server.
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The configuration of a stream with the subject of its name in lower case.
pub fn stream(name: &str, first: u64) -> async_nats::jetstream::stream::Config {
    async_nats::jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![name.to_lowercase()],
        first_sequence: Some(first).filter(|first| *first > 1),
        ..Default::default()
    }
}

/// A RabbitMQ broker.
pub struct RabbitBroker {
    folder: tempfile::TempDir,
    pub port: u16,
    tls_port: u16,
    /// The file with its certificate.
    pub certificate: String,
    /// Of the broker among its like, and of the process that finds them by name.
    ports: [u16; 2],
    processes: Option<(Tied, Tied)>,
}

impl RabbitBroker {
    /// Starts one; none if it is not installed, and such tests may be left out.
    pub fn start() -> Option<Self> {
        program("/usr/lib/rabbitmq/bin/rabbitmq-server".into())?;
        let folder = tempfile::tempdir().expect("a folder");
        let [port, tls_port] = [free_port(), free_port()];
        let [certificate, key] = certificate(folder.path());
        let tls = format!(
            "{{ssl_listeners, [{{\"127.0.0.1\", {tls_port}}}]}}, \
             {{ssl_options, [{{certfile, \"{certificate}\"}}, {{keyfile, \"{key}\"}}]}}"
        );
        let ports = [free_port(), free_port()];
        let mut broker = Self { folder, port, tls_port, certificate, ports, processes: None };
        // The classic format: the newer one takes ten seconds to be read.
        let configuration = format!(
            "[{{rabbit, [{{tcp_listeners, [{{\"127.0.0.1\", {port}}}]}}, {{vm_memory_high_watermark, {{absolute, 400000000}}}}, \
             {{disk_free_limit, 10000000}}, {tls}]}}].\n"
        );
        std::fs::write(broker.folder.path().join("rabbit.config"), configuration).expect("a file is written");
        std::fs::write(broker.folder.path().join("plugins"), "[].\n").expect("a file is written");
        broker.restart();
        Some(broker)
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// With TLS. Its certificate signs itself.
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@127.0.0.1:{}/%2f", self.tls_port)
    }

    /// Waits until a new quorum queue is in the broker's register on disk, up to a second after its declaration.
    ///
    /// The broker (its library Ra) writes that register later than it confirms messages. Killed before, it starts with an
    /// empty member of the queue that elects nobody: the queue confirms and delivers nothing, and what it had confirmed is lost.
    pub fn wait_until_kept(&self, queue: &str) {
        let node = format!("annals{}@localhost", self.port);
        let register =
            self.folder.path().join("database").join(&node).join("quorum").join(&node).join("names.dets");
        let name = format!("%2F_{queue}").into_bytes();
        let began = Instant::now();
        let kept =
            || std::fs::read(&register).is_ok_and(|bytes| bytes.windows(name.len()).any(|window| window == name));
        while !kept() {
            assert!(began.elapsed() < PATIENCE, "the broker does not keep the queue {queue}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sets how much of its disk must be free: with less it takes no messages. `900000GB` is more than any disk has.
    pub fn require_free_disk(&self, limit: &str) {
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        command.args(["-n", &format!("annals{}@localhost", self.port), "set_disk_free_limit", limit]);
        command.env("HOME", self.folder.path()).env("ERL_EPMD_PORT", self.ports[1].to_string());
        command.env("RABBITMQ_CONF_ENV_FILE", self.folder.path().join("environment"));
        let done = command.output().expect("rabbitmqctl runs");
        assert!(done.status.success(), "{done:?}");
    }

    /// Kills it at once. A quorum queue must be kept by then: [`Self::wait_until_kept`].
    pub fn kill(&mut self) {
        self.processes = None;
    }

    /// Starts it again with what it has on disk.
    pub fn restart(&mut self) {
        let folder = self.folder.path();
        let [own, names] = self.ports;
        let at = |name: &str| folder.join(name).display().to_string();
        let variables = [
            ("HOME", at("")),
            ("RABBITMQ_NODENAME", format!("annals{}@localhost", self.port)),
            ("RABBITMQ_MNESIA_BASE", at("database")),
            ("RABBITMQ_LOG_BASE", at("log")),
            ("RABBITMQ_CONFIG_FILE", at("rabbit")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins")),
            ("RABBITMQ_FEATURE_FLAGS_FILE", at("flags")),
            ("RABBITMQ_CONF_ENV_FILE", at("environment")),
            ("RABBITMQ_DIST_PORT", own.to_string()),
            ("ERL_EPMD_PORT", names.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none".to_owned()),
        ];
        let found =
            Tied::start(Path::new("epmd"), &["-address", "127.0.0.1", "-port", &names.to_string()], folder, &[]);
        // Otherwise the broker starts one of its own, which outlives it.
        wait_for(LOCAL, names, folder, |_| Ok(true));
        let broker = Tied::start(Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server"), &[], folder, &variables);
        self.processes = Some((broker, found));
        // It answers a greeting of another version with its own.
        let answers = |stream: &mut TcpStream| {
            use std::io::{Read, Write};
            stream.write_all(b"AMQP\x00\x00\x09\x01")?;
            stream.read(&mut [0; 8]).map(|read| read > 0)
        };
        wait_for(LOCAL, self.port, folder, answers);
    }
}
