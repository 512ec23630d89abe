//! `portcullis-pki`: a throw-away PKI for measurements, in a directory.
//!
//! ```text
//! root ── intermediate ─┬─ server, server-rsa         stranger ── untrusted
//!                       ├─ the clients
//!                       └─ revoked
//! ```
//!
//! Keys are P-256, that of `server-rsa` apart, chains are leaf and intermediate. The files: `bundle.pem` (root and
//! intermediate), `server`, `server-rsa`, `revoked`, `untrusted`, `clients/NUMBER` and, for who wants to make more
//! clients, `intermediate` (each as `.crt` and `.key`), `root.crl` (empty:
//! OpenSSL wants a list of every CA), and for each size that was asked for `SIZE.crl` (PEM) and `SIZE.der`,
//! lists of the intermediate. `revoked` stands in all of them that are not empty, the clients in none.
use clap::Parser;
use portcullis_pki::{Serial, ca, leaf, revocation_list, serial};
use rcgen::{
    CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair, PKCS_RSA_SHA256,
    RsaKeySize, SerialNumber,
};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a throw-away PKI for measurements: a server, clients, and revocation lists of any size
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to write it; made when it is not there
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Clients that stand in no list
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Entries of each revocation list
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "0")]
    lists: Vec<u32>,
}

type Ca = CertifiedIssuer<'static, KeyPair>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match make(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-pki: {}: {error}", arguments.directory.display());
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let directory = &arguments.directory;
    let clients = directory.join("clients");
    fs::create_dir_all(&clients)?;
    let root = Ca::self_signed(ca(ROOT), KeyPair::generate()?)?;
    let intermediate = Ca::signed_by(ca(INTERMEDIATE), KeyPair::generate()?, &root)?;
    let stranger = Ca::self_signed(ca("Perf stranger"), KeyPair::generate()?)?;
    fs::write(directory.join("bundle.pem"), root.pem() + &intermediate.pem())?;

    let mut server = leaf("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    server.subject_alt_names = CertificateParams::new(["localhost".to_owned()])?.subject_alt_names;
    issue(&intermediate, server.clone(), &directory.join("server"))?;
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    issue_for(&rsa, &intermediate, server, &directory.join("server-rsa"))?;
    write(&intermediate.pem(), intermediate.key(), &directory.join("intermediate"))?;
    for number in 0..arguments.clients {
        issue(&intermediate, client(number), &clients.join(format!("{number:05}")))?;
    }
    let mut revoked = client(arguments.clients);
    revoked.serial_number = Some(SerialNumber::from_slice(&REVOKED));
    issue(&intermediate, revoked, &directory.join("revoked"))?;
    issue(&stranger, client(arguments.clients + 1), &directory.join("untrusted"))?;

    let empty = revocation_list(&root, ROOT, std::iter::empty())?;
    fs::write(directory.join("root.crl"), pem(empty))?;
    for &entries in &arguments.lists {
        // In the middle, among random ones.
        let serials =
            (0..entries).map(|index| if index == entries / 2 { REVOKED } else { serial(index) });
        let list = revocation_list(&intermediate, INTERMEDIATE, serials)?;
        fs::write(directory.join(format!("{entries}.der")), &list)?;
        fs::write(directory.join(format!("{entries}.crl")), pem(list))?;
    }
    Ok(())
}

const ROOT: &str = "Perf root";
const INTERMEDIATE: &str = "Perf intermediate";

/// The serial number of `revoked`.
const REVOKED: Serial = *b"Arevoked client, 20.";

/// Writes a certificate of a new key, with its issuer's behind it, and the key.
fn issue(issuer: &Ca, leaf: CertificateParams, to: &Path) -> Result<(), Box<dyn Error>> {
    issue_for(&KeyPair::generate()?, issuer, leaf, to)
}

fn issue_for(
    key: &KeyPair,
    issuer: &Ca,
    leaf: CertificateParams,
    to: &Path,
) -> Result<(), Box<dyn Error>> {
    write(&(leaf.signed_by(key, issuer)?.pem() + &issuer.pem()), key, to)
}

fn write(chain: &str, key: &KeyPair, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::write(to.with_extension("crt"), chain)?;
    fs::write(to.with_extension("key"), key.serialize_pem())?;
    Ok(())
}

fn pem(list: Vec<u8>) -> String {
    pem::encode(&pem::Pem::new("X509 CRL", list))
}

fn client(number: u32) -> CertificateParams {
    leaf(&format!("client {number}"), ExtendedKeyUsagePurpose::ClientAuth)
}
