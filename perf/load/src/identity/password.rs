//! Where a password comes from: a file, the environment, or whoever sits at the terminal.
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use std::env::VarError;
use std::fs::{self, File};
use std::io::{self, Read, Write};
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
            Self::Variable(name) => variable(name).map_err(|error| match error {
                VarError::NotPresent => format!("--password-env {name}: there is no such variable"),
                VarError::NotUnicode(_) => format!("--password-env {name}: its value is not UTF-8"),
            }),
            Self::Asked => match ask(of) {
                Ok(Some(password)) => String::from_utf8(password).map_err(|_| {
                    format!("{} needs a password: what was typed is not UTF-8", of.display())
                }),
                Ok(None) => Err(format!("{} needs a password: none was typed", of.display())),
                Err(_) => Err(format!(
                    "{} needs a password: no terminal to ask on; say --password-file",
                    of.display()
                )),
            },
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the user has named the variable")]
fn variable(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}

/// Asks on the terminal, and shows nothing of what is typed. None when Ctrl-C or Ctrl-D was typed instead.
fn ask(of: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    // Without ISIG Ctrl-C is a byte, and no signal that would leave the terminal silent. It ends the line, so that
    // whoever types it need not type Enter, too. Source: termios(3).
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let typed = read_line(&mut terminal, of);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    writeln!(terminal)?;
    Ok(typed?.strip_suffix(b"\n").map(<[u8]>::to_vec))
}

/// A terminal gives one line at a time.
fn read_line(terminal: &mut File, of: &Path) -> io::Result<Vec<u8>> {
    write!(terminal, "Password of {}: ", of.display())?;
    let mut line = vec![0; LINE_BYTES_MAX];
    let count = terminal.read(&mut line)?;
    line.truncate(count);
    Ok(line)
}

const CTRL_C: u8 = 3;

/// The longest line that a terminal takes. Source: termios(3), "Canonical and noncanonical mode".
const LINE_BYTES_MAX: usize = 4_096;
