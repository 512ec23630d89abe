//! NIST's Public Key Interoperability Test Suite (PKITS): chains and revocation lists, each with the
//! verdict that RFC 5280 gives. `tests/run` fetches the data into `target/pkits`.
//!
//! Each case is a signed message that carries the certificates and lists of its path, without the trust
//! anchor. Its name says the verdict; those that depend on the policies asked for are in [`POLICIES`].
use portcullis::trust::revocation::File;
use portcullis::trust::{Bundle, Revocations};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// One case.
pub struct Case {
    /// The name of its message, without `Signed`.
    pub name: String,
    /// The name of its end-entity certificate, under which its key is kept too.
    pub leaf: String,
    /// The leaf, then the other certificates of the message.
    pub chain: Vec<CertificateDer<'static>>,
    /// What PKITS says.
    pub is_valid: bool,
    /// Its revocation lists, DER.
    lists: Vec<Vec<u8>>,
}

/// Where we refuse what PKITS accepts, and why. The other way round there is nothing to list.
const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "webpki knows no policies and refuses their critical extensions: policyMappings, \
         policyConstraints, inhibitAnyPolicy",
        &[
            "ValidPolicyMappingTest1",
            "ValidPolicyMappingTest3",
            "ValidPolicyMappingTest5",
            "ValidPolicyMappingTest6",
            "ValidPolicyMappingTest9",
            "ValidPolicyMappingTest11",
            "ValidPolicyMappingTest12",
            "ValidPolicyMappingTest13",
            "ValidPolicyMappingTest14",
            "ValidRequireExplicitPolicyTest1",
            "ValidRequireExplicitPolicyTest2",
            "ValidRequireExplicitPolicyTest4",
            "ValidSelfIssuedinhibitAnyPolicyTest7",
            "ValidSelfIssuedinhibitAnyPolicyTest9",
            "ValidSelfIssuedinhibitPolicyMappingTest7",
            "ValidSelfIssuedrequireExplicitPolicyTest6",
            "ValidinhibitAnyPolicyTest2",
            "ValidinhibitPolicyMappingTest2",
            "ValidinhibitPolicyMappingTest4",
            "inhibitAnyPolicyTest3",
        ],
    ),
    (
        "webpki does not judge name constraints on directory names, mail addresses and URIs, and \
         refuses what they stand above",
        &[
            "ValidDNandRFC822nameConstraintsTest27",
            "ValidDNnameConstraintsTest1",
            "ValidDNnameConstraintsTest4",
            "ValidDNnameConstraintsTest5",
            "ValidDNnameConstraintsTest6",
            "ValidDNnameConstraintsTest11",
            "ValidDNnameConstraintsTest14",
            "ValidDNnameConstraintsTest18",
            "ValidSelfIssuedDNnameConstraintsTest19",
            "ValidRFC822nameConstraintsTest21",
            "ValidRFC822nameConstraintsTest23",
            "ValidRFC822nameConstraintsTest25",
            "ValidURInameConstraintsTest34",
            "ValidURInameConstraintsTest36",
        ],
    ),
    (
        "names are compared octet by octet, as webpki does: case, white space and the kind of string \
         count (RFC 5280, section 7.1, would have them prepared first)",
        &[
            "ValidNameChainingCapitalizationTest5",
            "ValidNameChainingWhitespaceTest3",
            "ValidNameChainingWhitespaceTest4",
            "ValidRolloverfromPrintableStringtoUTF8StringTest10",
            "ValidUTF8StringCaseInsensitiveMatchTest11",
        ],
    ),
    (
        "unique identifiers are not read; RFC 5280, section 4.1.2.8, forbids CAs to use them",
        &["ValidNameChainingUIDsTest6"],
    ),
    ("times before 1970 are not read; this one is in 1950", &["Validpre2000UTCnotBeforeDateTest3"]),
    (
        "DSA is not among the keys that ALB supports",
        &["ValidDSAParameterInheritanceTest5", "ValidDSASignaturesTest4"],
    ),
    (
        "webpki counts self-issued certificates against a path length",
        &["ValidSelfIssuedpathLenConstraintTest15", "ValidSelfIssuedpathLenConstraintTest17"],
    ),
    (
        "a CA is no client: the leaf's basicConstraints say CA:TRUE",
        &[
            "OverlappingPoliciesTest6",
            "ValidonlyContainsCACertsCRLTest13",
            "ValidpathLenConstraintTest8",
            "ValidpathLenConstraintTest14",
        ],
    ),
    (
        "a bundle holds CAs; a certificate that may sign lists and nothing else is none",
        &["ValidBasicSelfIssuedCRLSigningKeyTest6", "ValidSeparateCertificateandCRLKeysTest19"],
    ),
    (
        "indirect lists are refused when they are loaded",
        &[
            "ValidIDPwithindirectCRLTest22",
            "ValidIDPwithindirectCRLTest24",
            "ValidIDPwithindirectCRLTest25",
            "ValidcRLIssuerTest28",
            "ValidcRLIssuerTest29",
            "ValidcRLIssuerTest30",
            "ValidcRLIssuerTest33",
        ],
    ),
    (
        "delta lists are refused when they are loaded, and a complete list that announces them vouches \
         for nobody",
        &["ValiddeltaCRLTest2", "ValiddeltaCRLTest5", "ValiddeltaCRLTest7", "ValiddeltaCRLTest8"],
    ),
];

