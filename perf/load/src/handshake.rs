//! `portcullis-load handshake`: new connections, each with a full handshake.
use crate::attempt::Target;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::report::{Report, Setting};
use crate::run::{self, Bounds, Pace, Plan};
use crate::tally::LATENCY_MAX;
use crate::tls::Terms;
use clap::Args;
use rustls_pki_types::ServerName;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

/// How long a run lasts that nobody has set a bound.
const DURATION: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to connect to
    #[arg(long, value_name = "HOST:PORT")]
    connect: String,
    /// The name to ask for (SNI, Host), which the server's certificate must have; without: HOST
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The CAs that the server's certificate must come from (PEM)
    #[arg(long, value_name = "FILE", required_unless_present = "insecure")]
    ca: Option<PathBuf>,
    /// Believe any server, and spend nothing on looking
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// The client's chain, leaf first (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The client's key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Many clients in turn: a directory of NAME.crt and NAME.key
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "cert")]
    clients: Option<PathBuf>,
    /// Offer this key exchange alone, such as X25519
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Offer this cipher suite alone, such as TLS13_AES_128_GCM_SHA256
    #[arg(long, value_name = "NAME")]
    cipher: Option<String>,
    /// GET requests on each connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// What the requests ask for
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,
    /// Closed loop: so many connections at any time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// Open loop: so many connections begun in each second, whatever becomes of them; latency counts from
    /// the moment when each was due
    #[arg(long, value_name = "N", conflicts_with = "concurrency", value_parser = rate)]
    rate: Option<f64>,
    /// End after so many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds; 10 where no --count is given
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Time for one connection with all its requests
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = timeout)]
    timeout: Duration,
    /// Threads; without: one for each CPU that may be used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Write the result to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Makes one attempt to see that it can be done, and then the load. Answers how many attempts failed.
///
/// # Errors
/// A sentence that says why nothing was measured.
pub(crate) fn run(options: &Options) -> Result<u64, String> {
    let plan = plan(options)?;
    try_first(&plan, &options.connect)?;
    let setting = Setting {
        work: "handshake",
        connect: options.connect.clone(),
        server_name: plan.target.server_name.to_str().into_owned(),
        clients: if options.shows_certificates() { plan.clients.len() } else { 0 },
        requests_per_connection: options.requests,
        threads: plan.threads,
        pace: plan.pace,
    };
    let outcome = plan.carry_out().map_err(|error| format!("cannot go on: {error}"))?;
    let report = Report::new(setting, &outcome);
    println!("{report}");
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        fs::write(path, json + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(outcome.tally.failed())
}

fn plan(options: &Options) -> Result<Plan, String> {
    let address = resolve(&options.connect)?;
    let host = options.connect.rsplit_once(':').map_or("", |(host, _)| host);
    let name = options.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']);
    let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
        format!("{name}: neither a server's name nor an address; say --server-name")
    })?;
    let ca = options.ca.as_deref();
    let terms = Terms::new(ca, options.group.as_deref(), options.cipher.as_deref())?;
    let identities = options.identities()?;
    let clients = if identities.is_empty() {
        vec![terms.client(None)?]
    } else {
        let clients = identities.into_iter().map(|identity| terms.client(Some(identity)));
        clients.collect::<Result<_, _>>()?
    };
    let pace = match options.rate {
        Some(rate) => Pace::Rate(rate),
        None => Pace::Concurrency(options.concurrency as usize),
    };
    let unbounded = options.count.is_none() && options.duration.is_none();
    let duration = if unbounded { Some(DURATION) } else { options.duration };
    let threads = match options.threads {
        Some(threads) => threads.into(),
        None => thread::available_parallelism().map_or(1, usize::from),
    };
    let Options { path, requests, timeout, count, .. } = options;
    Ok(Plan {
        target: Target {
            address,
            server_name,
            path: path.clone(),
            requests: *requests,
            timeout: *timeout,
        },
        clients,
        pace,
        bounds: Bounds { count: *count, duration },
        threads,
    })
}

impl Options {
    fn shows_certificates(&self) -> bool {
        self.cert.is_some() || self.clients.is_some()
    }

    fn identities(&self) -> Result<Vec<Identity>, String> {
        match (&self.cert, &self.key, &self.clients) {
            (Some(cert), Some(key), _) => Ok(vec![Identity::read(cert, key)?]),
            (_, _, Some(directory)) => Identity::read_directory(directory),
            _ => Ok(Vec::new()),
        }
    }
}

fn resolve(connect: &str) -> Result<SocketAddr, String> {
    let mut addresses =
        connect.to_socket_addrs().map_err(|error| format!("--connect {connect}: {error}"))?;
    addresses.next().ok_or_else(|| format!("--connect {connect}: the name has no address"))
}

/// One attempt by the first client, so that whoever got an option wrong is told what, not how often.
fn try_first(plan: &Plan, connect: &str) -> Result<(), String> {
    let Some(client) = plan.clients.first() else { return Ok(()) };
    let event_loop = run::event_loop().map_err(|error| error.to_string())?;
    let first = async {
        plan.target.attempt(client).await?.close().await;
        Ok(())
    };
    event_loop.block_on(first).map_err(|failure| match failure {
        Failure::Refused => format!("{connect}: nobody listens there"),
        Failure::Alert(_) => format!("{connect} refused the first attempt: {failure}"),
        Failure::Status(_) => format!("{connect} answered the first request with {failure}"),
        Failure::ServerCertificate => format!(
            "{connect}: the server's certificate does not come from --ca or is not for {}",
            plan.target.server_name.to_str(),
        ),
        Failure::Reset
        | Failure::Closed
        | Failure::Timeout
        | Failure::Answer
        | Failure::Tls
        | Failure::Exhausted
        | Failure::System(_) => format!("{connect}: the first attempt failed: {failure}"),
    })
}

fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path {
        Ok(text.to_owned())
    } else {
        Err("a path begins with / and has no spaces".to_owned())
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "expected 0.001 to 10,000,000 a second".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=1_000_000.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected a number of seconds".to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = seconds(text)?;
    if timeout < LATENCY_MAX {
        Ok(timeout)
    } else {
        Err("expected less than 1000 seconds".to_owned())
    }
}
