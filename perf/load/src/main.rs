//! `portcullis-load`: load on any TLS server, and what came of it.
//!
//! A command ([`handshake`], [`requests`], [`idle`], [`swap`]) makes a plan from its [`options`], which is carried out by several
//! threads, each with an event loop of its own ([`run`]). They open connections ([`dial`], [`connection`]) with
//! what [`tls`] offers, as an [`identity`], and ask by [`http`]. Counts and latencies are summed up in a
//! [`tally`], with a [`timeline`] and [`events`], and told as a table and as JSON ([`report`]).
//!
//! Exit status: 0 when every attempt succeeded, 1 when some failed, 2 when nothing was measured: a wrong
//! option, a file that cannot be used, a server that cannot be reached or that refuses the first attempt.
mod connection;
mod dial;
mod events;
mod failure;
mod handshake;
mod http;
mod identity;
mod idle;
mod options;
mod probe;
mod report;
mod requests;
mod run;
mod swap;
mod tally;
mod timeline;
mod tls;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Load on any TLS server, with client certificates, in a closed or an open loop.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 when every attempt succeeded, 1 when some failed (the table says how), 2 when nothing was
measured: a wrong option, a file that cannot be used, or a server that refuses the very first attempt.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Open connections: a handshake, full or resumed, then requests, close
    Handshake(handshake::Options),
    /// Requests on connections that are kept, by HTTP/1.1 or HTTP/2
    Requests(requests::Options),
    /// Open connections and hold them
    Idle(idle::Options),
    /// A steady load while trust or certificates change, and every refusal with its time
    Swap(swap::Options),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return tell(&error),
    };
    let outcome = match arguments.command {
        Command::Handshake(options) => handshake::run(&options),
        Command::Requests(options) => requests::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Swap(options) => swap::run(&options),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => nothing_measured(&fault),
    }
}

/// What clap has to say: help where it was asked for or nothing was given, and otherwise one sentence.
fn tell(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    let text = error.to_string();
    let sentence = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let sentence = sentence.collect::<Vec<_>>().join(" ");
    nothing_measured(sentence.strip_prefix("error: ").unwrap_or(&sentence))
}

fn nothing_measured(why: &str) -> ExitCode {
    eprintln!("portcullis-load: {why}");
    ExitCode::from(2)
}
