//! What is asked for on a connection.
use super::value;
use crate::http::{Asked, Method};
use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(next_help_heading = "Requests")]
pub(super) struct RequestOptions {
    /// What requests ask for
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = value::path)]
    pub(super) path: String,
    /// How
    #[arg(long, value_name = "METHOD", default_value = "GET", ignore_case = true)]
    pub(super) method: Method,
    /// Content of each request: so many bytes
    #[arg(
        long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=BODY_BYTES_MAX)
    )]
    body_bytes: u32,
    /// Content of each request: this file's
    #[arg(long, value_name = "FILE", conflicts_with = "body_bytes")]
    body_file: Option<PathBuf>,
    /// One more header, such as "Accept: text/html"; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = value::header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The statuses that are right; without: every 2xx
    #[arg(
        long, value_name = "STATUS,...", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(200..=599)
    )]
    expect: Vec<u16>,
}

/// Content of a request; each thread holds it once.
const BODY_BYTES_MAX: i64 = 1024 * 1024 * 1024;

impl RequestOptions {
    /// * `host`: whom to ask, where no header says otherwise.
    ///
    /// # Errors
    /// A sentence for whoever gave the options.
    pub(super) fn asked(&self, host: &str) -> Result<Asked, String> {
        let body = self.body()?;
        if !body.is_empty() && !self.method.has_content() {
            let method = self.method.name();
            return Err(format!(
                "--body-bytes, --body-file: a {method} has none; say --method POST"
            ));
        }
        let expected = self.expect.clone();
        Asked::new(self.method, host, &self.path, &self.header, body, expected)
    }

    fn body(&self) -> Result<Bytes, String> {
        let Some(path) = &self.body_file else {
            let count = usize::try_from(self.body_bytes).map_err(|error| error.to_string())?;
            return Ok(vec![b'x'; count].into());
        };
        let told = |error: &dyn Display| format!("--body-file {}: {error}", path.display());
        let file = File::open(path).map_err(|error| told(&error))?;
        let mut body = Vec::new();
        // One more than there may be, so that a file without end is told, too.
        let read = file.take(BODY_BYTES_MAX.unsigned_abs() + 1).read_to_end(&mut body);
        if read.map_err(|error| told(&error))? as u64 > BODY_BYTES_MAX.unsigned_abs() {
            return Err(told(&format!("more than {BODY_BYTES_MAX} bytes")));
        }
        Ok(body.into())
    }
}