/// Those whose names do not tell: the verdict where any policy will do and none is asked for.
const POLICIES: &[(&str, bool)] = &[
    ("AllCertificatesAnyPolicyTest11", true),
    ("AllCertificatesNoPoliciesTest2", true),
    ("AllCertificatesSamePoliciesTest10", true),
    ("AllCertificatesSamePoliciesTest13", true),
    ("AllCertificatesSamePolicyTest1", true),
    ("AnyPolicyTest14", true),
    ("CPSPointerQualifierTest20", true),
    ("DifferentPoliciesTest12", false),
    ("DifferentPoliciesTest3", true),
    ("DifferentPoliciesTest4", false),
    ("DifferentPoliciesTest5", false),
    ("DifferentPoliciesTest7", false),
    ("DifferentPoliciesTest8", false),
    ("DifferentPoliciesTest9", false),
    ("MissingCRLTest1", false),
    ("OverlappingPoliciesTest6", true),
    ("UserNoticeQualifierTest15", true),
    ("UserNoticeQualifierTest16", true),
    ("UserNoticeQualifierTest17", true),
    ("UserNoticeQualifierTest18", true),
    ("UserNoticeQualifierTest19", true),
    ("inhibitAnyPolicyTest3", true),
];

/// A file of the suite.
pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pkits").join(file)
}

fn read(file: &str) -> Vec<u8> {
    let path = path(file);
    fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; tests/run fetches what the tests need", path.display())
    })
}

pub fn anchor() -> CertificateDer<'static> {
    CertificateDer::from(read("certs/TrustAnchorRootCertificate.crt"))
}

/// Every case, by name.
pub fn cases() -> Vec<Case> {
    let leaves: HashMap<Vec<u8>, String> = names("certs", "EE.crt")
        .into_iter()
        .map(|name| (read(&format!("certs/{name}EE.crt")), format!("{name}EE")))
        .collect();
    names("smime", ".eml").iter().map(|message| Case::read(message, &leaves)).collect()
}

/// The names in a directory that end like this, without their ends.
fn names(directory: &str, end: &str) -> Vec<String> {
    let path = path(directory);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; tests/run fetches what the tests need", path.display())
    });
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(end).map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// What of a case makes a trust store.
pub struct Material {
    /// The trust anchor and those of the case's CAs that a bundle takes beside it, in PEM.
    pub bundle: String,
    /// The lists that can be loaded under that bundle, in PEM.
    pub revocations: String,
    /// Why the others were left out.
    pub left_out: Vec<String>,
}

impl Case {
    /// Whether we accept it: what PKITS says, but for [`DIFFERENCES`].
    pub fn is_accepted(&self) -> bool {
        self.is_valid && !differences().any(|name| name == self.name)
    }

