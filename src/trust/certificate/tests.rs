use super::super::testing::*;
use super::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

const CN: &[u8] = &[0x55, 4, 3];
const UTF8: u8 = 0x0c;

/// A certificate with this subject, given as the parts of its name.
fn named(parts: &[Vec<u8>], serial: &[u8]) -> Identity {
    Draft { subject: parts.concat(), ..Draft::client("") }.serial(serial).root()
}

fn part(attributes: &[Vec<u8>]) -> Vec<u8> {
    der(0x31, &[&attributes.concat()])
}

fn single(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    part(&[attribute(oid, tag, value)])
}

/// What `openssl x509` prints of a certificate: serial, subject.
fn by_openssl(certificate: &[u8]) -> (String, String) {
    let mut child = Command::new("openssl")
        .args(["x509", "-inform", "DER", "-noout", "-serial", "-subject", "-nameopt", "RFC2253"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed by tests/run");
    child.stdin.take().unwrap().write_all(certificate).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let line = |start: &str| output.lines().find_map(|line| line.strip_prefix(start)).unwrap();
    (line("serial=").to_owned(), line("subject=").to_owned())
}

/// Goal: a target reads the names it would have got from OpenSSL. Method: names with every kind of
/// string, escape and attribute, compared with what the program prints.
#[test]
fn names_and_serial_numbers_are_those_that_openssl_prints() {
    let id_at = |number: u8| vec![0x55, 4, number];
    let known = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 41, 42, 43, 44, 45, 46, 65, 72, 97,
    ];
    let domain = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1];
    let pkcs9 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9];
    let jurisdiction = [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1];
    let under = |arc: &[u8], last: u8| [arc, &[last]].concat();
    let names: Vec<Vec<Vec<u8>>> = vec![
        vec![],
        known.iter().map(|number| single(&id_at(*number), UTF8, b"v")).collect(),
        [1, 3, 25].map(|last| single(&under(&domain, last), 0x16, b"v")).to_vec(),
        [1, 2, 8].map(|last| single(&under(&pkcs9, last), 0x16, b"a@b.example")).to_vec(),
        [1, 2, 3].map(|last| single(&under(&jurisdiction, last), 0x13, b"NO")).to_vec(),
        vec![
            single(&id_at(6), 0x13, b"NO"),
            part(&[attribute(&id_at(10), UTF8, b"Org"), attribute(&id_at(11), UTF8, b"Unit")]),
            single(CN, UTF8, b"device-17"),
        ],
        vec![single(CN, UTF8, b",+\"\\<>;=#/' a")],
        vec![single(CN, UTF8, b"#first")],
        vec![single(CN, UTF8, b" spaces at both ends ")],
        vec![single(CN, UTF8, b" ")],
        vec![single(CN, UTF8, b"")],
        vec![single(CN, UTF8, b"good.example\0.evil\r\nX-Forged: 1\x7f\x1b[31m")],
        vec![single(CN, UTF8, "Bj\u{f8}rn \u{20ac} \u{1f512}".as_bytes())],
        vec![single(CN, 0x14, &[b'T', 0xe6, b'1'])],
        vec![single(CN, 0x1e, &[0, b'B', 0x20, 0xac, 0, b','])],
        vec![single(CN, 0x1c, &[0, 0, 0, b'U', 0, 1, 0xf5, 0x12])],
        vec![single(CN, 0x03, &[0, 0x80])],
        vec![single(&[0x2a, 3, 4], UTF8, b"unknown type")],
        vec![single(&[0x2a, 3, 4], UTF8, &[b'x'; 200])],
        vec![single(&[0x88, 0x37, 0x83, 0xff, 0x7f], 0x13, b"x")],
        vec![single(CN, UTF8, &[b'l'; 3_000])],
    ];
    let serials: [&[u8]; 6] =
        [&[0x03, 0xa5, 0xb1], &[0, 0xfe, 0xf2, 0x57], &[2], &[0x7f; 20], &[0, 0x80], &[0x01, 0, 0]];
    for (index, name) in names.iter().enumerate() {
        let certificate = named(name, serials[index % serials.len()]);
        let facts = Facts::from_der(&certificate.der).unwrap();
        println!("name {index}: {}", facts.subject);
        let (serial, subject) = by_openssl(&certificate.der);
        assert_eq!((&facts.serial_number, &facts.subject), (&serial, &subject), "name {index}");
        assert_eq!(facts.subject, facts.issuer);
        assert!(facts.subject.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "name {index}");
    }
}

#[test]
fn serial_numbers_are_numbers_and_not_encodings() {
    for (content, expected) in [
        (&[0x03, 0xa5, 0xb1][..], "03A5B1"),
        (&[0, 0xfe, 0xf2], "FEF2"),
        (&[0], "00"),
        (&[0, 0], "00"),
        (&[0xff], "-01"),
        (&[0x80], "-80"),
        (&[0x80, 0], "-8000"),
        (&[0xff, 0x21, 0x52], "-DEAE"),
        (&[0xff, 0], "-0100"),
    ] {
        assert_eq!(serial_number(content), expected, "{content:02x?}");
        // OpenSSL reads only numbers in their shortest form.
        if content != [0, 0] {
            assert_eq!(by_openssl(&named(&[], content).der).0, expected);
        }
    }
}

#[test]
fn validity_has_albs_form() {
    let identity = Draft::client("client").valid(NOW, NOW + DAY).root();
    let facts = Facts::from_der(&identity.der).unwrap();
    let expected = "NotBefore=2027-01-15T08:00:00Z;NotAfter=2027-01-16T08:00:00Z";
    assert_eq!(facts.validity(), expected);
    assert_eq!((facts.not_before, facts.not_after), (at(NOW), at(NOW + DAY)));
}

/// OpenSSL refuses to load such certificates; a client may send one all the same.
#[test]
fn strings_that_are_wrong_in_themselves_are_still_printable() {
    let wrong = named(&[single(CN, UTF8, &[b'a', 0xff, 0xfe, b'b'])], &[1]);
    assert_eq!(Facts::from_der(&wrong.der).unwrap().subject, "CN=a\\FF\\FEb");
    let octets = named(&[single(CN, 0x04, b"octets")], &[1]);
    assert_eq!(Facts::from_der(&octets.der).unwrap().subject, "CN=#04066F6374657473");
    let cut = named(&[single(CN, 0x1e, &[0, b'B', 0x20])], &[1]);
    assert_eq!(Facts::from_der(&cut.der).unwrap().subject, "CN=#1E03004220");
    let lone = named(&[single(CN, 0x1e, &[0xd8, 0])], &[1]);
    assert_eq!(Facts::from_der(&lone.der).unwrap().subject, "CN=\\EF\\BF\\BD");
}

#[test]
fn what_is_no_certificate_has_no_facts() {
    let good = Draft::client("client").root().der;
    assert!(Facts::from_der(&good).is_some());
    for length in 0..good.len() {
        assert_eq!(Facts::from_der(&good[..length]), None);
    }
    assert_eq!(Facts::from_der(&[&good[..], &[0]].concat()), None);
    let malformed = named(&[vec![0x31, 2, 0x30, 0]], &[1]);
    assert_eq!(Facts::from_der(&malformed.der), None);
}
