//! A client's identity headers: reading its certificate, and writing the lines that stand in each of its
//! requests. Once for each connection.
use crate::part::Part;
use crate::support::Pki;
use portcullis::http::identity::{self, Names};
use portcullis::trust::Facts;
use std::hint::black_box;
use std::rc::Rc;

pub fn parts() -> Vec<Part> {
    let chain = Rc::new(Pki::new().new_client());
    let facts = Facts::from_der(&chain[0]).expect("a certificate");
    let [read, verify, pass] = [(); 3].map(|()| Rc::clone(&chain));
    vec![
        Part::same("identity/facts_of_a_leaf", move || {
            Facts::from_der(black_box(&read[0])).is_some()
        }),
        Part::same("identity/verify", move || {
            identity::verified(&Names::default(), &facts, black_box(&verify[0]))
        }),
        Part::same("identity/passthrough", move || {
            identity::passed_through(&Names::default(), black_box(&pass))
        }),
    ]
}
