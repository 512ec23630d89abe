//! Where header lines are written: into the head of an HTTP/1.1 message, or among the fields of an HTTP/2
//! one.
//!
//! The header rules stand once, in `forward` and `respond`; what they write to is this trait, so that both
//! protocols obey the same ones.

/// Takes header lines in order.
///
/// Names are tokens and values hold neither CR, LF nor NUL: they were parsed by `head`, compiled by `config`
/// or made here.
pub trait Lines {
    /// Adds a line.
    fn line(&mut self, name: &str, value: &[u8]);

    /// Adds a line whose value is what `write` appends.
    fn line_of(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut value = Vec::new();
        write(&mut value);
        self.line(name, &value);
    }

    /// Adds lines that were made before, as `identity` does once for each connection.
    fn ready_lines(&mut self, lines: &[u8]) {
        fields(lines).for_each(|(name, value)| self.line(name, value));
    }
}

/// The head of an HTTP/1.1 message, in the spelling of the rules.
impl Lines for Vec<u8> {
    fn line(&mut self, name: &str, value: &[u8]) {
        self.line_of(name, |out| out.extend_from_slice(value));
    }

    fn line_of(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        write(self);
        self.extend_from_slice(b"\r\n");
    }

    fn ready_lines(&mut self, lines: &[u8]) {
        self.extend_from_slice(lines);
    }
}

/// Names and values of lines that end in CR LF and were checked already.
pub(super) fn fields(lines: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        Some((std::str::from_utf8(name).ok()?, value.get(1..)?.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What HTTP/2 has in place of a head: fields one by one.
    #[derive(Default)]
    struct Fields(Vec<(String, String)>);

    impl Lines for Fields {
        fn line(&mut self, name: &str, value: &[u8]) {
            self.0.push((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        }
    }

    fn write(out: &mut impl Lines) {
        out.line("A", b"b");
        out.line_of("C", |value| value.extend_from_slice(b"d: e"));
        out.ready_lines(b"F: g=h;i\r\nJ: \r\n");
        out.ready_lines(b"");
    }

    #[test]
    fn a_head_and_fields_get_the_same_lines() {
        let mut head = Vec::new();
        write(&mut head);
        assert_eq!(head, b"A: b\r\nC: d: e\r\nF: g=h;i\r\nJ: \r\n");
        let mut fields = Fields::default();
        write(&mut fields);
        let expected = [("A", "b"), ("C", "d: e"), ("F", "g=h;i"), ("J", "")];
        assert_eq!(fields.0, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
