//! `portcullis demo`: a throw-away node with everything around it, to be tried with curl.
//!
//! [`Demo::prepare`] makes a directory with a PKI and a configuration file, and starts two targets;
//! the command line then serves that file as it would any other and prints [`Demo::banner`]. Nothing
//! here is on the path of traffic. Dropping the [`Demo`] ends the targets and removes the directory.
mod commands;
mod pki;
mod targets;

pub use commands::{Expect, Shown};

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use targets::Targets;

/// What a demo consists of, on disk and on loopback.
#[derive(Debug)]
pub struct Demo {
    directory: Directory,
    ports: Ports,
    /// Kept for its end: dropping it stops the targets.
    _targets: Targets,
}

/// Why a demo could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The directory exists or cannot be made.
    #[error("cannot make the directory {}: {source}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The PKI cannot be made.
    #[error("cannot make the demo's certificates: {0}")]
    Pki(#[from] rcgen::Error),
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1: {0}")]
    Port(io::Error),
    /// The targets cannot be started.
    #[error("cannot start the demo's targets: {0}")]
    Targets(io::Error),
}

impl Demo {
    /// Makes `directory`, which must not exist yet, with all files in it, and starts the targets.
    ///
    /// # Errors
    /// [`DemoError`]; nothing is left behind.
    pub fn prepare(directory: &Path) -> Result<Self, DemoError> {
        let directory = Directory::make(directory)?;
        let listeners = [bind()?, bind()?];
        let target_ports = [port(&listeners[0])?, port(&listeners[1])?];
        let ports = Ports::free()?;
        for file in pki::make()? {
            directory.write(file.name, &file.pem)?;
        }
        directory.write(CONFIGURATION, &configuration(&ports, target_ports))?;
        let targets = targets::start(listeners).map_err(DemoError::Targets)?;
        Ok(Self { directory, ports, _targets: targets })
    }

    /// Where a demo is made when nobody says where: below the system's directory for such things.
    pub fn usual_directory() -> PathBuf {
        std::env::temp_dir().join(format!("portcullis-demo-{}", std::process::id()))
    }

    /// The directory; removed at the end.
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// The configuration file to serve.
    pub fn configuration(&self) -> PathBuf {
        self.path(CONFIGURATION)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }
}

/// A directory of ours alone, removed on drop.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    /// Made anew, so that nobody else's files are in it, and nothing but the demo's is removed.
    fn make(path: &Path) -> Result<Self, DemoError> {
        let fault = |source| DemoError::Directory { path: path.to_owned(), source };
        // Commands are pasted into shells that are elsewhere.
        let path = std::path::absolute(path).map_err(fault)?;
        DirBuilder::new().mode(0o700).create(&path).map_err(fault)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), DemoError> {
        let path = self.0.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| DemoError::Write { path, source })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "cannot remove the demo's directory");
        }
    }
}

/// Where the node listens.
#[derive(Debug)]
struct Ports {
    verify: u16,
    passthrough: u16,
    off: u16,
    metrics: u16,
}

impl Ports {
    /// Ports that were free a moment ago: all are held until the last is known, so that they differ.
    fn free() -> Result<Self, DemoError> {
        let held = [bind()?, bind()?, bind()?, bind()?];
        let [verify, passthrough, off, metrics] = &held;
        Ok(Self {
            verify: port(verify)?,
            passthrough: port(passthrough)?,
            off: port(off)?,
            metrics: port(metrics)?,
        })
    }
}

fn bind() -> Result<TcpListener, DemoError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoError::Port)
}

fn port(listener: &TcpListener) -> Result<u16, DemoError> {
    listener.local_addr().map(|address| address.port()).map_err(DemoError::Port)
}

/// The configuration file's name.
const CONFIGURATION: &str = "portcullis.yaml";
/// The connection log's name.
const CONNECTION_LOG: &str = "connection.log";

/// The configuration: three listeners that differ in nothing but what they ask of clients.
fn configuration(ports: &Ports, targets: [u16; 2]) -> String {
    let Ports { verify, passthrough, off, metrics } = ports;
    let [first, second] = targets;
    format!(
        r#"# A demo of Portcullis; it is removed when the demo ends.
node: {{name: demo}}
admin: {{bind: unix:portcullis.sock}}
metrics: {{bind: 127.0.0.1:{metrics}}}
logs: {{connection: {CONNECTION_LOG}}}
certificates:
  - {{name: server, chain: server.crt, key: server.key}}
trust_stores:
  - name: clients
    source: files
    ca_certificates_bundle: ca.pem
    revocations: [ca.crl]
target_groups:
  - name: demo
    protocol: HTTP
    targets: [{{id: 127.0.0.1, port: {first}}}, {{id: 127.0.0.1, port: {second}}}]
listeners:
  - name: verify
    bind: 127.0.0.1:{verify}
    protocol: HTTPS
    certificates: [server]
    mutual_authentication: {{mode: verify, trust_store: clients}}
    default_actions: [{{type: forward, target_group: demo}}]
  - name: passthrough
    bind: 127.0.0.1:{passthrough}
    protocol: HTTPS
    certificates: [server]
    mutual_authentication: {{mode: passthrough}}
    default_actions: [{{type: forward, target_group: demo}}]
  - name: "off"
    bind: 127.0.0.1:{off}
    protocol: HTTPS
    certificates: [server]
    mutual_authentication: {{mode: "off"}}
    default_actions: [{{type: forward, target_group: demo}}]
"#
    )
}

#[cfg(test)]
mod tests;
