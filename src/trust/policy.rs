//! Certificate policies, as far as a path demands that there be one.
//!
//! No policy is asked for here, so policies decide only where a CA demands one of what it signed
//! (requireExplicitPolicy): then the certificates of the path must share a policy. webpki knows no
//! policies and refuses the extensions that constrain them where they are critical, as RFC 5280 wants
//! them to be; this is for those that are not. It is stricter than the standard: a demand holds at once,
//! however many certificates it lets pass, mappings are not followed, and anyPolicy counts no longer
//! where one certificate limits it.
//! Source: RFC 5280, sections 4.2.1.4, 4.2.1.11 and 6.1.
#![deny(clippy::indexing_slicing)]
use super::Refusal;
use super::der::{self, Malformed, Reader, Value};
use super::x509::{Certificate, oid};
use std::ops::Range;

/// What a certificate says of policies.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    /// Where its certificatePolicies stand.
    pub(super) issued_under: Option<Range<usize>>,
    /// policyConstraints with requireExplicitPolicy.
    pub(super) is_demanded: bool,
    /// inhibitAnyPolicy.
    pub(super) limits_any: bool,
}

impl Policies {
    /// Reads certificatePolicies.
    pub(super) fn read(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        each(value.reader(), |_| ())?;
        match self.issued_under.replace(value.content_range()) {
            Some(_) => Err(value.malformed("an extension once")),
            None => Ok(()),
        }
    }

    /// Reads policyConstraints.
    pub(super) fn read_constraints(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        let mut outer = value.reader();
        let mut fields = outer.expect(der::SEQUENCE, "policy constraints")?.reader();
        outer.finish("the end of the policy constraints")?;
        self.is_demanded |= fields.optional(der::primitive(0), "requireExplicitPolicy")?.is_some();
        Ok(())
    }
}

