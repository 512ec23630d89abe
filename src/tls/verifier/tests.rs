use super::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Says its name through the refusal, and remembers what it saw.
struct Named {
    refusal: Refusal,
    chain: Cell<Vec<Vec<u8>>>,
}

fn judge(refusal: Refusal) -> Rc<Named> {
    Rc::new(Named { refusal, chain: Cell::default() })
}

impl Judge for Named {
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        self.chain.set(chain.iter().map(|one| one.to_vec()).collect());
        Err(self.refusal)
    }
}

fn verify() -> Error {
    let certificates = [b"leaf", b"int1", b"int2"].map(|der| CertificateDer::from(&der[..]));
    let now = UnixTime::since_unix_epoch(std::time::Duration::ZERO);
    Verifier::new(Ask::Required, Vec::new())
        .verify_client_cert(&certificates[0], &certificates[1..], now)
        .unwrap_err()
}

fn refused(refusal: Refusal) -> Error {
    refusal.certificate_error().into()
}

#[test]
fn the_judge_sees_the_chain_leaf_first() {
    let judge = judge(Refusal::Expired);
    assert_eq!(under(judge.clone(), verify), refused(Refusal::Expired));
    assert_eq!(judge.chain.take(), [b"leaf", b"int1", b"int2"]);
}

#[test]
fn an_inner_judge_answers_for_its_own_handshake_alone() {
    let (outer, inner) = (judge(Refusal::Expired), judge(Refusal::CrlHit));
    under(outer, || {
        assert_eq!(verify(), refused(Refusal::Expired));
        assert_eq!(under(inner, verify), refused(Refusal::CrlHit));
        assert_eq!(verify(), refused(Refusal::Expired));
    });
}

/// A panic ends one connection; the next one on the shard must not be judged as that one.
#[test]
fn a_panic_leaves_the_outer_judge() {
    under(judge(Refusal::Expired), || {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            under(judge(Refusal::CrlHit), || panic!("in a handshake"));
        }));
        assert!(panicked.is_err());
        assert_eq!(verify(), refused(Refusal::Expired));
    });
    assert!(JUDGE.with_borrow(Option::is_none));
}

/// A judge may itself drive a handshake, or the verifier of another one.
#[test]
fn a_judge_may_run_another_under_itself() {
    struct Nesting;
    impl Judge for Nesting {
        fn judge(&self, _: &[CertificateDer<'_>]) -> Result<(), Refusal> {
            assert_eq!(under(judge(Refusal::CrlHit), verify), refused(Refusal::CrlHit));
            Err(Refusal::Untrusted)
        }
    }
    assert_eq!(under(Rc::new(Nesting), verify), refused(Refusal::Untrusted));
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "runs under a judge"))]
fn nobody_is_accepted_without_a_judge() {
    assert_eq!(verify(), CertificateError::ApplicationVerificationFailure.into());
}

#[test]
fn asking_is_offered_and_demanded_as_configured() {
    for (ask, offered, mandatory) in
        [(Ask::No, false, false), (Ask::Optional, true, false), (Ask::Required, true, true)]
    {
        let verifier = Verifier::new(ask, Vec::new());
        assert_eq!(verifier.offer_client_auth(), offered, "{ask:?}");
        assert_eq!(verifier.client_auth_mandatory(), mandatory, "{ask:?}");
    }
}

/// Goal: nothing beyond ALB's list is asked for. Source: ALB guide, "Mutual authentication with TLS".
#[test]
fn clients_are_asked_for_rsa_and_ecdsa_with_sha_2() {
    use SignatureScheme as S;
    assert_eq!(
        Verifier::new(Ask::Required, Vec::new()).supported_verify_schemes(),
        [
            S::ECDSA_NISTP256_SHA256,
            S::ECDSA_NISTP384_SHA384,
            S::ECDSA_NISTP521_SHA512,
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
        ]
    );
}

#[test]
fn only_mapped_algorithms_are_listed() {
    let mapped: usize = SIGNATURES.mapping.iter().map(|(_, algorithms)| algorithms.len()).sum();
    assert_eq!(mapped, SIGNATURES.all.len());
}
