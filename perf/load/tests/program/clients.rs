//! Who the clients are: PEM, PFX, a directory, or made by a CA key.
use crate::pki::Pki;
use crate::program::{command, load, load_as_clients, sentence};
use crate::secure_server::{OK, Request, Stream, send, serve};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A server that lets clients of the CA in, and notes the certificate of each connection but the first, which is
/// there to see whether it can be done.
fn noting(pki: &Pki) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let answer = move |request: &Request, stream: &mut Stream| {
        if request.connection > 0 {
            let leaf = stream.conn.peer_certificates().unwrap()[0].to_vec();
            notes.lock().unwrap().push(leaf);
        }
        send(stream, OK);
    };
    (serve(pki, Some(&pki.ca), answer), seen)
}

fn distinct(seen: &Mutex<Vec<Vec<u8>>>) -> usize {
    seen.lock().unwrap().iter().collect::<BTreeSet<_>>().len()
}

/// A PFX file of client `a`, made by OpenSSL.
fn pfx(pki: &Pki, more: &[&str]) -> String {
    let (crt, key, file) =
        (pki.path("clients/a.crt"), pki.path("clients/a.key"), pki.path("a.pfx"));
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs12", "-export", "-in", &crt, "-inkey", &key, "-out", &file]);
    openssl.args(["-certfile", &pki.path("ca.crt"), "-passout", "pass:secret"]).args(more);
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    file
}

#[test]
fn a_directory_of_clients_is_taken_in_turn() {
    let pki = Pki::new();
    let (address, seen) = noting(&pki);
    load_as_clients(&pki, "handshake", address, &["--count", "10"]).success();
    assert_eq!(distinct(&seen), 2);
}

#[test]
fn one_client_has_a_chain_and_a_key() {
    let pki = Pki::new();
    let (address, seen) = noting(&pki);
    let (crt, key) = (pki.path("clients/a.crt"), pki.path("clients/a.key"));
    load(&pki, "handshake", address, &["--cert", &crt, "--key", &key, "--count", "4"]).success();
    assert_eq!((distinct(&seen), seen.lock().unwrap().len()), (1, 4));
}

#[test]
fn a_ca_key_makes_as_many_clients_as_are_wanted() {
    let pki = Pki::new();
    let (address, seen) = noting(&pki);
    let (ca, key) = (pki.path("ca.crt"), pki.path("ca.key"));
    let more = ["--client-ca", &ca, "--client-ca-key", &key, "--clients", "7", "--count", "14"];
    let told = load(&pki, "handshake", address, &more).success();
    assert_eq!((distinct(&seen), &told["clients"]), (7, &7.into()));
    let more = ["--client-ca", &ca, "--client-ca-key", &key, "--clients", "many"];
    let text = sentence(&load(&pki, "handshake", address, &more).output);
    assert!(text.contains("a number is expected"), "{text}");
}

/// As OpenSSL writes them now, and as it and Windows did for decades.
#[test]
fn a_pfx_file_is_opened_by_a_password_from_a_file() {
    let pki = Pki::new();
    let (address, _) = noting(&pki);
    let (password, wrong) = (pki.path("password"), pki.path("wrong"));
    fs::write(&password, "secret\n").unwrap();
    fs::write(&wrong, "secret2\n").unwrap();
    for form in [&[][..], &["-legacy"], &["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"]]
    {
        let file = pfx(&pki, form);
        let more = ["--pfx", &file, "--password-file", &password, "--count", "2"];
        assert_eq!(load(&pki, "handshake", address, &more).success()["clients"], 1);
        let text = sentence(
            &load(&pki, "handshake", address, &["--pfx", &file, "--password-file", &wrong]).output,
        );
        assert!(text.contains("the password is wrong"), "{text}");
    }
}

