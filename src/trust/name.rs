//! Distinguished names as RFC 2253 strings, the way OpenSSL prints them (`-nameopt RFC2253`).
//!
//! The result is printable ASCII whatever the certificate holds, so that it can stand in a header and in
//! a log line: control characters and everything beyond ASCII become `\XX`, octets of the UTF-8 form.
//! Sources: RFC 2253, section 2; OpenSSL, X509_NAME_print_ex(3).
#![deny(clippy::indexing_slicing)]
use super::der::{self, Malformed, Reader, Value};
use std::fmt::Write as _;

/// Writes a name, given without its outer SEQUENCE. Last part first; an empty name is an empty string.
///
/// # Errors
/// What is malformed.
pub(super) fn rfc2253(name: &[u8]) -> Result<String, Malformed> {
    let mut attributes = Vec::new();
    for_each_attribute(Reader::new(name), |separator, oid, value| {
        attributes.push((separator, oid, value));
    })?;
    let mut text = String::new();
    // Backwards, so what joins an attribute to the one before it in the certificate comes after it.
    for (index, (separator, oid, value)) in attributes.iter().enumerate().rev() {
        write_attribute(&mut text, oid, value);
        if index > 0 {
            text.push(*separator);
        }
    }
    Ok(text)
}

/// Whether a name, given without its outer SEQUENCE, is well formed.
///
/// # Errors
/// What is malformed.
pub(super) fn check(name: Reader<'_>) -> Result<(), Malformed> {
    for_each_attribute(name, |_, _, _| ())
}

/// A part of a name, a SET, around these attributes.
pub(super) fn part(attributes: &[u8]) -> Vec<u8> {
    [&[der::SET][..], &length_octets(attributes.len()), attributes].concat()
}

/// The values of the attributes of this type (its OID as content octets), where they are text in valid
/// UTF-8; what else is there is left out.
pub(super) fn values(name: &[u8], wanted: &[u8]) -> impl Iterator<Item = String> {
    let mut values = Vec::new();
    // Read before, with its certificate; a malformed name would have no values.
    let read = for_each_attribute(Reader::new(name), |_, oid, value| {
        if oid == wanted {
            values.extend(utf8_octets(&value).and_then(|octets| String::from_utf8(octets).ok()));
        }
    });
    if read.is_err() {
        values.clear();
    }
    values.into_iter()
}

/// Whether a name, as [`rfc2253`] writes it, holds a control character (`\\00`).
pub(super) fn has_control(rfc2253: &str) -> bool {
    let mut bytes = rfc2253.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            continue;
        }
        // The first digit of an octet, or the one character that is escaped, which is no digit. Of the
        // octets that begin with 7, DEL alone is written so.
        if matches!(bytes.next(), Some(b'0' | b'1' | b'7')) {
            return true;
        }
    }
    false
}

/// Visits the attributes in the certificate's order; each with what joins it to the one before.
fn for_each_attribute<'a>(
    mut parts: Reader<'a>,
    mut visit: impl FnMut(char, &'a [u8], Value<'a>),
) -> Result<(), Malformed> {
    while !parts.is_empty() {
        let mut part = parts.expect(der::SET, "a part of a name")?.reader();
        let mut separator = ',';
        while !part.is_empty() {
            let mut fields = part.expect(der::SEQUENCE, "an attribute of a name")?.reader();
            let oid = fields.expect(der::OBJECT_IDENTIFIER, "an attribute's type")?.content;
            let value = fields.read("an attribute's value")?;
            fields.finish("the end of the attribute")?;
            visit(separator, oid, value);
            separator = '+';
        }
    }
    Ok(())
}

/// An object identifier as dotted numbers, from its content octets.
pub(super) fn dotted(oid: &[u8]) -> String {
    let mut text = String::new();
    let mut number = 0_u128;
    for &octet in oid {
        // Real identifiers fit easily; one that does not is cut, and stays printable.
        number = (number << 7) | u128::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            // The first two numbers share one (X.690, section 8.19.4).
            let first = (number / 40).min(2);
            let _ = write!(text, "{first}.{}", number - first * 40);
        } else {
            let _ = write!(text, ".{number}");
        }
        number = 0;
    }
    text
}

