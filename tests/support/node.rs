//! A node: the real binary, its files in a directory of its own.
use super::client::{Client, try_connect};
use super::log_lines::AccessLine;
use super::pki::pki;
use super::port::free_port;
use super::scratch::Scratch;
use super::tools::{self, Ended};
use super::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

/// How a node is started. The default is one shard on the engine that `tests/run` asked for.
#[derive(Clone, Debug)]
pub struct Setup {
    pub shards: usize,
    /// `node.io`.
    pub io: String,
    /// What `/status` must say of the engine.
    pub engine: String,
    /// `logs.format`.
    pub format: &'static str,
    /// Further fields of `logs`, with a comma before them.
    pub logs: String,
    /// Further fields of `node`, with a comma before them.
    pub node: &'static str,
    /// A program and its arguments that start the binary, such as `prlimit --nofile=256`.
    pub under: Vec<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        let (io, engine) = (super::engine(), super::engine());
        Self {
            shards: 1,
            io,
            engine,
            format: "alb",
            logs: String::new(),
            node: "",
            under: Vec::new(),
        }
    }
}

/// A running node. Dropping it kills the process.
#[derive(Debug)]
pub struct Node {
    scratch: Scratch,
    setup: Setup,
    child: Child,
    metrics: SocketAddr,
}

impl Node {
    /// Starts a node with this configuration (all but `node`, `admin`, `metrics`, `logs`, which the
    /// tests write themselves) and waits until it serves.
    pub fn start(configuration: &str) -> Self {
        Self::with(Setup::default(), configuration)
    }

    pub fn with(setup: Setup, configuration: &str) -> Self {
        Self::with_files(setup, configuration, &[])
    }

    /// `files` are written beside the configuration first: name and content.
    pub fn with_files(setup: Setup, configuration: &str, files: &[(&str, &str)]) -> Self {
        super::open_many_files();
        let scratch = Scratch::new("node");
        for (name, content) in files {
            fs::write(scratch.path().join(name), content).expect("the directory can be written");
        }
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let file = scratch.path().join("portcullis.yaml");
        fs::write(&file, whole(&setup, metrics, configuration)).expect("the file can be written");
        let child = spawn(&setup, &file);
        let mut node = Self { scratch, setup, child, metrics };
        node.await_serving();
        node
    }

    fn await_serving(&mut self) {
        wait::until("the node to be ready", || {
            if let Some(status) = self.child.try_wait().expect("the node is our child") {
                panic!("the node ended with {status}:\n{}", self.stderr());
            }
            self.probe("/readyz").filter(|&status| status == 200)
        });
        let engine = &self.status()["engine"];
        assert_eq!(engine, &Value::from(self.setup.engine.as_str()), "{}", self.stderr());
    }

    // Ending and starting it.

    /// Ends the process as `kill -9` does.
    pub fn stop(&mut self) {
        self.child.kill().expect("the node is our child");
        self.child.wait().expect("the node is our child");
    }

    /// Starts the process anew, after [`Node::stop`], and waits until it serves.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.setup, &self.path("portcullis.yaml"));
        self.await_serving();
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Serves the same configuration once more, which must not work; what is said.
    pub fn refused_start(&self) -> String {
        let ended = self.command("serve");
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        ended.said()
    }

    // Where things are.

    /// Where a listener really listens, once it does.
    pub fn address(&self, listener: &str) -> SocketAddr {
        wait::until("a listener's address", || {
            named(&self.status()["listeners"], listener)["address"].as_str()?.parse().ok()
        })
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.scratch.path().join(file)
    }

    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has logged so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    // Changing it.

    /// Writes a file beside the configuration, whole: a temporary name, then a rename.
    pub fn write(&self, file: &str, content: &str) {
        let new = self.path(&format!(".{file}.new"));
        fs::write(&new, content).expect("the directory can be written");
        fs::rename(new, self.path(file)).expect("a file can be renamed");
    }

    /// What [`Setup::logs`] is from the next [`Node::configure`] on.
    pub fn set_logs(&mut self, logs: &str) {
        self.setup.logs = logs.to_owned();
    }

    /// Replaces the configuration (as [`Node::start`] takes it) without a word to the node.
    pub fn configure(&self, configuration: &str) {
        self.write("portcullis.yaml", &whole(&self.setup, self.metrics, configuration));
    }

