//! The demo's PKI: a root, an intermediate that signs everything else, and a stranger's root.
//!
//! ```text
//! root ── intermediate ── server               other root ── untrusted client
//!             ├────────── good, expired, revoked client
//!             └────────── CRL that names the revoked one
//! ```
use crate::clock;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::time::Duration;

/// A file of the PKI.
pub(super) struct File {
    /// Its name in the demo's directory.
    pub(super) name: &'static str,
    /// Its content.
    pub(super) pem: String,
}

type Ca = CertifiedIssuer<'static, KeyPair>;

/// Makes the whole PKI anew. A client's file has all that curl needs: certificate, intermediate, key.
pub(super) fn make() -> Result<Vec<File>, Error> {
    let root = Ca::self_signed(ca("Portcullis demo root", 1)?, KeyPair::generate()?)?;
    let intermediate = Ca::signed_by(ca("Portcullis demo CA", 2)?, KeyPair::generate()?, &root)?;
    let other = Ca::self_signed(ca("Somebody else's root", 1)?, KeyPair::generate()?)?;

    let server = leaf(server()?, &intermediate)?;
    let good = leaf(client("good client", GOOD)?, &intermediate)?;
    let expired = leaf(expired(client("expired client", EXPIRED)?), &intermediate)?;
    let revoked = leaf(client("revoked client", REVOKED)?, &intermediate)?;
    let untrusted = leaf(client("untrusted client", GOOD)?, &other)?;

    let in_one =
        |leaf: &Leaf, issuer: &Ca| format!("{}{}{}", leaf.certificate, issuer.pem(), leaf.key);
    Ok(vec![
        File { name: "root.pem", pem: root.pem() },
        File { name: "ca.pem", pem: format!("{}{}", root.pem(), intermediate.pem()) },
        File { name: "ca.crl", pem: revocations(&intermediate)? },
        File { name: "good.pem", pem: in_one(&good, &intermediate) },
        File { name: "expired.pem", pem: in_one(&expired, &intermediate) },
        File { name: "revoked.pem", pem: in_one(&revoked, &intermediate) },
        File { name: "untrusted.pem", pem: in_one(&untrusted, &other) },
        File { name: "server.crt", pem: format!("{}{}", server.certificate, intermediate.pem()) },
        File { name: "server.key", pem: server.key },
    ])
}

/// A certificate and its key, each as PEM.
struct Leaf {
    certificate: String,
    key: String,
}

fn leaf(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Leaf, Error> {
    let key = KeyPair::generate()?;
    Ok(Leaf { certificate: params.signed_by(&key, issuer)?.pem(), key: key.serialize_pem() })
}

fn ca(name: &str, serial: u64) -> Result<CertificateParams, Error> {
    let mut params = named(name, serial, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server() -> Result<CertificateParams, Error> {
    let mut params = named("localhost", SERVER, &["localhost", "127.0.0.1", "::1"])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client(name: &str, serial: u64) -> Result<CertificateParams, Error> {
    let mut params = named(name, serial, &[])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// The same certificate, its time over since yesterday.
fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before -= VALID;
    params.not_after -= VALID + DAY;
    params
}

/// What all have in common: valid from yesterday on, whatever the other side's clock says.
fn named(name: &str, serial: u64, names: &[&str]) -> Result<CertificateParams, Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Portcullis demo");
    params.serial_number = Some(SerialNumber::from(serial));
    params.use_authority_key_identifier_extension = true;
    let now = date_time_ymd(1970, 1, 1) + clock::since_epoch();
    params.not_before = now - DAY;
    params.not_after = now + VALID;
    Ok(params)
}

fn revocations(issuer: &Issuer<'_, KeyPair>) -> Result<String, Error> {
    let now = date_time_ymd(1970, 1, 1) + clock::since_epoch();
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(REVOKED),
        revocation_time: now - DAY,
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: now - DAY,
        next_update: now + VALID,
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer)?.pem()
}

const DAY: Duration = Duration::from_secs(24 * 3_600);
const VALID: Duration = Duration::from_secs(30 * 24 * 3_600);

// Serial numbers, as the identity headers show them: 0100, 0101, ...
const SERVER: u64 = 0x0100;
const GOOD: u64 = 0x0101;
const EXPIRED: u64 = 0x0102;
const REVOKED: u64 = 0x0103;

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::pem::Pem;
    use x509_parser::prelude::*;

    fn blocks(name: &str) -> Vec<Pem> {
        let files = make().unwrap();
        let file = files.iter().find(|file| file.name == name).unwrap();
        let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(file.pem.as_bytes()).collect();
        blocks.unwrap()
    }

    fn labels(blocks: &[Pem]) -> Vec<&str> {
        blocks.iter().map(|block| block.label.as_str()).collect()
    }

    #[test]
    fn each_file_has_the_blocks_that_openssl_reads() {
        for client in ["good.pem", "expired.pem", "revoked.pem", "untrusted.pem"] {
            let blocks = blocks(client);
            assert_eq!(labels(&blocks), ["CERTIFICATE", "CERTIFICATE", "PRIVATE KEY"], "{client}");
            let leaf = blocks[0].parse_x509().unwrap();
            let issuer = blocks[1].parse_x509().unwrap();
            assert!(leaf.verify_signature(Some(issuer.public_key())).is_ok(), "{client}");
            assert!(leaf.extended_key_usage().unwrap().unwrap().value.client_auth, "{client}");
        }
        assert_eq!(labels(&blocks("ca.pem")), ["CERTIFICATE", "CERTIFICATE"]);
        assert_eq!(labels(&blocks("server.crt")), ["CERTIFICATE", "CERTIFICATE"]);
        assert_eq!(labels(&blocks("server.key")), ["PRIVATE KEY"]);
        assert_eq!(labels(&blocks("ca.crl")), ["X509 CRL"]);
    }

    #[test]
    fn only_the_expired_client_is_expired() {
        let is_valid = |name| blocks(name)[0].parse_x509().unwrap().validity().is_valid();
        let names = ["good.pem", "expired.pem", "revoked.pem", "untrusted.pem", "server.crt"];
        assert_eq!(names.map(is_valid), [true, false, true, true, true]);
    }

    #[test]
    fn the_list_names_the_revoked_client_and_nobody_else() {
        let files = make().unwrap();
        let pem = |name| files.iter().find(|file| file.name == name).unwrap().pem.as_bytes();
        let first = |name| Pem::iter_from_buffer(pem(name)).next().unwrap().unwrap();
        let issuer = Pem::iter_from_buffer(pem("ca.pem")).nth(1).unwrap().unwrap();
        let issuer = issuer.parse_x509().unwrap();
        let list = first("ca.crl");
        let (_, list) = CertificateRevocationList::from_der(&list.contents).unwrap();
        assert!(list.verify_signature(issuer.public_key()).is_ok());
        let listed: Vec<_> = list.iter_revoked_certificates().map(|c| c.serial().clone()).collect();
        let revoked = first("revoked.pem");
        assert_eq!(listed, [revoked.parse_x509().unwrap().serial.clone()]);
    }

    #[test]
    fn the_server_answers_for_each_way_to_name_this_machine() {
        let server = &blocks("server.crt")[0];
        let server = server.parse_x509().unwrap();
        let names = server.subject_alternative_name().unwrap().unwrap().value;
        let names: Vec<String> = names.general_names.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }
}