/// Upper-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn write_attribute(text: &mut String, oid: &[u8], value: &Value<'_>) {
    let decoded = match short_name(oid) {
        Some(name) => {
            text.push_str(name);
            utf8_octets(value)
        }
        None => {
            text.push_str(&dotted(oid));
            None
        }
    };
    text.push('=');
    match decoded {
        Some(octets) => write_escaped(text, &octets),
        // RFC 2253, section 2.4: what has no string form is `#` and its DER.
        None => {
            let length = value.content.len();
            text.push('#');
            text.push_str(&hex(&[value.tag]));
            text.push_str(&hex(&length_octets(length)));
            text.push_str(&hex(value.content));
        }
    }
}

/// A string's octets in UTF-8; `None` for what is not a string.
fn utf8_octets(value: &Value<'_>) -> Option<Vec<u8>> {
    let content = value.content;
    match value.tag {
        // UTF8String, taken as it is: wrong UTF-8 is escaped octet by octet like the right one.
        0x0c => Some(content.to_vec()),
        // NumericString, PrintableString, T61String, IA5String, times, VisibleString: as Latin-1.
        0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x18 | 0x1a => {
            Some(content.iter().map(|&octet| char::from(octet)).collect::<String>().into_bytes())
        }
        // UniversalString.
        0x1c => {
            let (characters, rest) = content.as_chunks::<4>();
            let character = |octets: &[u8; 4]| {
                char::from_u32(u32::from_be_bytes(*octets)).unwrap_or(char::REPLACEMENT_CHARACTER)
            };
            let text: String = characters.iter().map(character).collect();
            rest.is_empty().then(|| text.into_bytes())
        }
        // BMPString.
        0x1e => {
            let (units, rest) = content.as_chunks::<2>();
            let text: String =
                char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)))
                    .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
            rest.is_empty().then(|| text.into_bytes())
        }
        _ => None,
    }
}

fn write_escaped(text: &mut String, octets: &[u8]) {
    let last = octets.len().saturating_sub(1);
    for (index, &octet) in octets.iter().enumerate() {
        let is_special = match octet {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b'#' => index == 0,
            b' ' => index == 0 || index == last,
            _ => false,
        };
        match octet {
            0x20..=0x7e => {
                if is_special {
                    text.push('\\');
                }
                text.push(char::from(octet));
            }
            _ => {
                let _ = write!(text, "\\{octet:02X}");
            }
        }
    }
}

fn length_octets(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => vec![short],
        _ => {
            let octets = length.to_be_bytes();
            let significant: Vec<u8> =
                octets.iter().copied().skip_while(|&octet| octet == 0).collect();
            // At most eight octets, so the count fits.
            let count = u8::try_from(significant.len()).unwrap_or(0);
            [vec![0x80 | count], significant].concat()
        }
    }
}

/// OpenSSL's short name of an attribute type.
fn short_name(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x55, 4, attribute] => match attribute {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "street",
            10 => "O",
            11 => "OU",
            12 => "title",
            13 => "description",
            15 => "businessCategory",
            16 => "postalAddress",
            17 => "postalCode",
            18 => "postOfficeBox",
            20 => "telephoneNumber",
            41 => "name",
            42 => "GN",
            43 => "initials",
            44 => "generationQualifier",
            45 => "x500UniqueIdentifier",
            46 => "dnQualifier",
            65 => "pseudonym",
            72 => "role",
            97 => "organizationIdentifier",
            _ => return None,
        },
        // 0.9.2342.19200300.100.1.*
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, attribute] => match attribute {
            1 => "UID",
            3 => "mail",
            25 => "DC",
            _ => return None,
        },
        // 1.2.840.113549.1.9.*
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, attribute] => match attribute {
            1 => "emailAddress",
            2 => "unstructuredName",
            8 => "unstructuredAddress",
            _ => return None,
        },
        // 1.3.6.1.4.1.311.60.2.1.*
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, attribute] => match attribute {
            1 => "jurisdictionL",
            2 => "jurisdictionST",
            3 => "jurisdictionC",
            _ => return None,
        },
        _ => return None,
    })
}