    /// Everything that can be loaded. What is refused at load is left out, so that a fault there never
    /// passes for a verdict: the client sends the whole chain, and the verdict is on what is left.
    pub fn material(&self, now: UnixTime) -> Material {
        let mut left_out = Vec::new();
        let mut bundle = pem("CERTIFICATE", &anchor());
        let mut waiting: Vec<String> =
            self.chain[1..].iter().map(|ca| pem("CERTIFICATE", ca)).collect();
        // In whatever order they come, an issuer first: one without would anchor.
        loop {
            let before = waiting.len();
            waiting.retain(|ca| {
                let larger = format!("{bundle}{ca}");
                let is_good = load(&larger, now).is_ok();
                if is_good {
                    bundle = larger;
                }
                !is_good
            });
            if waiting.len() == before {
                break;
            }
        }
        let faults = waiting.iter().filter_map(|ca| load(&format!("{bundle}{ca}"), now).err());
        left_out.extend(faults);
        let loaded = load(&bundle, now).expect("it was loaded before");
        let mut revocations = String::new();
        for bytes in &self.lists {
            match Revocations::load(&[File { name: "list", bytes }], &loaded) {
                Ok(_) => revocations += &pem("X509 CRL", bytes),
                Err(faults) => left_out.push(faults[0].message.clone()),
            }
        }
        Material { bundle, revocations, left_out }
    }
}

/// A bundle in which nothing but the trust anchor anchors.
pub fn load(bundle: &str, now: UnixTime) -> Result<Bundle, String> {
    let (bundle, _) =
        Bundle::from_pem(bundle.as_bytes(), now).map_err(|faults| faults[0].0.clone())?;
    match bundle.partial_anchors().first() {
        Some(subject) => Err(format!("{subject} would anchor")),
        None => Ok(bundle),
    }
}

/// The names in the table of differences.
pub fn differences() -> impl Iterator<Item = &'static str> {
    DIFFERENCES.iter().flat_map(|(_, names)| *names).copied()
}

impl Case {
    fn read(message: &str, leaves: &HashMap<Vec<u8>, String>) -> Self {
        let text = String::from_utf8(read(&format!("smime/{message}.eml"))).unwrap();
        let (mut chain, lists) = contents(&signed_data(&text));
        let is_leaf = |certificate: &Vec<u8>| leaves.contains_key(certificate);
        let position = chain.iter().position(is_leaf).expect("a message has its signer's");
        chain.swap(0, position);
        let name = message.strip_prefix("Signed").expect("so they are named").to_owned();
        let known = POLICIES.iter().find(|(policy, _)| *policy == name);
        let is_valid = match known {
            Some((_, is_valid)) => *is_valid,
            None if name.starts_with("Invalid") => false,
            None if name.starts_with("Valid") => true,
            None => panic!("{name}: no verdict is known"),
        };
        let leaf = leaves[&chain[0]].clone();
        let anchor = anchor();
        chain.retain(|certificate| certificate[..] != anchor[..]);
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Self { name, leaf, chain, lists, is_valid }
    }
}

/// The attachment of an S/MIME message, which is base64 of DER.
fn signed_data(message: &str) -> Vec<u8> {
    let (_, attachment) = message.split_once("filename=\"smime.p7s\"").expect("it is attached");
    let (base64, _) = attachment.trim_start().split_once("\n\n").unwrap_or((attachment, ""));
    let base64: String = base64.lines().take_while(|line| !line.starts_with("--")).collect();
    // The label does not matter: what is asked for is the base64 in it.
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("the attachment is base64").to_vec()
}

/// Certificates and revocation lists of a SignedData (RFC 5652, section 5.1).
fn contents(der: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let content_info = values(values(der)[0].1);
    let signed_data = values(values(content_info[1].1)[0].1);
    let of = |tag: u8| {
        let set = signed_data.iter().find(|(found, ..)| *found == tag);
        let values = set.map(|(_, content, _)| values(content)).unwrap_or_default();
        values.into_iter().map(|(.., whole)| whole.to_vec()).collect()
    };
    (of(0xa0), of(0xa1))
}

/// The DER values in these bytes: tag, content, and the whole.
pub fn values(mut bytes: &[u8]) -> Vec<(u8, &[u8], &[u8])> {
    let mut values = Vec::new();
    while let [tag, first, rest @ ..] = bytes {
        let digits = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        let length = match digits {
            0 => usize::from(*first),
            _ => rest[..digits].iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        };
        let (whole, behind) = bytes.split_at(2 + digits + length);
        values.push((*tag, &whole[2 + digits..], whole));
        bytes = behind;
    }
    values
}

/// PEM of one value.
pub fn pem(label: &str, der: &[u8]) -> String {
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), line_feeds)
}
