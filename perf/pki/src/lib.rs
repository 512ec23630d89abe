//! What certificates of a measurement say, and revocation lists of any size: those are written octet by octet,
//! because a general writer takes longer than what is measured with them.
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SigningKey, date_time_ymd,
};

/// A serial number of 20 octets, the most there may be (RFC 5280, section 4.1.2.2).
pub type Serial = [u8; 20];

/// Serial number `index`: as random as a hash, and the same each time.
pub fn serial(index: u32) -> Serial {
    let hash = digest(&SHA256, &index.to_be_bytes());
    let mut serial = [0; 20];
    for (to, from) in serial.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    // Positive, and no leading zero, so that all have the same length.
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

/// A CA that signs certificates and lists; its whole name is `common_name`. In force from 2026 to 2049.
pub fn ca(common_name: &str) -> CertificateParams {
    let mut params = named(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate of this purpose that names its issuer's key; its whole name is `common_name`. In force from
/// 2026 to 2049.
pub fn leaf(common_name: &str, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = named(common_name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

/// A version 2 list in force from 2026 to 2049, DER, of the CA whose whole name is `common_name`. Each
/// entry has a reason. A million entries take about a second.
///
/// # Errors
/// When the key does not sign.
pub fn revocation_list(
    issuer: &CertifiedIssuer<'_, KeyPair>,
    common_name: &str,
    serials: impl Iterator<Item = Serial>,
) -> Result<Vec<u8>, rcgen::Error> {
    let mut entries = Vec::new();
    for (index, serial) in serials.enumerate() {
        entries.extend(entry(&serial, REASONS[index % REASONS.len()]));
    }
    revocation_list_of(issuer, common_name, &entries)
}

/// The same with entries that are written already, one behind the other.
///
/// # Errors
/// When the key does not sign.
pub fn revocation_list_of(
    issuer: &CertifiedIssuer<'_, KeyPair>,
    common_name: &str,
    entries: &[u8],
) -> Result<Vec<u8>, rcgen::Error> {
    let entries = if entries.is_empty() { Vec::new() } else { der(SEQUENCE, &[entries]) };
    let algorithm = der(SEQUENCE, &[ECDSA_WITH_SHA256]);
    let attribute = der(SEQUENCE, &[COMMON_NAME, &der(UTF8_STRING, &[common_name.as_bytes()])]);
    let name = der(SEQUENCE, &[&der(SET, &[&attribute])]);
    // As rcgen derives it for the CA itself; its own name is no part of it.
    let key_id = CertificateParams::default().key_identifier(issuer.key());
    let key_id = der(SEQUENCE, &[&der(0x80, &[&key_id])]);
    let extensions =
        [extension(AUTHORITY_KEY_IDENTIFIER, &key_id), extension(CRL_NUMBER, &[2, 1, 1])];
    let signed = der(
        SEQUENCE,
        &[
            &[2, 1, 1],
            &algorithm,
            &name,
            &der(UTC_TIME, &[b"260101000000Z"]),
            &der(UTC_TIME, &[b"491231235959Z"]),
            &entries,
            &der(0xa0, &[&der(SEQUENCE, &[&extensions.concat()])]),
        ],
    );
    let signature = issuer.key().sign(&signed)?;
    Ok(der(SEQUENCE, &[&signed, &algorithm, &der(BIT_STRING, &[&[0], &signature])]))
}

/// One revoked certificate (RFC 5280, section 5.3.1).
fn entry(serial: &Serial, reason: u8) -> Vec<u8> {
    let extensions = der(SEQUENCE, &[&extension(REASON_CODE, &[0x0a, 1, reason])]);
    der(SEQUENCE, &[&der(INTEGER, &[serial]), &der(UTC_TIME, &[b"260101000000Z"]), &extensions])
}

/// A non-critical extension of the arc 2.5.29.
fn extension(id: u8, value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&[6, 3, 0x55, 0x1d, id], &der(OCTET_STRING, &[value])])
}

/// A value with its tag and length.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let octets = length.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let significant = octets.get(zeros..).unwrap_or_default();
    let mut value = Vec::with_capacity(length + 2 + significant.len());
    value.push(tag);
    match (significant, u8::try_from(significant.len())) {
        ([], _) => value.push(0),
        ([short @ 0..0x80], _) => value.push(*short),
        (long, count) => {
            value.push(0x80 | count.unwrap_or_default());
            value.extend(long);
        }
    }
    parts.iter().for_each(|part| value.extend(*part));
    value
}

/// keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn.
const REASONS: [u8; 5] = [1, 3, 4, 5, 9];

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OCTET_STRING: u8 = 4;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CRL_NUMBER: u8 = 20;
const REASON_CODE: u8 = 21;
const AUTHORITY_KEY_IDENTIFIER: u8 = 35;
const COMMON_NAME: &[u8] = &[6, 3, 0x55, 4, 3];
const ECDSA_WITH_SHA256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

    /// Another's parser finds in it what was put in, at lengths of one, two and three octets.
    #[test]
    fn a_list_is_what_the_standard_says() {
        let issuer = CertifiedIssuer::self_signed(ca("CA"), KeyPair::generate().unwrap()).unwrap();
        let (_, certificate) = X509Certificate::from_der(issuer.der()).unwrap();
        for count in [0, 1, 2, 4, 2_000] {
            let bytes = revocation_list(&issuer, "CA", (0..count).map(serial)).unwrap();
            let (rest, list) = CertificateRevocationList::from_der(&bytes).unwrap();
            assert!(rest.is_empty());
            assert_eq!(list.issuer(), certificate.subject());
            let entries: Vec<_> = list.iter_revoked_certificates().collect();
            assert_eq!(entries.len(), count as usize);
            for (index, entry) in (0..).zip(entries) {
                assert_eq!(entry.raw_serial(), serial(index));
                let (_, reason) = entry.reason_code().expect("each has a reason");
                assert_eq!(reason.0, REASONS[index as usize % REASONS.len()]);
            }
        }
    }

    #[test]
    fn serials_differ_and_have_one_length() {
        let serials: std::collections::BTreeSet<_> = (0..10_000).map(serial).collect();
        assert_eq!(serials.len(), 10_000);
        assert!(serials.iter().all(|serial| (0x40..0x80).contains(&serial[0])));
    }
}