    /// `portcullis reload`, which must be acknowledged.
    pub fn reload(&self) {
        self.command("reload").success();
    }

    /// `portcullis reload`, which must be refused; what it says.
    pub fn reload_refused(&self) -> String {
        let ended = self.command("reload");
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        ended.said()
    }

    /// A subcommand against this node's admin socket.
    pub fn command(&self, command: &str) -> Ended {
        portcullis(&[command, "--config", self.path("portcullis.yaml").to_str().expect("UTF-8")])
    }

    /// `portcullis trust COMMAND ARGUMENTS` against this node.
    pub fn trust(&self, command: &str, arguments: &[&str]) -> Ended {
        let config = self.path("portcullis.yaml");
        let node = ["trust", command, "--config", config.to_str().expect("UTF-8")];
        portcullis(&[&node, arguments].concat())
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process has an id"), signal).expect("the node is our child");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        wait::until("the node to end", || self.child.try_wait().expect("the node is our child"))
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the node is our child").is_none()
    }

    // Looking at it.

    /// The body of a page of the metrics listener.
    pub fn page(&self, path: &str) -> String {
        let mut client = Client::plain(self.metrics);
        let answer = client
            .ask(&format!("GET {path} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// The status of a page of the metrics listener; none while nobody listens.
    pub fn probe(&self, path: &str) -> Option<u16> {
        let mut client = Client::on(try_connect(self.metrics).ok()?);
        let request = format!("GET {path} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n");
        client.try_send(request).ok()?;
        client.try_answer("GET").ok().map(|answer| answer.status)
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.page("/status")).expect("/status is JSON")
    }

    pub fn generation(&self) -> u64 {
        self.status()["generation"].as_u64().expect("a generation is a number")
    }

    /// The sum of the series of a metric whose labels include these (`listener="a"`).
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.page("/metrics");
        let series = page.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with(['{', ' ']));
        series
            .filter(|rest| labels.iter().all(|label| rest.contains(label)))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until a metric has this value: shards fold their counters in a few times a second.
    pub fn metric_becomes(&self, name: &str, labels: &[&str], value: f64) {
        wait::until(&format!("{name}{labels:?} to be {value}"), || {
            ((self.metric(name, labels) - value).abs() < 0.5).then_some(())
        });
    }

    /// The lines of the connection log so far.
    pub fn log(&self) -> Vec<String> {
        self.lines_of("connection.log")
    }

    /// Line `index` of `access.log`, when it has come.
    pub fn access_line(&self, index: usize) -> AccessLine {
        let line = wait::until("a line in the access log", || {
            self.lines_of("access.log").get(index).cloned()
        });
        AccessLine::read(&line)
    }

    /// The whole lines of a file so far.
    pub fn lines_of(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(file)).unwrap_or_default();
        // A line without its end is still being written.
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(str::to_owned)
            .collect()
    }

    /// Line `index` of the connection log, when it has come.
    pub fn log_line(&self, index: usize) -> String {
        wait::until("a line in the connection log", || self.log().get(index).cloned())
    }

    /// Panics in connections: bugs, every one.
    pub fn assert_no_panic(&self) {
        assert!(self.metric("portcullis_panics_total", &[]) < 0.5, "{}", self.stderr());
        assert!(!self.stderr().contains("panicked at"), "{}", self.stderr());
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most resident memory since [`Node::forget_most_resident`], in KiB.
    pub fn most_resident_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// Begins a new measurement of the most resident memory. Source: proc_pid_clear_refs(5).
    pub fn forget_most_resident(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("the node is our child");
    }

    /// Processor time that the node has used. Source: proc_pid_stat(5), fields 14 and 15, in units of which Linux has
    /// 100 in a second.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // The second field is a name in parentheses, which may have spaces.
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let times = behind_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(10 * ticks)
    }

    fn memory_kib(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.expect("the kernel says how much memory the node has")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("node in {}:\n{}", self.scratch.path().display(), self.stderr());
        } else {
            assert!(!self.stderr().contains("panicked at"), "{}", self.stderr());
        }
    }
}

/// Starts the binary; it adds to the file `stderr` beside the configuration.
fn spawn(setup: &Setup, configuration: &Path) -> Child {
    let stderr = configuration.with_file_name("stderr");
    let stderr = fs::OpenOptions::new().append(true).create(true).open(stderr);
    let mut words = setup.under.clone();
    words.push(BINARY);
    Command::new(words[0])
        .args(&words[1..])
        .args(["serve", "--config"])
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr.expect("a file can be made"))
        .spawn()
        .expect("the binary starts")
}

