//! Where the result goes, besides the table.
use crate::report::Report;
use clap::Args;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(next_help_heading = "Results")]
pub(super) struct OutputOptions {
    /// Write the result to this file as JSON, too; - is standard output, and the table goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts to this file (HTML); it needs no network
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl OutputOptions {
    /// Opens the files, so that no load is made whose result has no place. What is in them stays until there is
    /// another result.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn open(&self) -> Result<Outputs, String> {
        if let (Some(json), Some(report)) = (&self.json, &self.report)
            && json == report
        {
            return Err(format!("{}: it cannot take both --json and --report", json.display()));
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        Ok(Outputs { json: open(&self.json)?, report: open(&self.report)?, words: self.words() })
    }

    /// Where words go: standard output belongs to a result that goes there.
    pub(super) fn words(&self) -> Words {
        let mut paths = [&self.json, &self.report].into_iter().flatten();
        if paths.any(|path| is_dash(path)) { Words::ToError } else { Words::ToOutput }
    }
}

/// Where words for people go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words {
    ToOutput,
    ToError,
}

impl Words {
    /// Prints a line. Whoever has closed the pipe wants no more.
    pub(crate) fn say(self, line: impl Display) {
        let _ = match self {
            Self::ToOutput => writeln!(io::stdout(), "{line}"),
            Self::ToError => writeln!(io::stderr(), "{line}"),
        };
    }
}

/// The files that were asked for.
#[derive(Debug)]
pub(super) struct Outputs {
    json: Option<Output>,
    report: Option<Output>,
    words: Words,
}

impl Outputs {
    /// Prints the table and writes the files, each whatever becomes of the other.
    ///
    /// # Errors
    /// A sentence that names the first file that could not be written.
    pub(super) fn give(self, report: &Report) -> Result<(), String> {
        self.words.say(report);
        let json = self.json.map_or(Ok(()), |file| {
            let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
            file.write(&(json + "\n"))
        });
        let page = self.report.map_or(Ok(()), |file| file.write(&report.page()));
        json.and(page)
    }
}

/// A file for a result.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    fn open(path: &Path) -> Result<Self, String> {
        let file = if is_dash(path) {
            io::stdout().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::options().write(true).create(true).truncate(false).open(path)
        };
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(mut self, text: &str) -> Result<(), String> {
        let written = self.clear().and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// Takes out an earlier result. Pipes and devices hold none, and what standard output holds is its owner's.
    fn clear(&self) -> io::Result<()> {
        if is_dash(&self.path) || !self.file.metadata()?.is_file() {
            return Ok(());
        }
        self.file.set_len(0)
    }
}

/// As in other programs, it is standard output.
fn is_dash(path: &Path) -> bool {
    path == "-"
}
