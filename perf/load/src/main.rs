//! `portcullis-load`: load on any TLS server, and what came of it.
//!
//! A command makes a plan from its options ([`handshake`]), which is carried out by several threads, each
//! with an event loop of its own ([`run`]); each connection is one [`attempt`]. Counts and latencies are
//! summed up in a [`tally`] and told as a table and as JSON ([`report`]).
//!
//! Exit status: 0 when every attempt succeeded, 1 when some failed, 2 when nothing was measured: a wrong
//! option, a file that cannot be used, a server that cannot be reached or that refuses the first attempt.
mod answer;
mod attempt;
mod failure;
mod handshake;
mod identity;
mod pace;
mod report;
mod run;
mod tally;
mod tls;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Load on any TLS server: new connections with client certificates, open or closed loop.
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
    /// Open connections: a full TLS 1.3 handshake, GET requests, close
    Handshake(handshake::Options),
}

fn main() -> ExitCode {
    let Command::Handshake(options) = Arguments::parse().command;
    match handshake::run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("portcullis-load: {fault}");
            ExitCode::from(2)
        }
    }
}
