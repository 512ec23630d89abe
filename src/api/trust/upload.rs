//! Files on their way to a node: the body of a command that changes a trust store.
//!
//! Each file is two [parts](crate::config::parts): its name and its content.
use crate::config::parts::{self, Cut, Parts};
use crate::config::state::File;
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
            file.take(bytes_max as u64 + 1).read_to_end(&mut content)?;
            std::io::Result::Ok(content)
        };
        let name = path.display();
        match read() {
            Ok(content) if content.len() > bytes_max => {
                self.faults
                    .push(format!("{name}: the file is over the limit of {bytes_max} bytes"));
            }
            Ok(content) => {
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

/// The files of a body.
pub(super) fn files(body: Bytes) -> Result<Vec<File>, Cut> {
    let mut parts = Parts::new(body);
    let mut files = Vec::new();
    while !parts.is_empty() {
        files.push(File { name: parts.take_text()?, bytes: parts.take()? });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::super::admin::tests::TempDir;
    use super::*;

    #[test]
    fn files_arrive_as_they_were_read() {
        let dir = TempDir::new("upload");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
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
        assert_eq!(files(body.slice(..body.len() - 1)), Err(Cut));
    }

    #[test]
    fn every_file_that_cannot_be_read_is_named() {
        let dir = TempDir::new("upload-faults");
        let long = dir.path().join("long");
        std::fs::write(&long, "four").unwrap();
        let mut upload = Upload::default();
        upload.add(&long, 3);
        upload.add(&dir.path().join("missing"), 3);
        let said = upload.whole().unwrap_err();
        assert!(said.contains("/long: the file is over the limit of 3 bytes\n"), "{said}");
        assert!(said.contains("/missing: No such file"), "{said}");
    }
}
