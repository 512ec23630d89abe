//! What a demo prints: commands to paste, and what each should show.
use super::{CONNECTION_LOG, Demo};
use std::fmt::{self, Write};
use std::path::Path;

/// A command that is printed, and what it should show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// What it demonstrates, in a few words.
    pub title: &'static str,
    /// One line for a POSIX shell; works from any directory.
    pub command: String,
    /// What comes of it.
    pub expect: Expect,
}

/// What comes of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// It succeeds.
    Answer {
        /// The output has this in it.
        with: &'static str,
        /// And this not.
        without: Option<&'static str>,
    },
    /// It fails, because the node refused the client with this TLS alert: curl's message on standard
    /// error has it in it (in OpenSSL's words, older and newer ones alike), its exit status is not 0.
    Refused {
        /// The alert.
        alert: &'static str,
    },
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { with, without: None } => write!(f, "shows {with}"),
            Self::Answer { with, without: Some(without) } => {
                write!(f, "shows {with}, and no {without}")
            }
            Self::Refused { alert } => write!(f, "refused, {alert}"),
        }
    }
}

/// A heading of the banner and the commands below it.
struct Section {
    heading: String,
    commands: Vec<Shown>,
}

impl Demo {
    /// All commands, in the order of the banner.
    pub fn commands(&self) -> Vec<Shown> {
        self.sections().into_iter().flat_map(|section| section.commands).collect()
    }

    /// What is printed once the node is ready. Each command stands on a line of its own that begins
    /// with two spaces and `curl `; no other line does.
    pub fn banner(&self) -> String {
        let mut text = format!(
            "Portcullis demo: two targets behind three listeners on loopback.\n\
             Ctrl-C ends it and removes {}.\n",
            quoted(self.directory())
        );
        for Section { heading, commands } in self.sections() {
            let _ = write!(text, "\n{heading}\n");
            for Shown { title, command, expect } in commands {
                let _ = write!(text, "\n# {title}: {expect}\n  {command}\n");
            }
        }
        let _ = write!(
            text,
            "\nThe connection log says in ALB's words why a client was refused:\n  tail {}\n\
             The configuration is read again when it changes:\n  cat {}\n",
            quoted(&self.path(CONNECTION_LOG)),
            quoted(&self.configuration())
        );
        text
    }

    fn sections(&self) -> [Section; 4] {
        let ports = &self.ports;
        [
            Section {
                heading: format!(
                    "== verify, https://localhost:{}: clients of the demo's CA alone",
                    ports.verify
                ),
                commands: self.verify(),
            },
            Section {
                heading: format!(
                    "== passthrough, https://localhost:{}: the target judges",
                    ports.passthrough
                ),
                commands: self.passthrough(),
            },
            Section {
                heading: format!(
                    "== off, https://localhost:{}: no certificate is asked for",
                    ports.off
                ),
                commands: self.off(),
            },
            Section {
                heading: format!("== metrics, http://127.0.0.1:{}", ports.metrics),
                commands: self.metrics(),
            },
        ]
    }

    fn verify(&self) -> Vec<Shown> {
        let port = self.ports.verify;
        let refused = |title, client: Option<&str>, alert| Shown {
            title,
            command: self.https(port, client, ""),
            expect: Expect::Refused { alert },
        };
        vec![
            Shown {
                title: "a good certificate, and the target is told whose it is",
                command: self.https(port, Some("good.pem"), ""),
                expect: answer("x-amzn-mtls-clientcert-subject:"),
            },
            refused("no certificate", None, "certificate required"),
            refused("an expired certificate", Some("expired.pem"), "certificate expired"),
            refused("a revoked certificate", Some("revoked.pem"), "certificate revoked"),
            refused("a certificate of somebody else's CA", Some("untrusted.pem"), "unknown ca"),
        ]
    }

    fn passthrough(&self) -> Vec<Shown> {
        let port = self.ports.passthrough;
        vec![
            Shown {
                title: "even a certificate of somebody else's CA is passed on",
                command: self.https(port, Some("untrusted.pem"), ""),
                expect: answer("x-amzn-mtls-clientcert:"),
            },
            Shown {
                title: "no certificate is fine too",
                command: self.https(port, None, ""),
                expect: Expect::Answer {
                    with: "GET / HTTP/1.1",
                    without: Some("x-amzn-mtls-clientcert"),
                },
            },
        ]
    }

    fn off(&self) -> Vec<Shown> {
        let forged = "-H 'X-Amzn-Mtls-Clientcert-Subject: CN=admin' ";
        vec![Shown {
            title: "a forged identity header is removed",
            command: self.https(self.ports.off, None, forged),
            expect: Expect::Answer {
                with: "GET / HTTP/1.1",
                without: Some("x-amzn-mtls-clientcert"),
            },
        }]
    }

    fn metrics(&self) -> Vec<Shown> {
        let port = self.ports.metrics;
        vec![
            Shown {
                title: "handshakes by listener and outcome, for Prometheus",
                command: format!(
                    "curl -sS http://127.0.0.1:{port}/metrics | grep handshakes_total"
                ),
                expect: answer("listener=\"verify\""),
            },
            Shown {
                title: "listeners, trust stores, shards and the I/O engine",
                command: format!("curl -sS http://127.0.0.1:{port}/status"),
                expect: answer("\"generation\""),
            },
        ]
    }

    /// A request to a listener. The server's certificate is checked against the demo's root.
    fn https(&self, port: u16, client: Option<&str>, options: &str) -> String {
        let root = quoted(&self.path("root.pem"));
        let client =
            client.map_or(String::new(), |file| format!("--cert {} ", quoted(&self.path(file))));
        format!("curl -sS --cacert {root} {client}{options}https://localhost:{port}/")
    }
}

fn answer(with: &'static str) -> Expect {
    Expect::Answer { with, without: None }
}

/// A path as a word for a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(quoted(Path::new("/tmp/demo-1/a.pem")), "/tmp/demo-1/a.pem");
        assert_eq!(quoted(Path::new("/tmp/my demo")), "'/tmp/my demo'");
        assert_eq!(quoted(Path::new("/tmp/it's $HOME")), r"'/tmp/it'\''s $HOME'");
    }
}
