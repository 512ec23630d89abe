//! A Unix socket that a node serves on: for the process's own user, and gone at its end.
use super::serve;
use axum::Router;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// A listening socket. Its file goes when it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    listener: UnixListener,
    file: SocketFile,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("another node serves on {}", .0.display())]
    InUse(PathBuf),
    /// A file of another kind, which is left alone.
    #[error("{} exists and is not a socket; remove it, or name another path", .0.display())]
    NotASocket(PathBuf),
    /// What the kernel said.
    #[error("{}: {error}", path.display())]
    Io {
        /// Of the socket.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl Listening {
    /// Listens on `path`, for the process's user alone; for a thread with a tokio runtime. The socket
    /// that a dead node left behind is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        clear(path)?;
        let bound = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let file = SocketFile::new(path)?;
            // Nobody can connect before `listen`, so nobody slips in before this.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            let listener = UnixListener::from_std(OwnedFd::from(socket).into())?;
            Ok(Self { listener, file })
        };
        bound().map_err(|error| BindError::Io { path: path.to_owned(), error })
    }

    /// Serves until dropped.
    pub(super) async fn serve(self, router: Router) {
        let Self { listener, file } = self;
        serve::serve(listener, router).await;
        drop(file);
    }
}

/// Removes the socket of a node that is gone.
fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Io { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // A node whose backlog is full is a live one too.
        Ok(()) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::InUse(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// The file of a listening socket; removed on drop, unless another node has put its own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(&fs::symlink_metadata(path)?) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            // Nothing is left to do about a file that stays; the next node replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

const BACKLOG: i32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;
    use std::os::unix::net;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_goes_at_the_end() {
        let dir = Scratch::new();
        let listening = Listening::bind(&dir.path("socket")).unwrap();
        assert_eq!(fs::metadata(dir.path("socket")).unwrap().permissions().mode() & 0o777, 0o600);
        drop(listening);
        assert!(!dir.path("socket").exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_node_is_replaced_and_that_of_a_live_one_is_not() {
        let dir = Scratch::new();
        drop(net::UnixListener::bind(dir.path("socket")).unwrap());
        assert!(dir.path("socket").exists(), "left behind");
        let listening = Listening::bind(&dir.path("socket")).unwrap();

        let refused = Listening::bind(&dir.path("socket")).unwrap_err().to_string();
        assert_eq!(refused, format!("another node serves on {}", dir.path("socket").display()));
        drop(listening);
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = Scratch::new();
        fs::write(dir.path("socket"), "mine").unwrap();
        assert!(matches!(Listening::bind(&dir.path("socket")), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read_to_string(dir.path("socket")).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_socket_that_another_node_has_put_there_stays() {
        let dir = Scratch::new();
        let listening = Listening::bind(&dir.path("socket")).unwrap();
        fs::rename(dir.path("socket"), dir.path("moved")).unwrap();
        let _other = net::UnixListener::bind(dir.path("socket")).unwrap();
        drop(listening);
        assert!(dir.path("socket").exists());
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let dir = Scratch::new();
        let path = dir.path("none/socket");
        let said = Listening::bind(&path).unwrap_err().to_string();
        assert!(said.starts_with(&path.display().to_string()), "{said}");
    }
}
