//! Nothing is smuggled past a node: nginx, Apache and HAProxy see as many requests as it counted, for each
//! message that readers could take for another.
//!
//! In the mode that lets in most (`monitor`), over connections that they and the node keep.
use crate::corpus::message;
use crate::support::client::connect;
use crate::support::node::piece;
use crate::support::port::free_port;
use crate::support::scratch::Scratch;
use crate::support::server::Server;
use crate::support::target::{entry, find};
use crate::support::{Node, long, wait};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a request may take to be logged that perhaps is not, because it breaks off.
const MOMENT: Duration = Duration::from_secs(5);

/// A server that logs each request that it sees: its status and its request line.
struct Witness {
    /// Whether it takes methods with lower case letters, which are tokens like any other.
    takes_lower_case: bool,
    log: PathBuf,
    /// Lines that were looked at.
    looked_at: usize,
    port: u16,
    server: Server,
    scratch: Scratch,
}

impl Witness {
    /// Starts a server with a configuration, which has the directory for `ROOT` and the port for `PORT`.
    fn start(program: &str, arguments: &[&str], configuration: &str) -> Self {
        let scratch = Scratch::new("witness");
        let (root, port) = (scratch.path().to_str().unwrap().to_owned(), free_port());
        let configuration = configuration.replace("ROOT", &root).replace("PORT", &port.to_string());
        let file = scratch.path().join("configuration");
        fs::write(&file, configuration).unwrap();
        let stdout = File::create(scratch.path().join("stdout")).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg(&file);
        let server = Server::start(&mut command, port, Stdio::from(stdout));
        let log = scratch.path().join("seen");
        Self { takes_lower_case: true, log, looked_at: 0, port, server, scratch }
    }

    fn nginx() -> Self {
        // Debian's, which is not on the path of an ordinary user.
        let witness = Self::start(
            "/usr/sbin/nginx",
            &["-e", "stderr", "-c"],
            "daemon off; pid ROOT/pid; error_log ROOT/error; events {}\n\
             http {\n  log_format seen '$status $request'; access_log ROOT/seen seen;\n\
             client_body_temp_path ROOT/b; proxy_temp_path ROOT/p; fastcgi_temp_path ROOT/f;\n\
             uwsgi_temp_path ROOT/u; scgi_temp_path ROOT/s; keepalive_requests 1000000;\n\
             server { listen 127.0.0.1:PORT; location / { return 200 seen; } }\n}\n",
        );
        Self { takes_lower_case: false, ..witness }
    }

    fn apache() -> Self {
        Self::start(
            "/usr/sbin/apache2",
            &["-D", "FOREGROUND", "-f"],
            "ServerRoot ROOT\nServerName localhost\nPidFile ROOT/pid\nMutex posixsem\n\
             User www-data\nGroup www-data\nErrorLog ROOT/error\nListen 127.0.0.1:PORT\n\
             LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
             LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
             LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so\n\
             MaxKeepAliveRequests 0\nKeepAliveTimeout 60\nRedirectMatch 410 .\n\
             LogFormat \"%>s %r\" seen\nCustomLog ROOT/seen seen\n",
        )
    }

    fn haproxy() -> Self {
        let mut witness = Self::start(
            "/usr/sbin/haproxy",
            &["-f"],
            "global\n  log stdout format raw local0\ndefaults\n  mode http\n  log global\n\
             log-format \"%ST %HM %HU %HV\"\n  option dontlognull\n  timeout client 60s\n\
             timeout connect 5s\n  timeout server 60s\n\
             frontend seen\n  bind 127.0.0.1:PORT\n\
             http-request return status 200 content-type text/plain string seen\n",
        );
        witness.log = witness.scratch.path().join("stdout");
        witness
    }

    /// Whether it has answered a request that it has logged so with a 400 that nothing explains: what it found wrong
    /// with it, it may have found elsewhere than the node did.
    fn is_at_odds(&self, line: &str) -> bool {
        let Some(method) = line.strip_prefix("400 ").and_then(|line| line.split(' ').next()) else {
            return false;
        };
        self.takes_lower_case || !method.bytes().any(|byte| byte.is_ascii_lowercase())
    }

    /// What it has seen that was not looked at yet, once that is so many, or after so long.
    fn seen(&mut self, count: usize, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let new = whole.skip(self.looked_at).map(|line| line.trim_end().to_owned());
            let new: Vec<_> = new.collect();
            if new.len() >= count || Instant::now() > deadline {
                self.looked_at += new.len();
                return new;
            }
            wait::pause();
        }
    }
}

fn counted(node: &Node) -> usize {
    node.metric("portcullis_upstream_requests_total", &[]) as usize
}

fn sees_what_the_node_counted(mut witness: Witness) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, witness.port));
    let node = Node::start(
        &[
            piece::desync("monitor"),
            piece::targets(&[entry(address)]),
            "listeners:\n".to_owned(),
            piece::http("plain", ""),
        ]
        .concat(),
    );
    let listener = node.address("plain");
    let count: u64 = if long() { 10_000 } else { 1_000 };
    let (mut total, mut wrong) = (0, Vec::new());
    for number in 0..count {
        let message = message(number);
        let mut client = connect(listener);
        // The node may answer and close before it has read all of it.
        let _ = client.write_all(&message);
        let _ = client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        let now = counted(&node);
        // A request whose body breaks off or cannot be read is counted, and answered by the node; its target
        // may get none of it.
        let broke_off =
            find(&answer, b"HTTP/1.1 400 Bad Request\r\nServer: portcullis\r\n").is_some();
        let seen = witness.seen(now - total, if broke_off { MOMENT } else { wait::PATIENCE });
        let is_missing = seen.len() < now - total && !broke_off;
        // A body that breaks off breaks off for the witness, too.
        let whole = seen.len().saturating_sub(usize::from(broke_off));
        let is_at_odds = seen[..whole].iter().any(|line| witness.is_at_odds(line));
        if seen.len() > now - total || is_missing || is_at_odds {
            wrong.push(format!(
                "{number}, {} counted: {}\n  {seen:?}\n  {}",
                now - total,
                message.escape_ascii(),
                answer.escape_ascii()
            ));
        }
        total = now;
    }
    assert!(wrong.is_empty(), "{} messages\n{}", wrong.len(), wrong.join("\n"));
    // The test means something only while much is let in.
    assert!(total as u64 * 4 > count, "{total} of {count}");
    // Nothing came late.
    let log = witness.log.clone();
    let (looked_at, scratch) = (witness.looked_at, witness.scratch);
    drop(witness.server);
    let lines = fs::read_to_string(&log).unwrap().lines().count();
    assert_eq!(lines, looked_at);
    drop(scratch);
    node.assert_no_panic();
}

#[test]
fn nginx_sees_as_many_requests_as_the_node_counted() {
    sees_what_the_node_counted(Witness::nginx());
}

#[test]
fn apache_sees_as_many_requests_as_the_node_counted() {
    sees_what_the_node_counted(Witness::apache());
}

#[test]
fn haproxy_sees_as_many_requests_as_the_node_counted() {
    sees_what_the_node_counted(Witness::haproxy());
}