#[test]
fn a_password_comes_from_the_environment_or_from_the_terminal() {
    let pki = Pki::new();
    let (address, _) = noting(&pki);
    let (file, ca, address) = (pfx(&pki, &[]), pki.path("ca.crt"), address.to_string());
    let known = ["handshake", "--connect", &address, "--server-name", "localhost", "--ca", &ca];
    let known = [&known[..], &["--count", "2", "--pfx", &file]].concat();

    let mut given = command(&known);
    let output = given.args(["--password-env", "SECRET"]).env("SECRET", "secret").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let line = format!("{} {}", env!("CARGO_BIN_EXE_portcullis-load"), known.join(" "));
    let (status, shown) = on_a_terminal(&line, b"secret\n");
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("2 done") && !shown.contains("secret"), "{shown}");
}

/// Goal: Ctrl-C at the question for a password leaves a terminal that shows what is typed.
#[test]
fn whoever_interrupts_instead_of_a_password_has_a_terminal_as_before() {
    let pki = Pki::new();
    let load = env!("CARGO_BIN_EXE_portcullis-load");
    let load =
        format!("{load} handshake --connect 127.0.0.1:1 --insecure --pfx {}", pfx(&pki, &[]));
    // A shell that survives the signal looks at the terminal afterwards.
    let line = format!("sh -c 'trap : INT; {load}; echo status $?; stty -a'");
    let (_, shown) = on_a_terminal(&line, b"sec\x03");
    assert!(shown.contains("none was typed") && shown.contains("status 2"), "{shown}");
    let words: Vec<_> = shown.split_whitespace().collect();
    assert!(words.contains(&"echo") && words.contains(&"isig"), "{shown}");
    assert!(shown.contains("eol = <undef>"), "{shown}");
}

#[test]
fn a_password_that_is_not_utf_8_is_told_as_such() {
    let pki = Pki::new();
    let file = pfx(&pki, &[]);
    let known = ["handshake", "--connect", "127.0.0.1:1", "--insecure", "--pfx", &file];
    let mut given = command(&known);
    given.args(["--password-env", "SECRET"]).env("SECRET", OsStr::from_bytes(b"\xff"));
    let text = sentence(&given.output().unwrap());
    assert!(text.contains("--password-env SECRET: its value is not UTF-8"), "{text}");

    let line = format!("{} {}", env!("CARGO_BIN_EXE_portcullis-load"), known.join(" "));
    let (status, shown) = on_a_terminal(&line, b"\xff\n");
    assert_eq!(status, Some(2), "{shown}");
    assert!(shown.contains("what was typed is not UTF-8"), "{shown}");
}

/// Runs a command on a terminal, which is `script` of util-linux, and types that when it asks for a password.
/// Answers its status, and what the terminal has shown.
fn on_a_terminal(line: &str, typed: &[u8]) -> (Option<i32>, String) {
    let mut terminal = Command::new("script");
    terminal.args(["-q", "-e", "-c", line, "/dev/null"]);
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = terminal.spawn().unwrap();
    let mut shown = Vec::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !shown.ends_with(b".pfx: ") {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    child.stdin.as_mut().unwrap().write_all(typed).unwrap();
    stdout.read_to_end(&mut shown).unwrap();
    (child.wait().unwrap().code(), String::from_utf8(shown).unwrap())
}

#[test]
fn a_password_is_nowhere_without_a_terminal() {
    let pki = Pki::new();
    let (address, _) = noting(&pki);
    let (file, ca, address) = (pfx(&pki, &[]), pki.path("ca.crt"), address.to_string());
    let mut setsid = Command::new("setsid");
    setsid.args(["--wait", env!("CARGO_BIN_EXE_portcullis-load"), "handshake"]);
    setsid.args(["--connect", &address, "--server-name", "localhost", "--ca", &ca, "--pfx", &file]);
    let text = sentence(&setsid.stdin(Stdio::null()).output().unwrap());
    assert!(text.contains("no terminal to ask on"), "{text}");
}
