//! `swap`: a steady load while something changes.
use crate::nginx::Nginx;
use crate::pki::Pki;
use crate::program::{command, load, load_as_clients};
use crate::secure_server::{OK, send, serve};
use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_change_of_certificates_shows_in_what_the_server_has_shown() {
    let pki = Pki::new();
    let nginx = Nginx::start(&pki, "");
    let (certificate, key) = pki.issue();
    fs::write(pki.path("new.crt"), certificate.pem()).unwrap();
    fs::write(pki.path("new.key"), key.serialize_pem()).unwrap();
    let path = |file| pki.path(file);
    // By renames: nginx may still be reading what the change before has put there.
    let change = format!(
        "cp {} {}; mv {} {}; cp {} {}; mv {} {}; kill -HUP $(cat {})",
        path("new.crt"),
        path("next.crt"),
        path("next.crt"),
        path("server.crt"),
        path("new.key"),
        path("next.key"),
        path("next.key"),
        path("server.key"),
        path("nginx.pid")
    );
    let more =
        ["--rate", "100", "--duration", "6", "--kept", "4", "--every", "2", "--run", &change];
    let told = load_as_clients(&pki, "swap", nginx.address, &more).told;
    assert_eq!(told["failed"], 0, "{told}");
    let shown = told["server_certificates"].as_array().unwrap();
    assert_eq!(shown.len(), 2, "{told}");
    assert!(shown[1]["first_seconds"].as_f64().unwrap() >= 1.0, "{told}");
    assert_eq!(told["changes"][0]["exit_status"], 0, "{told}");
    // nginx ends its idle connections when it is reloaded, whether or not a request is on its way.
    let lost = told["lost"]["closed"].as_u64().unwrap_or(0);
    assert!(told["ended"].as_u64().unwrap() + lost >= 4, "{told}");
    assert!(told["kept_requests"].as_u64().unwrap() > 4, "{told}");
}

#[test]
fn every_refusal_has_its_time_its_client_and_its_reason() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let good = serve(&pki, Some(&pki.ca), |_, stream| send(stream, OK)).to_string();
    let bad = serve(&pki, Some(&stranger.ca), |_, stream| send(stream, OK)).to_string();
    let more = ["--connect-to", &good, "--connect-to", &bad, "--count", "10", "--concurrency", "1"];
    let more = [&more[..], &["--kept", "0"]].concat();
    let run = load_as_clients(&pki, "swap", "192.0.2.1:443".parse().unwrap(), &more);
    let table = String::from_utf8(run.output.stdout.clone()).unwrap();
    assert_eq!(table.matches("alert unknown_ca, new connection ").count(), 5, "{table}");
    let told = run.failure();
    let refusals = told["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 5, "{told}");
    let times: Vec<_> = refusals.iter().map(|one| one["at_seconds"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{told}");
    for refusal in refusals {
        assert_eq!(refusal["reason"], "alert unknown_ca");
        assert_eq!(refusal["connection"], "new connection");
        assert!(refusal["client"].as_str().unwrap().ends_with(".crt"), "{refusal}");
    }
}

#[test]
fn a_kept_connection_that_is_lost_is_told_and_opened_anew() {
    let pki = Pki::new();
    let kept = AtomicUsize::new(0);
    let address = serve(&pki, None, move |request, stream| {
        // Whoever keeps a connection does not ask for its end, and gets half of every other answer.
        let is_kept = !request.head.contains("connection: close");
        let is_cut = is_kept && kept.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let half = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhi";
        send(stream, if is_cut { half } else { OK });
    });
    let more = ["--count", "20", "--rate", "20", "--kept", "1"];
    let told = load(&pki, "swap", address, &more).failure();
    assert_eq!(told["failed"], 0, "{told}");
    assert!(told["lost"]["closed"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(told["refusals"][0]["connection"], "kept connection");
}

#[test]
fn a_change_that_fails_shows_in_the_exit_status() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let more = ["--duration", "2", "--rate", "20", "--every", "0.1", "--run", "exit 3"];
    let told = load(&pki, "swap", address, &more).failure();
    assert_eq!((&told["failed"], &told["changes"][0]["exit_status"]), (&0.into(), &3.into()));
}

/// Goal: a command that hangs ends with the run, with all that it has started, and is no failure.
#[test]
fn a_change_that_the_end_cuts_off_is_no_failure() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let late = pki.path("late");
    let change = format!("(sleep 20; touch {late}); true");
    let more = ["--duration", "1", "--timeout", "5", "--rate", "20", "--every", "0.1"];
    let told = load(&pki, "swap", address, &[&more[..], &["--run", &change]].concat()).success();
    assert_eq!(told["changes"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        (&told["changes"][0]["cut_off"], &told["failed_changes"]),
        (&true.into(), &0.into())
    );
    assert!(!fs::exists(late).unwrap());
}

/// A terminal sends Ctrl-C to all of the group of processes that it has in front.
#[test]
fn a_change_that_is_being_made_outlives_ctrl_c() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let (begun, made) = (pki.path("begun"), pki.path("made"));
    let change = format!("touch {begun}; sleep 1; touch {made}");
    let mut load = command(&["swap", "--connect", &address, "--insecure", "--duration", "600"]);
    load.args(["--rate", "20", "--every", "0.1", "--run", &change]);
    load.process_group(0).stdout(Stdio::null());
    let mut child = load.spawn().unwrap();
    until("a change", || fs::exists(&begun).unwrap().then_some(()));
    kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(fs::exists(made).unwrap());
}

/// Its standard error, which the change has, too, ends when the last of them is gone.
#[test]
fn a_second_ctrl_c_takes_a_change_that_is_being_made_along() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let (begun, made) = (pki.path("begun"), pki.path("made"));
    let change = format!("touch {begun}; sleep 20; touch {made}");
    let mut load = command(&["swap", "--connect", &address, "--insecure", "--duration", "600"]);
    load.args(["--timeout", "600", "--rate", "20", "--every", "0.1", "--run", &change]);
    let mut child = load.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("a change", || fs::exists(&begun).unwrap().then_some(()));
    // Two that come at once may count as one.
    let status = until("the end", || {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(130));
    child.stderr.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    assert!(!fs::exists(made).unwrap());
}
