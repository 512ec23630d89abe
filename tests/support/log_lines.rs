//! Lines of the two logs, as the expressions of their readers take them apart.
use regex::Regex;
use std::sync::LazyLock;

/// Athena's expressions (`alb-contract`, section 2.2), anchored at both ends.
const CONNECTION: &str = r#"^([^ ]*) ([^ ]*) ([0-9]*) ([0-9]*) ([A-Za-z0-9.-]*) ([^ ]*) ([-.0-9]*) "([^"]*)" ([^ ]*) ([^ ]*) ([^ ]*) ?([^ ]*)?( .*)?$"#;
const ACCESS: &str = r#"^([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*):([0-9]*) ([^ ]*)[:-]([0-9]*) ([-.0-9]*) ([-.0-9]*) ([-.0-9]*) (|[-0-9]*) (-|[-0-9]*) ([-0-9]*) ([-0-9]*) "([^ ]*) (.*) (- |[^ ]*)" "([^"]*)" ([A-Z0-9-_]+) ([A-Za-z0-9.-]*) ([^ ]*) "([^"]*)" "([^"]*)" "([^"]*)" ([-.0-9]*) ([^ ]*) "([^"]*)" "([^"]*)" "([^ ]*)" "([^\s]+?)" "([^\s]+)" "([^ ]*)" "([^ ]*)" ?([^ ]*)? ?( .*)?$"#;

/// The expression of the connection log.
pub static ATHENA_CONNECTION: LazyLock<Regex> = LazyLock::new(|| expression(CONNECTION));
/// The expression of the access log.
pub static ATHENA_ACCESS: LazyLock<Regex> = LazyLock::new(|| expression(ACCESS));

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expression is one")
}

/// A line of the access log.
#[derive(Clone, Debug)]
pub struct AccessLine {
    pub text: String,
    fields: Vec<String>,
}

impl AccessLine {
    /// Takes a line apart, which must be as Athena reads it, in 34 fields.
    pub fn read(text: &str) -> Self {
        assert!(ATHENA_ACCESS.is_match(text), "Athena cannot read {text}");
        let (mut fields, mut quoted) = (vec![String::new()], false);
        for character in text.chars() {
            match character {
                '"' => quoted = !quoted,
                ' ' if !quoted => fields.push(String::new()),
                other => fields.last_mut().expect("there is one").push(other),
            }
        }
        assert_eq!(fields.len(), 34, "{text}");
        Self { text: text.to_owned(), fields }
    }

    /// Field `number`, as section 2.2 counts them, without its quotes.
    pub fn field(&self, number: usize) -> &str {
        &self.fields[number - 1]
    }

    /// Several of them.
    pub fn fields<const N: usize>(&self, numbers: [usize; N]) -> [&str; N] {
        numbers.map(|number| self.field(number))
    }

    pub fn number(&self, number: usize) -> u64 {
        self.field(number).parse().unwrap_or_else(|_| panic!("field {number} of {}", self.text))
    }
}
