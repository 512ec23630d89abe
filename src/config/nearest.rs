//! Which known word was probably meant.

/// The candidate that is nearest to `word`, when it is near enough to be a slip of the finger.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Bounded, because what was written may be of any length.
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    // A third of the word: `lisener` finds `listener`, `id` does not find `io`.
    let distance_max = word.chars().count() / 3;
    let near = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= distance_max).min().map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour, case and kind of separator aside
/// (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let fold = |word: &str| -> Vec<char> {
        word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (one, other) = (fold(one), fold(other));
    // `rows[i][j]` is the distance between the first `i` letters of one and the first `j` of the other.
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[one.len()][other.len()]
}

/// Longer words are no slips: the longest attribute key has 75 bytes.
const WORD_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let keys = ["name", "bind", "protocol", "ssl_policy", "certificates"];
        assert_eq!(nearest("protocoll", keys), Some("protocol"));
        assert_eq!(nearest("ssl-policy", keys), Some("ssl_policy"));
        assert_eq!(nearest("SSL_Polcy", keys), Some("ssl_policy"));
        assert_eq!(nearest("certificate", keys), Some("certificates"));
        assert_eq!(nearest("port", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn a_long_word_is_not_compared() {
        assert_eq!(nearest(&"a".repeat(10_000_000), ["a"]), None);
    }

    #[test]
    fn the_distance_counts_single_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("chian", "chain"), 1);
    }
}
