//! Server names: normal forms, and a table from exact and wildcard names to something.
#![expect(clippy::todo, reason = "interface only")]

/// A table by server name: an exact name wins over a wildcard; a `*` covers one leftmost label.
#[derive(Clone, Debug)]
pub struct ServerNames<T>(std::marker::PhantomData<T>);

/// Why a name cannot be in a table.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameFault {
    /// Not a DNS name, or a wildcard in the wrong place.
    #[error("not a server name")]
    Malformed,
    /// Already in the table.
    #[error("has a policy already")]
    Duplicate,
}

impl<T> Default for ServerNames<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T> ServerNames<T> {
    /// Adds a name, in any case, with or without a trailing dot, exact or `*.parent`.
    ///
    /// # Errors
    /// [`NameFault`].
    pub fn insert(&mut self, name: &str, value: T) -> Result<(), NameFault> {
        let _ = (name, value);
        todo!()
    }
    /// What a client that names `name` gets: any case, with or without a trailing dot.
    pub fn get(&self, name: &str) -> Option<&T> {
        let _ = name;
        todo!()
    }
    /// Whether it is empty (then nobody needs to peek).
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        std::iter::empty()
    }
}
