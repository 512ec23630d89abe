//! What is asked for on a connection.
use super::value;
use crate::http::{Asked, Method};
use clap::Args;
use http::{HeaderName, HeaderValue};

#[derive(Args, Debug)]
#[command(next_help_heading = "Requests")]
pub(super) struct RequestOptions {
    /// What requests ask for
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = value::path)]
    path: String,
    /// How; a POST has --body-bytes of content
    #[arg(long, value_name = "METHOD", default_value = "GET", ignore_case = true)]
    method: Method,
    /// Content of each request
    #[arg(
        long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=BODY_BYTES_MAX)
    )]
    body_bytes: u32,
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
        if self.body_bytes > 0 && self.method == Method::Get {
            return Err("--body-bytes: a GET has none; say --method POST".to_owned());
        }
        let body_bytes = usize::try_from(self.body_bytes).map_err(|error| error.to_string())?;
        let expected = self.expect.clone();
        Asked::new(self.method, host, &self.path, &self.header, body_bytes, expected)
    }
}
