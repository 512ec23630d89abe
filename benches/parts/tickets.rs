//! What session tickets add to a handshake: sealing one, and opening one that came back and judging its path.
//!
//! The session is as long as rustls makes it for a leaf and an intermediate on P-256.
use crate::part::Part;
use crate::support::{self, Pki};
use portcullis::tls::tickets::{Binding, Keys, Ticket};
use portcullis::trust::{Again, Conditions, Fingerprint, Path};
use std::hint::black_box;
use std::rc::Rc;

pub fn parts() -> Vec<Part> {
    let mut pki = Pki::new();
    let chain = pki.new_client();
    let session = vec![0x5a; 200 + chain.iter().map(|der| der.len()).sum::<usize>()];
    let store = pki.store(&[pki.revocation_list(10_000)]);
    let accepted = store.judge(&chain, &Conditions::default(), support::now()).expect("a client");
    let path = accepted.path.encode().to_vec();
    let binding = Binding { policy: Fingerprint::default(), bundle: store.bundle.fingerprint() };
    let expires = accepted.until;
    let keys = Rc::new(Keys::random().expect("randomness"));
    let seal = {
        let keys = Rc::clone(&keys);
        move || keys.seal(&Ticket { binding, expires, path: &path, session: black_box(&session) })
    };
    let sealed = seal().expect("a ticket");
    let open_and_judge = move || {
        let mut room = Vec::new();
        let ticket = keys.open(black_box(&sealed), &mut room).expect("it opens");
        let path = Path::decode(ticket.path).expect("a path");
        let again = store.judge_again(&path, &Conditions::default(), support::now());
        assert!(matches!(again, Again::Accepted { .. }));
        ticket.session.to_vec()
    };
    vec![Part::same("tickets/seal", seal), Part::same("tickets/open_and_judge", open_and_judge)]
}
