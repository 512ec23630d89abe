//! Where the result goes, besides the table.
use crate::report::Report;
use clap::Args;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(next_help_heading = "Results")]
pub(super) struct OutputOptions {
    /// Write the result to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts to this file (HTML); it needs no network
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl OutputOptions {
    /// Sees that there can be results before any load is made.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn check(&self) -> Result<(), String> {
        self.json.iter().chain(&self.report).try_for_each(|path| {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if directory.is_none_or(Path::is_dir) && !path.is_dir() {
                return Ok(());
            }
            Err(format!("{}: no file can be made there", path.display()))
        })
    }

    /// Prints the table and writes the files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn give(&self, report: &Report) -> Result<(), String> {
        // Whoever has closed the pipe wants no more.
        let _ = writeln!(io::stdout(), "{report}");
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
            write(path, &(json + "\n"))?;
        }
        if let Some(path) = &self.report {
            write(path, &report.page())?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
