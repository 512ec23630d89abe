//! A small PKI for tests, written octet by octet, so that tests can also make what no CA would issue.
use super::revocation::File;
use super::{Bundle, Conditions, Refusal, Revocations, Rules, Store};
use crate::calendar::rfc3339;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rcgen::{KeyPair, SigningKey};
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, PrivatePkcs8KeyDer, UnixTime, alg_id};
use std::time::Duration;

/// The present of every test: 2027-01-15T08:00:00Z.
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const DAY: u64 = 86_400;

pub(super) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// A seed; tests print it.
pub(super) fn random() -> [u8; 8] {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// A value of DER.
pub(super) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let header = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        0x100..0x1_0000 => [&[tag, 0x82][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[tag, 0x83][..], &(length as u32).to_be_bytes()[1..]].concat(),
    };
    [header, content].concat()
}

pub(super) fn time(seconds: u64) -> Vec<u8> {
    let text = rfc3339(at(seconds)).replace(['-', ':', 'T'], "");
    der(0x18, &[text.as_bytes()])
}

/// One attribute of a name; `oid` as its content octets.
pub(super) fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    der(0x30, &[&der(6, &[oid]), &der(tag, &[value])])
}

/// A name of one attribute, without its outer SEQUENCE.
pub(super) fn common_name(name: &str) -> Vec<u8> {
    der(0x31, &[&attribute(&[0x55, 4, 3], 0x0c, name.as_bytes())])
}

/// An extension under id-ce.
pub(super) fn extension(number: u8, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &[1, 1, 0xff] } else { &[] };
    der(0x30, &[&[6, 3, 0x55, 0x1d, number], critical, &der(4, &[value])])
}

pub(super) fn basic_constraints(is_ca: bool, path_length_max: Option<u8>) -> Vec<u8> {
    let ca: &[u8] = if is_ca { &[1, 1, 0xff] } else { &[] };
    let length = path_length_max.map(|max| vec![2, 1, max]).unwrap_or_default();
    extension(19, true, &der(0x30, &[ca, &length]))
}

/// keyUsage by the mask of its first octet.
pub(super) fn key_usage(bits: u8) -> Vec<u8> {
    extension(15, true, &[3, 2, 0, bits])
}

pub(super) fn extended_key_usage(oids: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = oids.iter().flat_map(|oid| der(6, &[oid])).collect();
    extension(37, false, &der(0x30, &[&list]))
}

pub(super) enum Key {
    Plain(KeyPair, AlgorithmIdentifier),
    RsaPss(KeyPair),
}

impl Key {
    pub(super) fn p256() -> Self {
        Self::generated(&rcgen::PKCS_ECDSA_P256_SHA256, alg_id::ECDSA_SHA256)
    }

    pub(super) fn generated(
        algorithm: &'static rcgen::SignatureAlgorithm,
        id: AlgorithmIdentifier,
    ) -> Self {
        Self::Plain(KeyPair::generate_for(algorithm).unwrap(), id)
    }

    pub(super) fn rsa_pss() -> Self {
        Self::RsaPss(KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap())
    }

    pub(super) fn copy(&self) -> Self {
        let copied = |pair: &KeyPair| {
            let pkcs8 = PrivatePkcs8KeyDer::from(pair.serialized_der());
            KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, pair.algorithm()).unwrap()
        };
        match self {
            Self::Plain(pair, id) => Self::Plain(copied(pair), *id),
            Self::RsaPss(pair) => Self::RsaPss(copied(pair)),
        }
    }

    fn info(&self) -> Vec<u8> {
        use rcgen::PublicKeyData;
        match self {
            Self::Plain(pair, _) | Self::RsaPss(pair) => pair.subject_public_key_info(),
        }
    }

    /// `SEQUENCE { message, algorithm, signature }`.
    fn signed(&self, message: &[&[u8]]) -> Vec<u8> {
        let message = der(0x30, message);
        let signature = match self {
            Self::Plain(pair, _) => pair.sign(&message).unwrap(),
            Self::RsaPss(pair) => {
                let pair = RsaKeyPair::from_pkcs8(pair.serialized_der()).unwrap();
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
                signature
            }
        };
        der(0x30, &[&message, &self.algorithm(), &der(3, &[&[0], &signature])])
    }

    fn algorithm(&self) -> Vec<u8> {
        let id = match self {
            Self::Plain(_, id) => *id,
            Self::RsaPss(_) => alg_id::RSA_PSS_SHA256,
        };
        der(0x30, &[id.as_ref()])
    }
}

/// A certificate to be.
pub(super) struct Draft {
    pub(super) version: u8,
    pub(super) serial: Option<Vec<u8>>,
    pub(super) subject: Vec<u8>,
    pub(super) not_before: u64,
    pub(super) not_after: u64,
    pub(super) key: Key,
    /// In the place of the key's own.
    pub(super) key_info: Option<Vec<u8>>,
    pub(super) extensions: Vec<Vec<u8>>,
}

/// A certificate with its key.
pub(super) struct Identity {
    pub(super) key: Key,
    pub(super) name: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) der: CertificateDer<'static>,
}

impl Draft {
    pub(super) fn client(name: &str) -> Self {
        Self {
            version: 3,
            serial: None,
            subject: common_name(name),
            not_before: NOW - 10 * DAY,
            not_after: NOW + 10 * DAY,
            key: Key::p256(),
            key_info: None,
            extensions: Vec::new(),
        }
    }

