//! Server names: one normal form, and a table from exact and wildcard names to something.
//!
//! Pure. The policy and the certificate of a client are both chosen through [`ServerNames`], and the
//! peeked name goes through the same [`normal`] form, so that no spelling of a name (case, trailing
//! dot) leads to another policy than the one written for it.
use rustls_pki_types::DnsName;
use std::borrow::Cow;
use std::collections::HashMap;

/// A table by server name: an exact name wins over a wildcard; a `*` covers one leftmost label.
///
/// A look-up costs at most two hashes, and allocates only for a name with upper-case letters.
#[derive(Clone, Debug)]
pub struct ServerNames<T> {
    exact: Table<T>,
    /// By what follows `*.`.
    wildcard: Table<T>,
}

/// By name, in normal form.
type Table<T> = HashMap<Box<str>, T>;

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

/// Lower case and without a trailing dot; `None` for what is no DNS name: an IP address, an empty or
/// over-long label, a letter outside letters, digits, `-` and `_`, a wildcard.
///
/// What a DNS name is, is decided by the function that rustls asks about a client's name.
pub fn normal(name: &str) -> Option<Cow<'_, str>> {
    DnsName::try_from(name).ok()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    Some(match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    })
}

impl<T> Default for ServerNames<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> ServerNames<T> {
    /// Adds a name, in any case, with or without a trailing dot, exact or `*.parent`.
    ///
    /// # Errors
    /// [`NameFault`].
    pub fn insert(&mut self, name: &str, value: T) -> Result<(), NameFault> {
        let (table, key) = self.place(name)?;
        if table.contains_key(&key) {
            return Err(NameFault::Duplicate);
        }
        table.insert(key, value);
        Ok(())
    }

    /// The value of a name, made when there is none yet; names as [`ServerNames::insert`] takes them.
    ///
    /// # Errors
    /// [`NameFault::Malformed`].
    pub fn or_default(&mut self, name: &str) -> Result<&mut T, NameFault>
    where
        T: Default,
    {
        let (table, key) = self.place(name)?;
        Ok(table.entry(key).or_default())
    }

    /// What a client that names `name` gets: any case, with or without a trailing dot.
    pub fn get(&self, name: &str) -> Option<&T> {
        let (exact, wildcard) = self.matches(name);
        exact.or(wildcard)
    }

    /// What stands under the name itself, and under the wildcard that covers it.
    pub fn matches(&self, name: &str) -> (Option<&T>, Option<&T>) {
        let Some(name) = normal(name) else { return (None, None) };
        let parent = name.split_once('.').map(|(_, parent)| parent);
        (self.exact.get(&*name), parent.and_then(|parent| self.wildcard.get(parent)))
    }

    /// Whether it is empty (then nobody needs to peek).
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }

    /// All names, in normal form, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (String, &T)> {
        let exact = self.exact.iter().map(|(name, value)| (name.to_string(), value));
        exact.chain(self.wildcard.iter().map(|(parent, value)| (format!("*.{parent}"), value)))
    }

    /// The table that a name belongs in, and its key there.
    fn place(&mut self, name: &str) -> Result<(&mut Table<T>, Box<str>), NameFault> {
        let (table, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, name),
        };
        let key = normal(name).ok_or(NameFault::Malformed)?;
        Ok((table, key.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ServerNames<&'static str> {
        let mut names = ServerNames::default();
        names.insert("Secret.Example.COM.", "exact").unwrap();
        names.insert("*.example.com", "wildcard").unwrap();
        names
    }

    /// Goal: no spelling of a name reaches a more permissive sibling. Source: CVE-2022-23632,
    /// GHSA-5r4w-85f3-pw66.
    #[test]
    fn every_spelling_of_a_name_gets_its_own_policy() {
        for name in ["secret.example.com", "SECRET.example.com", "secret.example.com."] {
            assert_eq!(table().get(name), Some(&"exact"), "{name}");
        }
        for name in ["open.example.com", "OPEN.EXAMPLE.COM", "open.eXample.com."] {
            assert_eq!(table().get(name), Some(&"wildcard"), "{name}");
        }
    }

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        for name in ["example.com", "a.b.example.com", ".example.com", "*.example.com", "com", ""] {
            assert_eq!(table().get(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_under_both_matches_both() {
        assert_eq!(table().matches("secret.example.com"), (Some(&"exact"), Some(&"wildcard")));
    }

    #[test]
    fn what_is_no_dns_name_is_malformed() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = ["abcdefg"; 32].join(".");
        let malformed = [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.b..",
            "*",
            "*.",
            "a.*",
            "a.*.b",
            "fo*.example",
            "*.*.a",
            "192.0.2.1",
            "*.2.1",
            "[::1]",
            "::1",
            "a b",
            "a/b",
            "a:443",
            "exämple.com",
            "a\0.b",
            "-a.b",
            "a-.b",
            "http://a",
            &long_label,
            &long_name,
        ];
        for name in malformed {
            let outcome = ServerNames::default().insert(name, ());
            assert_eq!(outcome, Err(NameFault::Malformed), "{name:?}");
        }
    }

    #[test]
    fn unusual_names_are_names() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(longest.len(), 253);
        for name in ["localhost", "_dmarc.example", "xn--exmple-cua.com", "1.example", &longest] {
            assert_eq!(ServerNames::default().insert(name, ()), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_second_policy_for_a_name_is_refused() {
        let mut names = table();
        for name in ["secret.example.com", "SECRET.example.com.", "*.EXAMPLE.com"] {
            assert_eq!(names.insert(name, "other"), Err(NameFault::Duplicate), "{name}");
        }
        assert_eq!(names.get("secret.example.com"), Some(&"exact"));
    }

    #[test]
    fn a_normal_name_is_not_copied() {
        assert!(matches!(normal("a.example"), Some(Cow::Borrowed("a.example"))));
        assert!(matches!(normal("a.example."), Some(Cow::Borrowed("a.example"))));
        assert!(matches!(normal("A.example"), Some(Cow::Owned(name)) if name == "a.example"));
    }

    #[test]
    fn every_name_comes_in_normal_form_with_its_value() {
        assert!(ServerNames::<()>::default().is_empty());
        let names = table();
        assert!(!names.is_empty());
        let mut all: Vec<_> = names.iter().collect();
        all.sort_unstable();
        assert_eq!(
            all,
            [("*.example.com".into(), &"wildcard"), ("secret.example.com".into(), &"exact")]
        );
    }
}
