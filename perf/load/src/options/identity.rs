//! Who the clients are.
use crate::identity::{Identity, Password};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(next_help_heading = "Clients")]
pub(super) struct IdentityOptions {
    /// The client's chain, leaf first (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The client's key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The client's chain and key as PFX (PKCS #12); the password is asked for, unless it is given
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pfx: Option<PathBuf>,
    /// The password of --pfx is the first line of this file
    #[arg(long, value_name = "FILE", requires = "pfx")]
    password_file: Option<PathBuf>,
    /// The password of --pfx is in this environment variable
    #[arg(long, value_name = "NAME", requires = "pfx", conflicts_with = "password_file")]
    password_env: Option<String>,
    /// Many clients in turn: a directory of NAME.crt and NAME.key; with --client-ca, how many to make
    #[arg(long, value_name = "DIRECTORY|N", conflicts_with_all = ["cert", "pfx"])]
    clients: Option<String>,
    /// Make the clients here: a CA that the server trusts, then what leads to its root (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["client_ca_key", "clients"])]
    client_ca: Option<PathBuf>,
    /// The key of --client-ca (PEM)
    #[arg(long, value_name = "FILE", requires = "client_ca")]
    client_ca_key: Option<PathBuf>,
}

impl IdentityOptions {
    /// All of them; none where no certificate is shown.
    ///
    /// # Errors
    /// A sentence for whoever gave the options.
    pub(super) fn read(&self) -> Result<Vec<Identity>, String> {
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            return Ok(vec![Identity::read(cert, key)?]);
        }
        if let Some(pfx) = &self.pfx {
            return Ok(vec![Identity::read_pfx(pfx, &self.password())?]);
        }
        match (&self.clients, &self.client_ca, &self.client_ca_key) {
            (Some(count), Some(ca), Some(key)) => {
                let count = count.parse().ok().filter(|count| (1..=CLIENTS_MAX).contains(count));
                let count = count.ok_or_else(|| {
                    format!("--clients: with --client-ca a number is expected, up to {CLIENTS_MAX}")
                })?;
                Identity::make(ca, key, count)
            }
            (Some(directory), _, _) => Identity::read_directory(Path::new(directory)),
            (None, _, _) => Ok(Vec::new()),
        }
    }

    fn password(&self) -> Password {
        match (&self.password_file, &self.password_env) {
            (Some(file), _) => Password::File(file.clone()),
            (None, Some(name)) => Password::Variable(name.clone()),
            (None, None) => Password::Asked,
        }
    }
}

/// Clients that are made; each takes some 3 kB.
const CLIENTS_MAX: u32 = 1_000_000;
