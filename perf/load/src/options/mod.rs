//! What the commands have in common on the command line, and what is made of it.
mod common;
mod identity;
mod load;
mod output;
mod request;
mod server;
mod value;

pub(crate) use common::{CommonOptions, Ready};
pub(crate) use load::{LoadOptions, PaceOptions};
pub(crate) use output::Words;
pub(crate) use value::seconds;

use identity::IdentityOptions;
use output::OutputOptions;
use request::RequestOptions;
use server::ServerOptions;