/// Runs the binary to its end.
pub fn portcullis(arguments: &[&str]) -> Ended {
    tools::run(BINARY, arguments, b"")
}

/// The element of a list of objects that has this name.
pub fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().into_iter().flatten().find(|object| object["name"] == name);
    found.unwrap_or(&Value::Null)
}

/// The whole configuration file of a node.
fn whole(setup: &Setup, metrics: SocketAddr, configuration: &str) -> String {
    let Setup { shards, io, format, logs, node, .. } = setup;
    format!(
        "node: {{name: edge-1, shards: {shards}, io: {io}{node}}}\n\
         admin: {{bind: \"unix:portcullis.sock\"}}\n\
         metrics: {{bind: \"{metrics}\"}}\n\
         logs: {{connection: connection.log, format: {format}{logs}}}\n\
         {configuration}\n"
    )
}

/// Pieces of configuration that most tests share.
pub mod piece {
    use super::pki;

    /// Certificates `ecdsa` (the first of most listeners) and `rsa`.
    pub fn certificates() -> String {
        let entry = |name: &str, file: &str| {
            let (chain, key) =
                (pki().path(&format!("{file}.crt")), pki().path(&format!("{file}.key")));
            format!("  - {{name: {name}, chain: {chain}, key: {key}}}\n")
        };
        format!("certificates:\n{}{}", entry("ecdsa", "server-ecdsa"), entry("rsa", "server-rsa"))
    }

    /// Trust store `partners`: the root, the issuing CA, and the list that names `revoked`.
    pub fn partners() -> String {
        let (bundle, list) = (pki().path("partners.pem"), pki().path("naming.crl"));
        format!(
            "trust_stores:\n  - {{name: partners, ca_certificates_bundle: {bundle}, \
             revocations: [{list}]}}\n"
        )
    }

    /// The load balancer with a mode of desync mitigation.
    pub fn desync(mode: &str) -> String {
        format!("load_balancer: {{attributes: {{routing.http.desync_mitigation_mode: {mode}}}}}\n")
    }

    /// The load balancer with an idle timeout, of clients and targets alike.
    pub fn idle_timeout(seconds: u32) -> String {
        format!("load_balancer: {{attributes: {{idle_timeout.timeout_seconds: {seconds}}}}}\n")
    }

    /// A listener's field: heads may come as slowly as the idle timeout lets them.
    pub const SLOW_HEADS: &str = "slow_clients: {request_head_timeout_seconds: 4000}";

    /// Target group `targets` with these entries (see `target::entry`).
    pub fn targets(entries: &[String]) -> String {
        format!(
            "target_groups:\n  - {{name: targets, protocol: HTTP, targets: [{}]}}\n",
            entries.join(", ")
        )
    }

    /// Target group `targets` of this protocol version with these entries.
    pub fn targets_of(version: &str, entries: &[String]) -> String {
        targets(entries).replace("protocol: HTTP", &format!("protocol_version: {version}"))
    }

    /// An HTTP listener on loopback that forwards to `targets`; `more` are further fields.
    pub fn http(name: &str, more: &str) -> String {
        format!(
            "  - name: {name}\n    bind: 127.0.0.1:0\n    protocol: HTTP\n{}    \
             default_actions: [{{type: forward, target_group: targets}}]\n",
            lines(more)
        )
    }

    /// The same over TLS, with certificate `ecdsa` unless `more` says `certificates`.
    pub fn https(name: &str, more: &str) -> String {
        let certificates =
            if more.contains("certificates:") { "" } else { "    certificates: [ecdsa]\n" };
        http(name, more).replace("protocol: HTTP\n", &format!("protocol: HTTPS\n{certificates}"))
    }

    /// `mutual_authentication` in mode `verify` against `partners`; `more` are further fields.
    pub fn verify(more: &str) -> String {
        let comma = if more.is_empty() { "" } else { ", " };
        format!("mutual_authentication: {{mode: verify, trust_store: partners{comma}{more}}}")
    }

    /// Fields of a listener, one a line, indented.
    fn lines(more: &str) -> String {
        more.lines().map(|line| format!("    {}\n", line.trim_start())).collect()
    }
}