    pub(super) fn ca(name: &str) -> Self {
        Self::client(name).with(basic_constraints(true, None))
    }

    pub(super) fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    pub(super) fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    pub(super) fn valid(self, not_before: u64, not_after: u64) -> Self {
        Self { not_before, not_after, ..self }
    }

    pub(super) fn serial(self, serial: &[u8]) -> Self {
        Self { serial: Some(serial.to_vec()), ..self }
    }

    pub(super) fn root(self) -> Identity {
        let (name, key) = (self.subject.clone(), self.key.copy());
        self.signed(&name, &key)
    }

    pub(super) fn by(self, issuer: &Identity) -> Identity {
        self.signed(&issuer.name, &issuer.key)
    }

    fn signed(self, issuer: &[u8], signer: &Key) -> Identity {
        let key_info = self.key_info.unwrap_or_else(|| self.key.info());
        let hash = digest::digest(&digest::SHA256, &key_info);
        let serial = self.serial.unwrap_or_else(|| [&[1], &hash.as_ref()[..8]].concat());
        let version = match self.version {
            1 => Vec::new(),
            version => der(0xa0, &[&[2, 1, version - 1]]),
        };
        let extensions = match self.extensions.as_slice() {
            [] => Vec::new(),
            list => der(0xa3, &[&der(0x30, &[&list.concat()])]),
        };
        let der = signer.signed(&[
            &version,
            &der(2, &[&serial]),
            &signer.algorithm(),
            &der(0x30, &[issuer]),
            &der(0x30, &[&time(self.not_before), &time(self.not_after)]),
            &der(0x30, &[&self.subject]),
            &key_info,
            &extensions,
        ]);
        Identity { key: self.key, name: self.subject, serial, der: CertificateDer::from(der) }
    }
}

/// A revocation list to be.
pub(super) struct List {
    pub(super) version: u8,
    pub(super) issuer: Vec<u8>,
    pub(super) this_update: u64,
    pub(super) next_update: Option<u64>,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) extensions: Vec<Vec<u8>>,
}

impl List {
    pub(super) fn of(issuer: &Identity) -> Self {
        Self {
            version: 2,
            issuer: issuer.name.clone(),
            this_update: NOW - DAY,
            next_update: Some(NOW + DAY),
            entries: Vec::new(),
            extensions: Vec::new(),
        }
    }

    pub(super) fn revoking(self, serial: &[u8]) -> Self {
        self.entry(serial, &[])
    }

    pub(super) fn entry(mut self, serial: &[u8], extensions: &[Vec<u8>]) -> Self {
        let extensions = match extensions {
            [] => Vec::new(),
            list => der(0x30, &[&list.concat()]),
        };
        self.entries.push(der(0x30, &[&der(2, &[serial]), &time(NOW - DAY), &extensions]));
        self
    }

    pub(super) fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    pub(super) fn by(self, signer: &Key) -> Vec<u8> {
        let version = if self.version == 1 { Vec::new() } else { vec![2, 1, self.version - 1] };
        let entries = match self.entries.as_slice() {
            [] => Vec::new(),
            list => der(0x30, &[&list.concat()]),
        };
        let extensions = match self.extensions.as_slice() {
            [] => Vec::new(),
            list => der(0xa0, &[&der(0x30, &[&list.concat()])]),
        };
        signer.signed(&[
            &version,
            &signer.algorithm(),
            &der(0x30, &[&self.issuer]),
            &time(self.this_update),
            &self.next_update.map(time).unwrap_or_default(),
            &entries,
            &extensions,
        ])
    }
}

/// An empty list of the issuer's.
pub(super) fn empty_list(issuer: &Identity) -> Vec<u8> {
    List::of(issuer).by(&issuer.key)
}

/// A list of the issuer's that names one certificate.
pub(super) fn list_of(issuer: &Identity, revoked: &Identity) -> Vec<u8> {
    List::of(issuer).revoking(&revoked.serial).by(&issuer.key)
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), line_feeds)
}

pub(super) fn bundle_text(cas: &[&Identity]) -> String {
    cas.iter().map(|ca| pem("CERTIFICATE", &ca.der)).collect()
}

pub(super) fn bundle(cas: &[&Identity]) -> Bundle {
    Bundle::from_pem(bundle_text(cas).as_bytes(), at(NOW)).unwrap().0
}

pub(super) fn revocations(lists: &[Vec<u8>], bundle: &Bundle) -> Result<Revocations, Vec<String>> {
    let files: Vec<_> = lists.iter().map(|bytes| File { name: "test.crl", bytes }).collect();
    let messages = |faults: Vec<super::revocation::Fault>| {
        faults.into_iter().map(|fault| fault.message).collect()
    };
    Revocations::load(&files, bundle).map_err(messages)
}

pub(super) fn store(cas: &[&Identity], lists: &[Vec<u8>]) -> Store {
    let bundle = bundle(cas);
    let revocations = revocations(lists, &bundle).unwrap();
    Store { name: "test".into(), bundle, revocations, rules: Rules::default() }
}

pub(super) fn chain(chain: &[&Identity]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|identity| identity.der.clone()).collect()
}

/// The verdict at [`NOW`], without conditions.
pub(super) fn judge(store: &Store, sent: &[&Identity]) -> Result<(), Refusal> {
    store.judge(&chain(sent), &Conditions::default(), at(NOW)).map(|_| ())
}
