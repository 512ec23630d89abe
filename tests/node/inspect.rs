//! `portcullis trust inspect`: what the files of a trust store hold, before a node gets them.
use crate::support::node::portcullis;
use crate::support::pki;
use crate::support::scratch::Scratch;
use serde_json::Value;
use std::fs;

#[test]
fn a_good_store_is_listed_and_accepted() {
    let (bundle, list) = (pki().path("partners.pem"), pki().path("naming.crl"));
    let ended = portcullis(&["trust", "inspect", &bundle, &list]).success();
    let expected = format!(
        "{bundle}: 2 CA certificates\n  CN=Portcullis Tests Root,O=Example,ST=Oslo,C=NO\n      \
         ECDSA P-256, valid from 2015-01-02T00:00:00Z to 2085-01-02T00:00:00Z, self-issued\n  \
         CN=Portcullis Tests Issuing,O=Example,ST=Oslo,C=NO\n      ECDSA P-256, valid from \
         2015-01-02T00:00:00Z to 2085-01-02T00:00:00Z\n      issued by CN=Portcullis Tests \
         Root,O=Example,ST=Oslo,C=NO\n{list}: 1 revocation lists\n  CN=Portcullis Tests \
         Issuing,O=Example,ST=Oslo,C=NO\n      entries 1, thisUpdate 2025-01-01T00:00:00Z, nextUpdate \
         2080-01-01T00:00:00Z\n"
    );
    assert_eq!(ended.stdout, expected);
    let json = portcullis(&["trust", "inspect", "--json", &list, &bundle]).success().stdout;
    let reports: Value = serde_json::from_str(&json).expect("the answer is JSON");
    assert_eq!(reports[0]["kind"], "revocations");
    assert_eq!(reports[0]["revocations"][0]["entries"], 1);
    assert_eq!(reports[1]["certificates"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_file_that_would_be_refused_ends_with_status_1() {
    let directory = Scratch::new("inspect");
    let file = directory.path().join("bundle.pem");
    fs::write(&file, format!("\n{}{}", pki().read("root.crt"), pki().read("version-1.crt")))
        .unwrap();
    let ended = portcullis(&["trust", "inspect", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    assert!(ended.stdout.contains("\n  refused: certificate 2, line"), "{}", ended.said());
    assert!(ended.stdout.contains("\n  ALB refuses: line 1: a blank line"), "{}", ended.said());
    assert!(ended.stderr.contains("would be refused"), "{}", ended.said());
    // A list by a CA that the bundle does not hold.
    let (bundle, list) = (pki().path("stranger.crt"), pki().path("naming.crl"));
    let ended = portcullis(&["trust", "inspect", &bundle, &list]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("its issuer is not in the CA bundle"), "{}", ended.said());
}
