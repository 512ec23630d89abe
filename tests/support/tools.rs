//! The real clients: curl, `openssl`, and other programs. A missing one fails the test.
use super::pki::pki;
use super::scratch::Scratch;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// Where `tests/run` puts the Python packages that the tests use.
pub const PYTHON_PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");

/// The interpreter that they are for: Debian's, as its `pip3` fetches them.
pub const PYTHON: &str = "/usr/bin/python3";

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Both streams, for a search that does not care which.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.said());
        self
    }
}

/// Runs a program to its end; `timeout` ends it after ten minutes. Some of them compute, and a busy machine has
/// little time for each.
pub fn run<S: AsRef<str>>(program: &str, arguments: &[S], stdin: &[u8]) -> Ended {
    let mut command = Command::new("timeout");
    command.arg("600").arg(program).args(arguments.iter().map(AsRef::as_ref));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`timeout` of coreutils starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    let bytes = stdin.to_vec();
    // On a thread of its own: a program that stops reading must not stop us.
    let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().expect("the program can be waited for");
    writer.join().expect("writing does not panic");
    assert_ne!(
        output.status.code(),
        Some(127),
        "{program} is missing; tests/run installs what the tests need"
    );
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The client certificate of a handshake: a name in the PKI, and the form in which it is given.
#[derive(Clone, Copy, Debug)]
pub enum Identity {
    None,
    Pem(&'static str),
    Pfx(&'static str),
}

/// The protocol version that a client insists on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    V12,
    V13,
}

impl Tls {
    pub const BOTH: [Self; 2] = [Self::V12, Self::V13];

    /// As the logs spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V12 => "TLSv1.2",
            Self::V13 => "TLSv1.3",
        }
    }
}

/// `curl` with these arguments, quiet, without the user's own settings.
pub fn curl(arguments: &[&str]) -> Ended {
    run("curl", &[&["-q", "-sS", "-m", "50"], arguments].concat(), b"")
}

/// `curl https://NAME:PORT/` against a node on loopback; the answer's status is the last line.
pub fn curl_https(
    address: SocketAddr,
    name: &str,
    identity: Identity,
    tls: Tls,
    more: &[&str],
) -> Ended {
    let pki = pki();
    let (port, root) = (address.port(), pki.path("root.crt"));
    let (url, resolve) =
        (format!("https://{name}:{port}/"), format!("{name}:{port}:{}", address.ip()));
    let mut arguments = vec!["-w", "\n%{http_code}", "--cacert", &root, "--resolve", &resolve];
    match tls {
        Tls::V12 => arguments.extend(["--tlsv1.2", "--tls-max", "1.2"]),
        Tls::V13 => arguments.extend(["--tlsv1.3"]),
    }
    let (certificate, key);
    match identity {
        Identity::None => {}
        Identity::Pem(client) => {
            (certificate, key) =
                (pki.path(&format!("{client}.crt")), pki.path(&format!("{client}.key")));
            arguments.extend(["--cert", &certificate, "--key", &key]);
        }
        Identity::Pfx(client) => {
            certificate =
                format!("{}:{}", pki.path(&format!("{client}.pfx")), super::pki::PASSWORD);
            arguments.extend(["--cert-type", "P12", "--cert", &certificate]);
        }
    }
    arguments.extend(more);
    arguments.push(&url);
    let lenient = lenient();
    let program = [lenient.as_str(), "curl", "-q", "-sS", "-m", "50"];
    run("env", &[&program[..], &arguments].concat(), b"")
}

/// Whether curl was refused by the node: 35 while the handshake runs, 56 or 55 where TLS 1.3 tells the
/// client only afterwards (16 where it speaks HTTP/2 by then); curl makes 60 of `certificate_expired` and
/// 98 of `certificate_required`.
pub fn curl_was_refused(ended: &Ended) -> bool {
    matches!(ended.code, Some(16 | 35 | 55 | 56 | 60 | 98)) && ended.stdout.ends_with("\n000")
}

/// A setting for `env`: Debian's OpenSSL would refuse to use the weak key that the node must refuse.
fn lenient() -> String {
    format!("OPENSSL_CONF={}", pki().path("lenient.cnf"))
}

/// `openssl s_client`, which sends `request` and reads until the node closes.
pub fn s_client(
    address: SocketAddr,
    identity: Identity,
    tls: Tls,
    more: &[&str],
    request: &str,
) -> Ended {
    let pki = pki();
    let (to, root) = (address.to_string(), pki.path("root.crt"));
    let mut arguments = vec!["s_client", "-connect", &to, "-CAfile", &root, "-ign_eof"];
    arguments.push("-verify_return_error");
    arguments.push(match tls {
        Tls::V12 => "-tls1_2",
        Tls::V13 => "-tls1_3",
    });
    let (certificate, key, scratch);
    match identity {
        Identity::None => {}
        Identity::Pem(client) => {
            (certificate, key) =
                (pki.path(&format!("{client}.crt")), pki.path(&format!("{client}.key")));
            arguments.extend(["-cert", &certificate, "-cert_chain", &certificate, "-key", &key]);
        }
        // OpenSSL 3.0 makes its users take a PFX file apart first.
        Identity::Pfx(client) => {
            scratch = Scratch::new("pfx");
            certificate = scratch.path().join("client.pem").to_str().expect("UTF-8").to_owned();
            let (pfx, password) =
                (pki.path(&format!("{client}.pfx")), format!("pass:{}", super::pki::PASSWORD));
            let apart = ["pkcs12", "-in", &pfx, "-passin", &password, "-nodes"];
            run("openssl", &[&apart[..], &["-out", &certificate]].concat(), b"").success();
            arguments.extend(["-cert", &certificate, "-cert_chain", &certificate]);
            arguments.extend(["-key", &certificate]);
        }
    }
    arguments.extend(more);
    let lenient = lenient();
    let program = [lenient.as_str(), "openssl"];
    run("env", &[&program[..], &arguments].concat(), request.as_bytes())
}

/// The number of the alert that `openssl s_client` was sent.
pub fn alert_number(ended: &Ended) -> Option<u8> {
    let (_, behind) = ended.stderr.split_once("SSL alert number ")?;
    behind.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
