//! Revocation lists as long as a file may be, and longer.
use crate::support::client::tls_config_with;
use crate::support::node::{Setup, piece};
use crate::support::pki::Issued;
use crate::support::{Client, Node, Target, long};
use portcullis::limits::REVOCATION_FILE_BYTES_MAX;
use portcullis_pki::{ca, leaf, revocation_list_of};
use rcgen::{CertifiedIssuer, ExtendedKeyUsagePurpose as Purpose, KeyPair, SerialNumber};
use std::fs;

/// A CA, and a node that trusts it and reads the list `list.crl`.
struct Site {
    ca: CertifiedIssuer<'static, KeyPair>,
    node: Node,
    _target: Target,
}

impl Site {
    fn new() -> Self {
        let ca = CertifiedIssuer::self_signed(ca("CA"), KeyPair::generate().unwrap()).unwrap();
        let target = Target::named("hello");
        let configuration = [
            piece::certificates(),
            "trust_stores: [{name: partners, ca_certificates_bundle: ca.pem, \
             revocations: [list.crl]}]\n"
                .to_owned(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("https", &piece::verify("")),
        ]
        .concat();
        let empty = revocation_list_of(&ca, "CA", &[]).unwrap();
        let empty = pem::encode(&pem::Pem::new("X509 CRL", empty));
        let files = [("ca.pem", ca.pem()), ("list.crl", empty)];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let node = Node::with_files(Setup::default(), &configuration, &files);
        Self { ca, node, _target: target }
    }

    /// Whether a client with this serial number is served.
    fn lets_in(&self, serial: &[u8]) -> bool {
        let mut params = leaf("device", Purpose::ClientAuth);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap().pem();
        let identity = tls_config_with(&Issued { certificate, key: key.serialize_pem() });
        let mut client = Client::tls(self.node.address("https"), "localhost", &identity);
        client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok()
            && client.try_answer("GET").is_ok_and(|answer| answer.status == 200)
    }
}

/// One entry, without a reason.
pub(crate) fn entry(serial: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u8::try_from(bytes).expect("it is short");
    let (all, number) = (length(serial.len() + BESIDE_SERIAL - 2), length(serial.len()));
    [&[0x30, all, 2, number], serial, b"\x17\x0d260101000000Z"].concat()
}

/// Octets of an entry beside its serial number.
const BESIDE_SERIAL: usize = 19;

/// The number as a DER integer, in as few octets as there may be.
fn shortest(number: u32) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let is_needless = |at: &usize| octets[*at] == 0 && octets[at + 1] < 0x80;
    let needless = (0..3).take_while(is_needless).count();
    octets[needless..].to_vec()
}

/// Entries of so many bytes in all, and how many they are: serial numbers that `serial` gives, and at the end two
/// longer ones that fill the room.
fn entries(bytes: usize, serial: impl Fn(u32) -> Vec<u8>) -> (Vec<u8>, usize) {
    let mut entries = Vec::with_capacity(bytes);
    let mut count = 2;
    for number in 1.. {
        let next = entry(&serial(number));
        if entries.len() + next.len() + FILLERS_MIN > bytes {
            break;
        }
        entries.extend(next);
        count += 1;
    }
    let rest = bytes - entries.len();
    for (first, length) in [(0x55, rest / 2), (0x56, rest - rest / 2)] {
        let mut serial = vec![1; length - BESIDE_SERIAL];
        serial[0] = first;
        entries.extend(entry(&serial));
    }
    assert_eq!(entries.len(), bytes);
    (entries, count)
}

/// Two entries with serial numbers of five octets.
const FILLERS_MIN: usize = 2 * (BESIDE_SERIAL + 5);

