//! One revocation among very many live connections.
use crate::support::client::{tls_config, tls_over};
use crate::support::node::piece;
use crate::support::pki::RSA_SERIAL;
use crate::support::{Client, Node, Setup, long, pki, wait};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

fn configuration() -> String {
    let answer = "{type: fixed-response, fixed_response_config: {status_code: 204}}";
    let listener = piece::https("https", &piece::verify("on_revocation: close"))
        .replace("{type: forward, target_group: targets}", answer);
    let store = format!(
        "trust_stores:\n  - {{name: partners, ca_certificates_bundle: {}, revocations: [list.crl]}}\n",
        pki().path("partners.pem")
    );
    // It takes a while until the last of them stands.
    let patient = "load_balancer: {name: edge, attributes: {idle_timeout.timeout_seconds: 4000}}\n";
    [patient.to_owned(), piece::certificates(), store, "listeners:\n".to_owned(), listener].concat()
}

/// From one of several addresses of loopback, so that no port range ends.
fn connect(index: usize, to: SocketAddr) -> TcpStream {
    let from = Ipv4Addr::new(127, 0, 0, 2 + (index % 8) as u8);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(4 * wait::PATIENCE)).unwrap();
    stream
}

/// Goal: after one revocation exactly the connections of its client end. Method: two clients with the same
/// number of connections; the kept one's are served afterwards, each. That no shard stalls is seen by the
/// sweep's counters: every path was looked up, none built anew, in slices.
#[test]
fn one_revocation_among_many_connections_ends_its_clients_and_no_other() {
    let count = if long() { 15_000 } else { 2_000 };
    let setup = Setup { shards: 2, node: ", connections_max: 16000", ..Setup::default() };
    let files = [("list.crl", pki().issuing.crl(&[]))];
    let node =
        Node::with_files(setup, &configuration(), &files.each_ref().map(|(n, c)| (*n, &**c)));
    let address = node.address("https");
    let configs = ["good", "good-rsa"].map(|name| tls_config(Some(name)));
    let mut clients: Vec<Client> = (0..count)
        .map(|index| {
            let stream = connect(index, address);
            let mut client = Client::on(tls_over(stream, "localhost", &configs[index % 2]));
            assert_eq!(client.get("/").status, 204, "connection {index}");
            client
        })
        .collect();
    let judged = |by: &str| node.metric("portcullis_connections_judged_again_total", &[by]);
    let before = judged("by=\"path\"");

    node.write("list.crl", &pki().issuing.crl(&[RSA_SERIAL]));
    node.reload();
    for (index, client) in clients.iter_mut().enumerate() {
        match index % 2 {
            0 => assert_eq!(client.get("/").status, 204, "connection {index} goes on"),
            _ => assert_eq!(client.until_closed(), b"", "connection {index} ends"),
        }
    }
    let ended = ["listener=\"https\"", "reason=\"ClientCertCrlHit\""];
    node.metric_becomes("portcullis_connections_ended_by_trust_total", &ended, (count / 2) as f64);
    wait::until("everybody to be judged again", || {
        (judged("by=\"path\"") - before >= count as f64).then_some(())
    });
    assert_eq!(judged("by=\"chain\""), 0.0, "lookups were enough");
    let slices = node.metric("portcullis_sweep_slices_total", &[]);
    let longest = node.metric("portcullis_sweep_slice_max_seconds", &[]);
    println!("{count} connections in {slices} slices, the longest {:.3} ms", longest * 1e3);
    assert!(slices >= 2.0, "each shard had its own");
    node.assert_no_panic();
}