/// Judges a path without its anchor.
///
/// # Errors
/// [`Refusal::Invalid`] where a policy is demanded and none is shared.
pub(super) fn check(path: &[&Certificate<'_>]) -> Result<(), Refusal> {
    let any_says = |what: fn(&Policies) -> bool| {
        path.iter().any(|certificate| what(&certificate.extensions.policies))
    };
    if !any_says(|policies| policies.is_demanded) {
        return Ok(());
    }
    let limits_any = any_says(|policies| policies.limits_any);
    let issued_under: Vec<Vec<&[u8]>> =
        path.iter().map(|certificate| policies_of(certificate)).collect();
    let allows = |policies: &[&[u8]], wanted: &[u8]| {
        policies.contains(&wanted) || (!limits_any && policies.contains(&oid::ANY_POLICY))
    };
    let mut candidates = issued_under.iter().flatten();
    let is_shared =
        candidates.any(|wanted| issued_under.iter().all(|policies| allows(policies, wanted)));
    if is_shared { Ok(()) } else { Err(Refusal::Invalid) }
}

/// The OIDs of the policies under which a certificate was issued.
fn policies_of<'a>(certificate: &'a Certificate<'_>) -> Vec<&'a [u8]> {
    let mut oids = Vec::new();
    if let Some(value) = certificate.policies() {
        // Reading the certificate has checked them.
        let _ = each(Reader::new(value), |oid| oids.push(oid));
    }
    oids
}

/// Visits the OIDs of certificatePolicies. Their qualifiers are for people.
fn each<'a>(mut value: Reader<'a>, mut visit: impl FnMut(&'a [u8])) -> Result<(), Malformed> {
    let mut list = value.expect(der::SEQUENCE, "certificate policies")?.reader();
    value.finish("the end of the certificate policies")?;
    while !list.is_empty() {
        let mut policy = list.expect(der::SEQUENCE, "a certificate policy")?.reader();
        visit(policy.expect(der::OBJECT_IDENTIFIER, "a certificate policy's OID")?.content);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::limits;

    const ONE: &[u8] = &[0x2a, 3, 1];
    const TWO: &[u8] = &[0x2a, 3, 2];
    const DEMAND: &[u8] = &[0x30, 3, 0x80, 1, 0];

    fn issued_under(policies: &[&[u8]]) -> Vec<u8> {
        let list: Vec<_> = policies.iter().flat_map(|oid| der(0x30, &[&der(6, &[oid])])).collect();
        extension(32, false, &der(0x30, &[&list]))
    }

    /// The verdict on a client under one policy list, whose CA has another and further extensions.
    fn verdict(of_ca: &[&[u8]], more: &[Vec<u8>], of_client: &[&[u8]]) -> Result<(), Refusal> {
        let root = Draft::ca("root").root();
        let mut ca = Draft::ca("ca").with(issued_under(of_ca));
        ca.extensions.extend_from_slice(more);
        let ca = ca.by(&root);
        let client = Draft::client("client").with(issued_under(of_client)).by(&ca);
        judge(&store(&[&root], &[]), &[&client, &ca])
    }

    #[test]
    fn policies_may_differ_where_none_is_demanded() {
        assert_eq!(verdict(&[ONE], &[], &[TWO]), Ok(()));
        // inhibitPolicyMapping demands nothing.
        assert_eq!(
            verdict(&[ONE], &[extension(36, false, &[0x30, 3, 0x81, 1, 0])], &[TWO]),
            Ok(())
        );
    }

    #[test]
    fn a_demanded_policy_must_be_shared_by_the_whole_path() {
        let demand = [extension(36, false, DEMAND)];
        let any = oid::ANY_POLICY;
        for (of_ca, of_client, is_good) in [
            (&[ONE][..], &[ONE][..], true),
            (&[ONE, TWO], &[TWO], true),
            (&[any], &[TWO], true),
            (&[ONE], &[any], true),
            (&[any], &[any], true),
            (&[ONE], &[TWO], false),
        ] {
            let expected = if is_good { Ok(()) } else { Err(Refusal::Invalid) };
            assert_eq!(verdict(of_ca, &demand, of_client), expected, "{of_ca:?} {of_client:?}");
        }
        let limited = [demand[0].clone(), extension(54, false, &[2, 1, 0])];
        assert_eq!(verdict(&[any], &limited, &[TWO]), Err(Refusal::Invalid));
        assert_eq!(verdict(&[TWO], &limited, &[TWO]), Ok(()));
    }

    /// CVE-2023-0464: OpenSSL's tree of policies grew with each certificate. Here a path's policies are
    /// one list that only shrinks; mappings, by which they could multiply, are not taken where critical.
    #[test]
    fn sixty_four_policies_on_each_certificate_are_one_short_list() {
        let all: Vec<Vec<u8>> = (0..64).map(|number| vec![0x2a, 4, number]).collect();
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let demand = extension(36, false, DEMAND);
        let verdict = |of_client: &[&[u8]]| {
            let root = Draft::ca("root").root();
            let mut path =
                vec![Draft::ca("1").with(issued_under(&all)).with(demand.clone()).by(&root)];
            for depth in 2..=limits::INTERMEDIATES_MAX {
                let issuer = &path[path.len() - 1];
                path.push(Draft::ca(&depth.to_string()).with(issued_under(&all)).by(issuer));
            }
            let issuer = &path[path.len() - 1];
            let client = Draft::client("client").with(issued_under(of_client)).by(issuer);
            let sent: Vec<_> = std::iter::once(&client).chain(&path).collect();
            judge(&store(&[&root], &[]), &sent)
        };
        assert_eq!(verdict(&all), Ok(()));
        assert_eq!(verdict(&[TWO]), Err(Refusal::Invalid));
    }

    #[test]
    fn malformed_or_repeated_policies_are_invalid() {
        for more in [issued_under(&[ONE]), extension(36, false, &[5, 0])] {
            assert_eq!(verdict(&[ONE], &[more], &[ONE]), Err(Refusal::Invalid));
        }
        assert_eq!(verdict(&[ONE], &[], &[]), Ok(()));
    }
}
