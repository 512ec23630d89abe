//! Digits as text, at a tenth of what formatting them costs: each request has dozens in its lines. Pure.

/// The last two decimal digits of a number.
pub(crate) fn two(number: u64) -> [u8; 2] {
    [number / 10, number].map(|number| {
        let [digit, ..] = (number % 10).to_le_bytes();
        b'0' + digit
    })
}

/// Two hexadecimal digits for each byte, in lower case.
pub(crate) fn hex<const N: usize>(bytes: [u8; N]) -> [[u8; 2]; N] {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + (value - 10) };
    bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_formatting() {
        for number in [0, 7, 10, 42, 99, 100, 12_345, u64::MAX] {
            let formatted = format!("{number:02}");
            assert_eq!(two(number), formatted.as_bytes()[formatted.len() - 2..], "{number}");
        }
        for byte in 0..=u8::MAX {
            assert_eq!(hex([byte]).as_flattened(), format!("{byte:02x}").as_bytes());
        }
    }
}
