//! The verdict on a client's chain (leaf and intermediate, P-256), when every client is new, when it has been
//! here before, and once more on a live connection after a change.
//!
//! A new client costs one signature of its known issuer; one that comes back costs hashes. Everything
//! else (path, validity, purpose, depth, revocation) is judged anew in both.
use crate::part::Part;
use crate::support::{self, Pki};
use portcullis::trust::{Conditions, Store};
use rustls_pki_types::CertificateDer;
use std::hint::black_box;
use std::rc::Rc;

const LISTED: u32 = 10_000;

pub fn parts() -> Vec<Part> {
    let mut pki = Pki::new();
    let conditions = Conditions::default();
    let returning = Rc::new(pki.new_client());
    let unlisted = pki.store(&[]);
    let listed = Rc::new(pki.store(&[pki.revocation_list(LISTED)]));
    let accepted = listed.judge(&returning, &conditions, support::now()).expect("a good client");

    let returns = |store| judge(store, Rc::clone(&returning));
    let new = {
        let store = Rc::clone(&listed);
        move || judge(Rc::clone(&store), Rc::new(pki.new_client()))
    };
    let again = {
        let store = Rc::clone(&listed);
        move || store.judge_again(black_box(&accepted.path), &Conditions::default(), support::now())
    };
    vec![
        Part::same("verdict/returning_client", returns(Rc::new(unlisted))),
        Part::same("verdict/returning_client_10000_listed", returns(Rc::clone(&listed))),
        Part::fresh("verdict/new_client_of_a_known_issuer", new),
        Part::same("verdict/again", again),
    ]
}

/// Judges a chain.
fn judge(store: Rc<Store>, chain: Rc<Vec<CertificateDer<'static>>>) -> impl FnMut() -> bool {
    move || store.judge(black_box(&chain), &Conditions::default(), support::now()).is_ok()
}
