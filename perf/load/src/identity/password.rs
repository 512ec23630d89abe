//! Where a password comes from: a file, the environment, or whoever sits at the terminal.
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Where to take a password from. It never stands on the command line, which everybody can read.
#[derive(Debug)]
pub(crate) enum Password {
    /// The first line of this file.
    File(PathBuf),
    /// The value of this variable.
    Variable(String),
    /// Typed on the terminal.
    Asked,
}

impl Password {
    /// Gets it; `of` says what for.
    ///
    /// # Errors
    /// A sentence for whoever gave the option.
    pub(super) fn get(&self, of: &Path) -> Result<String, String> {
        match self {
            Self::File(path) => {
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(text.lines().next().unwrap_or_default().to_owned())
            }
            Self::Variable(name) => variable(name)
                .ok_or_else(|| format!("--password-env {name}: there is no such variable")),
            Self::Asked => ask(of).map_err(|_| {
                let file = of.display();
                format!("{file} needs a password: no terminal to ask on; say --password-file")
            }),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the user has named the variable")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Asks on the terminal, and shows nothing of what is typed.
fn ask(of: &Path) -> io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    write!(terminal, "Password of {}: ", of.display())?;
    let mut line = String::new();
    let read = BufReader::new(&terminal).read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    writeln!(terminal)?;
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
