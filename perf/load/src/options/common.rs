//! What every command begins and ends with.
use super::{IdentityOptions, OutputOptions, RequestOptions, ServerOptions, Words};
use crate::connection::Opener;
use crate::http::Asked;
use crate::probe::{self, Protocol};
use crate::report::{Report, Setting};
use crate::run::{self, Lane, Plan};
use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct CommonOptions {
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    request: RequestOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// What the load is made with, once one attempt has succeeded.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) opener: Opener,
    pub(crate) asked: Asked,
    pub(crate) setting: Setting,
}

impl CommonOptions {
    /// Reads what the options name, and makes one attempt to see that it can be done.
    ///
    /// * `work`: the name of the command.
    /// * `resume_percent`: of a hundred connections, how many resume.
    ///
    /// # Errors
    /// A sentence that says why nothing can be measured.
    pub(crate) fn begin(
        &self,
        work: &'static str,
        protocol: Protocol,
        resume_percent: u32,
    ) -> Result<Ready, String> {
        run::raise_file_limit();
        let identities = self.identities.read()?;
        let clients = identities.len();
        let (connect, name) = (self.server.connect.to_string(), self.server.name());
        let opener = self.server.opener(identities, protocol.alpn(), resume_percent)?;
        let asked = self.request.asked(&self.server.authority())?;
        let negotiated = probe::probe(&opener, &asked, protocol, &connect)?;
        let setting = Setting {
            work,
            connect,
            connect_to: self.server.connect_to.iter().map(ToString::to_string).collect(),
            server_name: name.to_owned(),
            source: self.server.source.as_ref().map(ToString::to_string),
            insecure: self.server.insecure,
            clients,
            resume_percent,
            method: self.request.method.name(),
            path: self.request.path.clone(),
            content_bytes: asked.content_bytes(),
            protocol,
            negotiated,
            connections: None,
            streams: None,
            requests_per_connection: None,
        };
        Ok(Ready { opener, asked, setting })
    }

    /// Where words go that are said before the result.
    pub(crate) fn words(&self) -> Words {
        self.output.words()
    }

    /// Carries a plan out and tells what came of it. Answers how much did not go well.
    ///
    /// # Errors
    /// A sentence that says why it could not go on, or which file could not be written.
    pub(crate) fn carry_out<W, F>(
        &self,
        setting: Setting,
        plan: &Plan,
        lane: W,
    ) -> Result<u64, String>
    where
        W: Fn(Lane) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let outputs = self.output.open()?;
        let outcome = plan.carry_out(lane).map_err(|error| format!("cannot go on: {error}"))?;
        outputs.give(&Report::new(setting, plan, &outcome))?;
        Ok(outcome.tally.faults())
    }
}
