//! Files on their way to a node: the body of a command that changes a trust store.
//!
//! Each file is two [parts](crate::config::parts): its name and its content.
use crate::config::files;
use crate::config::parts::{self, Cut, Parts};
use crate::config::state::File;
use crate::limits;
use bytes::Bytes;
use std::io::Read;
use std::path::Path;

/// A body that is put together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Upload {
    pub(super) body: Vec<u8>,
    faults: Vec<String>,
}

impl Upload {
    /// Adds a file, which may be a pipe; what stands in the way is told by [`Upload::whole`].
    pub fn add(&mut self, path: &Path, bytes_max: usize) {
        let read = || {
            let mut content = Vec::new();
            let file = std::fs::File::open(path)?;
            let bytes = file.metadata()?.len();
            file.take(bytes_max as u64 + 1).read_to_end(&mut content)?;
            std::io::Result::Ok((content, bytes))
        };
        let name = path.display();
        match read() {
            Ok((content, bytes)) if content.len() > bytes_max => {
                let over = files::over(bytes.max(content.len() as u64), bytes_max);
                self.faults.push(format!("{name}: {over}"));
            }
            Ok((content, _)) => {
                for part in [name.to_string().as_bytes(), &content] {
                    // A vector takes everything.
                    let _ = parts::write(&mut self.body, part);
                }
            }
            Err(error) => self.faults.push(format!("{name}: {error}")),
        }
    }

    /// The body, if every file could be read.
    ///
    /// # Errors
    /// A line for each that could not.
    pub fn whole(self) -> Result<Self, String> {
        if self.faults.is_empty() { Ok(self) } else { Err(self.faults.join("\n")) }
    }
}

/// Why a body is no upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Cut(#[from] Cut),
    #[error("it holds more than {FILES_MAX} files")]
    TooManyFiles,
}

/// A bundle, and one list too many: the trust store says of which there are too many.
const FILES_MAX: usize = limits::REVOCATION_FILES_MAX + 2;

/// The files of a body.
pub(super) fn files(body: Bytes) -> Result<Vec<File>, Broken> {
    let mut parts = Parts::new(body);
    let mut files = Vec::new();
    while !parts.is_empty() {
        if files.len() == FILES_MAX {
            return Err(Broken::TooManyFiles);
        }
        files.push(File { name: parts.take_text()?, bytes: parts.take()? });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;

    #[test]
    fn files_arrive_as_they_were_read() {
        let dir = Scratch::new();
        let (a, b) = (dir.path("a"), dir.path("b"));
        std::fs::write(&a, "one").unwrap();
        std::fs::write(&b, "").unwrap();
        let mut upload = Upload::default();
        upload.add(&a, 3);
        upload.add(&b, 3);
        let body = Bytes::from(upload.whole().unwrap().body);
        let arrived = files(body.clone()).unwrap();
        let file = |path: &Path, content: &'static str| File {
            name: path.display().to_string(),
            bytes: content.into(),
        };
        assert_eq!(arrived, [file(&a, "one"), file(&b, "")]);
        assert_eq!(files(body.slice(..body.len() - 1)), Err(Broken::Cut(Cut)));
    }

    #[test]
    fn files_beyond_all_limits_are_not_even_read() {
        // Each is an empty name and no content.
        let body = |files: usize| Bytes::from(vec![0; files * 16]);
        assert_eq!(files(body(FILES_MAX)).map(|files| files.len()), Ok(FILES_MAX));
        assert_eq!(files(body(FILES_MAX + 1)), Err(Broken::TooManyFiles));
    }

    #[test]
    fn every_file_that_cannot_be_read_is_named() {
        let dir = Scratch::new();
        let long = dir.path("long");
        std::fs::write(&long, "four").unwrap();
        let mut upload = Upload::default();
        upload.add(&long, 3);
        upload.add(&dir.path("missing"), 3);
        let said = upload.whole().unwrap_err();
        assert!(said.contains("/long: the file has 4 bytes, and the limit is 3\n"), "{said}");
        assert!(said.contains("/missing: No such file"), "{said}");
    }
}
