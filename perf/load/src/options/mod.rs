//! What the commands have in common on the command line, and what is made of it.
mod identity;
mod load;
mod output;
mod request;
mod server;
mod value;

pub(crate) use identity::IdentityOptions;
pub(crate) use load::{LoadOptions, PaceOptions};
pub(crate) use output::OutputOptions;
pub(crate) use request::RequestOptions;
pub(crate) use server::ServerOptions;
pub(crate) use value::seconds;
