//! Command line of Portcullis: what each command prints, and its exit status.
mod trust_command;

use clap::{Parser, Subcommand};
use portcullis::api::{client, explain};
use portcullis::clock;
use portcullis::config::load::{self, Endpoint};
use portcullis::config::schema;
use portcullis::demo::Demo;
use portcullis::process::{log, start};
use portcullis::trust::explain::certificates_alone;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A load-balancer edge node: mutual TLS at the front tier, one shard for each core.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
A first look:  portcullis demo
A first node:  portcullis check --config portcullis.yaml && portcullis serve --config portcullis.yaml

Exit status: 0 when all went well, 1 when not (what is wrong is printed), 2 for a wrong command line.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node until SIGTERM or Ctrl-C; SIGHUP and changed files reload it
    Serve(File),
    /// List everything that is wrong with a configuration, each fault with its path and line
    Check(File),
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Have a running node read its files anew; answers when every shard works by them
    Reload(Reload),
    /// Have a running node stop accepting, finish what is in flight, and exit
    Drain(Socket),
    /// Print what a running node says of itself, as JSON
    Status(Socket),
    /// Say how a client would be judged, and why: by the files of a configuration, or by a running node
    Explain(Explain),
    /// Look at trust stores and change them
    #[command(subcommand)]
    Trust(trust_command::Trust),
    /// Try it: a throw-away PKI, two targets, three listeners, and commands to paste
    Demo,
}

#[derive(Debug, clap::Args)]
struct File {
    /// The configuration file (YAML or JSON)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Socket {
    /// The node's configuration file, which names its admin socket
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's admin socket
    #[arg(long, value_name = "unix:PATH")]
    admin: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Reload {
    #[command(flatten)]
    node: Socket,
    /// Change nothing; say which of the clients seen lately would be judged otherwise
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: reload this configuration file in the place of the node's own
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    candidate: Option<PathBuf>,
    /// With --dry-run: answer as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Explain {
    #[command(flatten)]
    node: Socket,
    /// With --config: ask the node that runs with it, instead of reading its files
    #[arg(long, requires = "config")]
    running: bool,
    /// The listener that the client connects to
    #[arg(long, value_name = "NAME")]
    listener: String,
    /// The server name that the client asks for (SNI)
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// What the client sends: its certificate and intermediates, leaf first (PEM, or one in DER)
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Another time than now: 2027-01-02, 2027-01-02T03:04:05Z, or @ and seconds since 1970
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(file) => serve(&file.config),
        Command::Check(file) => check(&file.config),
        Command::Schema => print(&format!("{:#}", schema::schema())),
        Command::Reload(Reload { node, dry_run: false, .. }) => {
            ask(&node, |socket| async move { client::reload(&socket).await })
        }
        Command::Reload(asked) => dry_run(&asked),
        Command::Drain(socket) => {
            ask(&socket, |socket| async move { client::drain(&socket).await })
        }
        Command::Status(socket) => {
            ask(&socket, |socket| async move { client::status(&socket).await })
        }
        Command::Explain(question) => explain(&question),
        Command::Trust(command) => command.run(),
        Command::Demo => demo(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(path: &Path) -> Result<(), String> {
    log::start();
    start::serve(path, || {}).map_err(|error| error.to_string())
}

fn check(path: &Path) -> Result<(), String> {
    let warnings = load::check(path).map_err(|faults| faults.to_string())?;
    let mut lines: Vec<String> =
        warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    lines.push(format!("{}: no faults", path.display()));
    print(&lines.join("\n"))
}

fn demo() -> Result<(), String> {
    log::start_quiet();
    let demo = Demo::prepare(&Demo::usual_directory()).map_err(|error| error.to_string())?;
    start::serve(&demo.configuration(), || {
        // A closed output ends nobody's demo.
        let _ = print(&demo.banner());
    })
    .map_err(|error| error.to_string())
}

/// What a reload would change; the node reads the files, wherever this command runs.
fn dry_run(asked: &Reload) -> Result<(), String> {
    let candidate = match &asked.candidate {
        Some(path) => Some(std::path::absolute(path).map_err(|error| error.to_string())?),
        None => None,
    };
    let candidate = candidate.map(|path| path.display().to_string());
    let answer =
        talk(
            &asked.node,
            |socket| async move { client::dry_run(&socket, candidate.as_deref()).await },
        )?;
    trust_command::answer(asked.json, &answer, client::dry_run_in_words)
}

fn explain(asked: &Explain) -> Result<(), String> {
    let file = std::fs::read(&asked.cert);
    let file = file.map_err(|error| format!("{}: {error}", asked.cert.display()))?;
    let chain =
        certificates_alone(&file).map_err(|error| format!("{}: {error}", asked.cert.display()))?;
    let question = explain::Question {
        listener: asked.listener.clone(),
        server_name: asked.server_name.clone(),
        at: asked.at.clone(),
    };
    let answer =
        match &asked.node.config {
            Some(config) if !asked.running => {
                let loaded = load::look(config).map_err(|faults| faults.to_string())?;
                let state = loaded.state();
                explain::answer(&loaded.live, state.as_deref(), &question, &chain, clock::now())?
            }
            Some(_) | None => talk(&asked.node, |socket| async move {
                client::explain(&socket, &question, chain).await
            })?,
        };
    match answer["text"].as_str() {
        Some(text) if !asked.json => print(text),
        Some(_) | None => print(&format!("{answer:#}")),
    }
}

/// Talks to a node through its admin socket and prints the answer.
fn ask<F>(socket: &Socket, question: impl FnOnce(PathBuf) -> F) -> Result<(), String>
where
    F: Future<Output = Result<String, client::Failure>>,
{
    print(&talk(socket, question)?)
}

/// Talks to a node through its admin socket.
fn talk<F, T>(socket: &Socket, question: impl FnOnce(PathBuf) -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, client::Failure>>,
{
    let path = admin_socket(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(question(path)).map_err(|failure| failure.to_string())
}

fn admin_socket(socket: &Socket) -> Result<PathBuf, String> {
    match (&socket.admin, &socket.config) {
        (Some(address), _) => address
            .strip_prefix("unix:")
            .map(PathBuf::from)
            .ok_or_else(|| format!("{address}: an admin socket is written unix:PATH")),
        (None, Some(file)) => {
            load::admin(file).map(|Endpoint::Unix(path)| path).map_err(|faults| faults.to_string())
        }
        (None, None) => Err("name the node by --config or --admin".to_owned()),
    }
}

/// Prints to standard output; a reader that went away is not our fault.
fn print(text: &str) -> Result<(), String> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}