/// A list of so many bytes exactly, and the number of its entries.
fn list_of(
    issuer: &CertifiedIssuer<'_, KeyPair>,
    bytes: usize,
    serial: impl Fn(u32) -> Vec<u8>,
) -> (Vec<u8>, usize) {
    let mut room = bytes - 300;
    for _ in 0..100 {
        let (entries, count) = entries(room, &serial);
        let list = revocation_list_of(issuer, "CA", &entries).expect("the key signs");
        if list.len() == bytes {
            return (list, count);
        }
        // The rest of a list has a length of its own, and a signature one that varies.
        room = room + bytes - list.len();
    }
    panic!("no list has {bytes} bytes");
}

/// What the node may take beside the list, in KiB.
const NOISE_KIB: u64 = 8 * 1024;

/// Goal: the largest file that is taken costs what is promised, three times its size while it is loaded, and
/// is enforced. Method: as many entries as fit into its bytes, and as many different ones; in the quick run
/// into fewer bytes.
#[test]
fn the_largest_list_loads_within_three_times_its_size_and_is_enforced() {
    let bytes = if long() { REVOCATION_FILE_BYTES_MAX } else { 4 << 20 };
    let site = Site::new();
    let (listed, unlisted) = ([5], [0x77; 8]);
    assert!(site.lets_in(&listed));
    let short = |number: u32| vec![(number % 127) as u8 + 1];
    for (kind, serial) in [("short", short as fn(u32) -> Vec<u8>), ("different", shortest)] {
        let (list, count) = list_of(&site.ca, bytes, serial);
        assert_eq!(list.len(), bytes);
        fs::write(site.node.path("list.crl.new"), &list).expect("there is room");
        drop(list);
        let before = site.node.resident_kib();
        site.node.forget_most_resident();
        fs::rename(site.node.path("list.crl.new"), site.node.path("list.crl")).unwrap();
        site.node.reload();
        let most = site.node.most_resident_kib().saturating_sub(before);
        let after = site.node.resident_kib().saturating_sub(before);
        let file = bytes as u64 / 1024;
        let said = format!(
            "{count} {kind} entries in {file} KiB: {most} KiB at most while they are loaded, \
             {after} KiB afterwards"
        );
        println!("{said}");
        assert!(most < 3 * file + NOISE_KIB, "{said}");
        let told = &site.node.status()["trust_stores"][0]["revocations"][0];
        assert_eq!(told["entries"].as_u64(), Some(count as u64), "{told}");
        assert!(!site.lets_in(&listed), "{said}");
        assert!(site.lets_in(&unlisted), "{said}");
    }
    site.node.assert_no_panic();
}

#[test]
fn a_list_over_the_limit_is_refused_with_its_size_and_not_read() {
    let site = Site::new();
    let over = REVOCATION_FILE_BYTES_MAX as u64 + 1;
    // Ten million entries of the shortest kind; written out in the long run.
    let many = 10_000_000 * (BESIDE_SERIAL as u64 + 1);
    for bytes in [over, many] {
        let new = site.node.path("list.crl.new");
        if long() && bytes == many {
            let entries = entry(&[5]).repeat(10_000_000);
            let list = revocation_list_of(&site.ca, "CA", &entries).expect("the key signs");
            fs::write(&new, list).expect("there is room");
        } else {
            fs::File::create(&new).and_then(|file| file.set_len(bytes)).expect("it may be sparse");
        }
        let bytes = fs::metadata(&new).unwrap().len();
        let before = site.node.resident_kib();
        site.node.forget_most_resident();
        fs::rename(&new, site.node.path("list.crl")).unwrap();
        let said = site.node.reload_refused();
        let expected = format!(
            "list.crl: the file has {bytes} bytes, and the limit is {REVOCATION_FILE_BYTES_MAX}"
        );
        assert!(said.contains(&expected), "{said}");
        let most = site.node.most_resident_kib().saturating_sub(before);
        assert!(most < NOISE_KIB, "{bytes} bytes that are refused took {most} KiB");
        assert!(site.lets_in(&[5]), "the old generation serves on");
    }
}
