use super::*;
use rustls_pki_types::CertificateDer;
use std::collections::HashMap;
use std::sync::mpsc;
use std::thread::ThreadId;
use std::time::Duration;

fn change(subject: &str) -> Change {
    Change {
        subject: Some(subject.to_owned()),
        issuer: None,
        serial_number: None,
        listener: "https".to_owned(),
        server_name: None,
        last_seen: None,
        count: 0,
        last_refusal: None,
        live_connections: 3,
        now: Verdict::of(Some(Ok(()))),
        then: Verdict::of(Some(Err(Refusal::Expired))),
        on_revocation: Some("keep".to_owned()),
    }
}

/// Goal: nobody hides another's verdict. Method: what two shards tell of one certificate, in both
/// orders: a trust store vouched for one chain, somebody showed another one later, and a third is
/// connected.
#[test]
fn a_client_is_judged_by_the_chain_for_which_most_speaks() {
    let client = |others: u8| {
        let chain = [vec![7; 8], vec![others]].map(CertificateDer::from).to_vec();
        Arc::new(Client { listener: "https".into(), server_name: None, chain })
    };
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let seen = |others, is_vouched, last| Seen {
        client: client(others),
        is_vouched,
        last: at(last),
        count: 1,
        refusal: (!is_vouched).then_some(Refusal::Untrusted),
    };
    let whom = (Key::of("https", "", &client(3).chain), None);
    let connected = HashMap::from([(whom, Connected { client: client(3), connections: 5 })]);
    let first = Clients { connected, ..Clients::default() };
    let second = Clients {
        seen: vec![seen(1, true, 10), seen(0, true, 9), seen(2, false, 20)],
        ..Clients::default()
    };
    let live = Live::empty();
    for (told, judged_by) in [
        (vec![first.clone(), second.clone()], 1),
        (vec![second.clone(), first.clone()], 1),
        (vec![Clients { seen: vec![seen(2, false, 20)], ..Clients::default() }, first], 3),
    ] {
        let seen: u64 = told.iter().map(|of_shard| of_shard.seen.len() as u64).sum();
        let rows = Rows::of([&live, &live], told).rows;
        let [row] = rows.into_values().collect::<Vec<_>>().try_into().ok().unwrap();
        assert_eq!(row.client, client(judged_by));
        assert_eq!((row.count, row.connections), (seen, 5));
        assert_eq!((row.last, row.last_refusal), (Some(at(20)), Some(Refusal::Untrusted)));
    }
}

/// Says which thread writes it.
struct Thread(mpsc::Sender<ThreadId>);

impl Serialize for Thread {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.send(std::thread::current().id()).unwrap();
        to.serialize_unit()
    }
}

#[tokio::test]
async fn a_long_answer_is_not_written_by_the_control_thread() {
    let (sender, writer) = mpsc::channel();
    assert_eq!(written(Thread(sender)).await.status(), StatusCode::OK);
    assert_ne!(writer.recv().unwrap(), std::thread::current().id());
}

#[test]
fn an_answer_is_a_table_with_totals_also_where_not_all_are_listed() {
    let changes = vec![change("CN=a"), change("CN=longer")];
    let answer = DryRun {
        generation: 4,
        clients: 9,
        newly_refused: 5,
        live_connections: 15,
        live_connections_left_out: 2,
        changes,
        ..DryRun::default()
    };
    assert_eq!(
        answer.to_string(),
        "nothing has changed: generation 4 stays live\n\n\
         CLIENT     SERIAL NUMBER  LISTENER  LAST SEEN  COUNT  LIVE      NOW       THEN\n\
         CN=a       -              https     -          0      3 (keep)  accepted  \
         ClientCertExpired (expired)\n\
         CN=longer  -              https     -          0      3 (keep)  accepted  \
         ClientCertExpired (expired)\n\
         and 3 more\n\n\
         5 of 9 clients seen lately would change: 5 refused, 0 accepted, 0 refused for another \
         reason; live connections: 15\n\
         2 live connections were not judged: too many clients at once"
    );
}

#[test]
fn a_name_that_is_too_long_is_cut_between_characters() {
    let max = limits::DRY_RUN_TEXT_CHARS_MAX;
    assert_eq!(cut("ö".repeat(max)), "ö".repeat(max));
    assert_eq!(cut("ö".repeat(max + 1)), "ö".repeat(max) + "…");
}

#[test]
fn that_nobody_would_change_is_said_in_a_sentence() {
    let answer = DryRun { generation: 4, clients: 9, ..DryRun::default() };
    assert_eq!(
        answer.to_string(),
        "nothing has changed: generation 4 stays live\n\n\
         no client seen lately would change (9 judged)"
    );
}
