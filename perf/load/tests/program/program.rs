//! Running the program, and what it says.
use crate::pki::Pki;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

/// How a run ended: what it said, and its JSON if there is any.
pub(crate) struct Run {
    pub(crate) output: Output,
    pub(crate) told: Value,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-load"));
    command.args(arguments);
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs a command against a server that has a certificate of this CA.
pub(crate) fn load(pki: &Pki, work: &str, address: SocketAddr, more: &[&str]) -> Run {
    let (json, ca, address) = (pki.path("load.json"), pki.path("ca.crt"), address.to_string());
    let known = [work, "--connect", &address, "--server-name", "localhost", "--json", &json];
    let output = run(&[&known[..], &["--ca", &ca], more].concat());
    // Empty where the load could not go on.
    let told = fs::read(&json)
        .ok()
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| serde_json::from_slice(&bytes).unwrap());
    let told = told.unwrap_or_default();
    if told != Value::Null {
        assert_all_is_counted(&told);
    }
    Run { output, told }
}

/// The same as both clients of the CA, in turn.
pub(crate) fn load_as_clients(pki: &Pki, work: &str, address: SocketAddr, more: &[&str]) -> Run {
    let clients = pki.path("clients");
    load(pki, work, address, &[&["--clients", &clients], more].concat())
}

/// Goal: no attempt is lost between the tally's parts. Whatever was attempted has succeeded or failed in one
/// way, and the timeline holds the same.
fn assert_all_is_counted(told: &Value) {
    let number = |value: &Value| value.as_u64().unwrap();
    let sum = |values: &Value| -> u64 {
        let of_object = values.as_object().into_iter().flat_map(|object| object.values());
        of_object.chain(values.as_array().into_iter().flatten()).map(number).sum()
    };
    let (done, failed) = (number(&told["done"]), number(&told["failed"]));
    assert_eq!(number(&told["attempted"]), done + failed, "{told}");
    assert_eq!(sum(&told["failures"]), failed, "{told}");
    assert_eq!(sum(&told["timeline"]["done"]), done, "{told}");
    assert_eq!(sum(&told["timeline"]["failed"]), failed, "{told}");
    assert_eq!(told["latency_us"].is_null(), done == 0, "{told}");
}

impl Run {
    /// Every attempt has succeeded.
    pub(crate) fn success(self) -> Value {
        assert_eq!(self.output.status.code(), Some(0), "{:?}", self.output);
        assert_eq!(self.told["failed"], 0);
        self.told
    }

    /// Some attempts have failed.
    pub(crate) fn failure(self) -> Value {
        assert_eq!(self.output.status.code(), Some(1), "{:?}", self.output);
        self.told
    }
}

/// The one sentence of a run that measured nothing.
pub(crate) fn sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}
