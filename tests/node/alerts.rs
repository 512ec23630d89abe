//! What warns ahead: the metrics of expiry, staleness, failed loads and swaps, and the alert rules of
//! `deploy/alerts` that read them.
use crate::support::node::piece;
use crate::support::pki::{Authority, Leaf};
use crate::support::{Client, Node, Setup, Target, pki, tools};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const RULES: &str = "portcullis.rules.yml";
/// Those of what happens within hours, of what takes a day, and of what is warned of weeks ahead.
const TESTS: [&str; 3] =
    ["portcullis.rules.test.yml", "portcullis.days.test.yml", "portcullis.expiry.test.yml"];

/// A file of `deploy/alerts`.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).expect(name)
}

/// Trust store `mixed`: a CA that has expired and one that has not; a file with two lists, and one with one.
fn store(node_files: &mut Vec<(&'static str, String)>) -> String {
    let old = Authority::of_years("Old Root", 2015..=2020);
    let (root, issuing) = (&pki().root, &pki().issuing);
    node_files.push(("mixed.pem", old.pem() + &root.pem() + &issuing.pem()));
    let earlier = issuing.crl_of_years(2024..=2070, &[&[0x22], &[0x23]]);
    node_files.push(("two.crl", earlier + &root.crl_of_years(2023..=2071, &[])));
    node_files.push(("one.crl", issuing.crl_of_years(2022..=2024, &[&[0x24]])));
    "trust_stores:\n  - {name: mixed, ca_certificates_bundle: mixed.pem, \
     revocations: [two.crl, one.crl]}\n"
        .to_owned()
}

/// A node of two shards with everything that alerts look at.
fn node(target: &Target) -> Node {
    let mut files = Vec::new();
    let trust = store(&mut files);
    let server = pki().issuing.issue(Leaf::server(&["localhost"]).with_years(2024..=2050));
    files.push(("server.crt", server.certificate + &pki().issuing.pem()));
    files.push(("server.key", server.key));
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let configuration = configuration(target, &trust);
    Node::with_files(Setup { shards: 2, ..Setup::default() }, &configuration, &files)
}

fn configuration(target: &Target, trust: &str) -> String {
    [
        "certificates:\n  - {name: server, chain: server.crt, key: server.key}\n".to_owned(),
        trust.to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https(
            "https",
            &format!("certificates: [server]\n{}", piece::verify("").replace("partners", "mixed")),
        ),
    ]
    .concat()
}

/// Seconds since 1970 at the beginning of a day of January: the second for certificates, the first for lists.
fn in_january(year: i32, day: u8) -> f64 {
    rcgen::date_time_ymd(year, 1, day).unix_timestamp() as f64
}

fn assert_metric(node: &Node, name: &str, labels: &[&str], expected: f64) {
    let value = node.metric(name, labels);
    assert!((value - expected).abs() < 0.5, "{name}{labels:?} is {value}, not {expected}");
}

#[test]
fn expiry_is_told_ahead_for_certificates_their_chains_cas_and_each_file_of_lists() {
    let target = Target::named("hello");
    let node = node(&target);
    let server = ["certificate=\"server\""];
    let of = "portcullis_certificate";
    let expiry = "expiry_timestamp_seconds";
    assert_metric(&node, &format!("{of}_{expiry}"), &server, in_january(2050, 2));
    assert_metric(&node, &format!("{of}_chain_{expiry}"), &server, in_january(2085, 2));
    let mixed = ["trust_store=\"mixed\""];
    let of = "portcullis_trust_store";
    // The CA that has expired is counted, and does not hide the next one.
    assert_metric(&node, &format!("{of}_ca_certificates"), &mixed, 3.0);
    assert_metric(&node, &format!("{of}_ca_certificates_expired"), &mixed, 1.0);
    assert_metric(&node, &format!("{of}_ca_{expiry}"), &mixed, in_january(2085, 2));
    assert_metric(&node, &format!("{of}_revoked_entries"), &mixed, 3.0);
    // Of two lists, both times of the one that is due first.
    for (list, this_update, next_update) in [("two.crl", 2024, 2070), ("one.crl", 2022, 2024)] {
        let list = format!("list=\"{list}\"");
        let labels = [mixed[0], list.as_str()];
        let times = [("this", this_update), ("next", next_update)];
        for (which, year) in times {
            let name = format!("{of}_crl_{which}_update_timestamp_seconds");
            assert_metric(&node, &name, &labels, in_january(year, 1));
        }
    }
    // Nothing that a file holds becomes a label.
    let page = node.page("/metrics");
    assert!(!page.contains("Portcullis Tests") && !page.contains("Old Root"), "{page}");
    // What is removed is gone.
    let trust = "trust_stores:\n  - {name: mixed, ca_certificates_bundle: mixed.pem, \
                 revocations: [one.crl]}\n";
    node.configure(&configuration(&target, trust));
    node.reload();
    let page = node.page("/metrics");
    assert!(page.contains("one.crl") && !page.contains("two.crl"), "{page}");
}

#[test]
fn a_load_that_is_refused_is_counted_by_what_was_wrong_and_a_good_one_ends_it() {
    let target = Target::named("hello");
    let node = node(&target);
    let good = store(&mut Vec::new());
    let (success, failure) = (
        "portcullis_load_last_success_timestamp_seconds",
        "portcullis_load_last_failure_timestamp_seconds",
    );
    let failing = || node.metric("portcullis_load_failing", &[]);
    let started = node.metric(success, &[]);
    assert!(started > 1.0 && node.metric(failure, &[]) < 0.5 && failing() < 0.5);
    // The reasons that have grown since the counts `before`, and no other.
    let grown = |before: &[f64; REASONS.len()]| -> Vec<&str> {
        let now = failures(&node);
        let pairs = before.iter().zip(now).zip(REASONS);
        pairs.filter(|((before, now), _)| now > *before).map(|(_, reason)| reason).collect()
    };
    let files = ["server.crt", "server.key", "mixed.pem", "one.crl"];
    let kept = files.map(|name| std::fs::read_to_string(node.path(name)).expect(name));
    // What is broken in a reload, and the one reason that it counts under. The watch may load a file that
    // is broken before the command does, so a reason counts once or more.
    let key_of_another = pki().read("good.key");
    let broken = [
        ("certificate", "server.crt", "no certificate"),
        ("key", "server.key", key_of_another.as_str()),
        ("ca_bundle", "mixed.pem", "no bundle"),
        ("revocations", "one.crl", "no list"),
    ];
    for (reason, name, content) in broken {
        let before = failures(&node);
        node.write(name, content);
        node.reload_refused();
        assert_eq!(grown(&before), [reason]);
        assert!(failing() > 0.5, "{reason}");
        let index = files.iter().position(|of| *of == name).expect("it is one of them");
        node.write(name, &kept[index]);
        node.reload();
        assert_eq!(grown(&before), [reason], "the good load adds none");
        assert!(failing() < 0.5, "{reason}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = format!("127.0.0.1:{}", taken.local_addr().expect("it is bound").port());
    let whole = configuration(&target, &good);
    let broken = [
        ("unreadable_file", whole.replace("one.crl", "absent.crl")),
        ("configuration", whole.replace("protocol: HTTPS", "protocol: HTTQS")),
        ("listen", whole.replace("127.0.0.1:0", &port)),
    ];
    for (reason, broken) in broken {
        let before = failures(&node);
        node.configure(&broken);
        node.reload_refused();
        assert_eq!(grown(&before), [reason]);
        assert!(failing() > 0.5, "the alert would fire");
        node.configure(&whole);
        node.reload();
        assert_eq!(grown(&before), [reason], "the good load adds none");
        assert!(failing() < 0.5, "the alert would end");
    }
    assert!(node.metric(failure, &[]) > started);
    assert!(node.metric(success, &[]) >= node.metric(failure, &[]));
}

/// Every value of the label `reason`.
const REASONS: [&str; 11] = [
    "configuration",
    "unreadable_file",
    "certificate",
    "key",
    "ca_bundle",
    "revocations",
    "listen",
    "log",
    "state",
    "command",
    "internal",
];

/// The counters of failed loads, in the order of [`REASONS`], which is all of them.
fn failures(node: &Node) -> [f64; REASONS.len()] {
    let counter = "portcullis_load_failures_total";
    let page = node.page("/metrics");
    let series = page.lines().filter(|line| line.starts_with(&format!("{counter}{{"))).count();
    assert_eq!(series, REASONS.len(), "{page}");
    REASONS.map(|reason| node.metric(counter, &[&format!("reason=\"{reason}\"")]))
}

#[test]
fn swaps_are_timed_by_phase_and_every_shard_tells_its_generation() {
    let target = Target::named("hello");
    let node = node(&target);
    for _ in 0..3 {
        node.reload();
    }
    let generation = node.generation() as f64;
    for shard in ["shard=\"0\"", "shard=\"1\""] {
        assert_metric(&node, "portcullis_shard_generation", &[shard], generation);
    }
    assert_metric(&node, "portcullis_shards_late", &[], 0.0);
    for phase in ["load", "publish", "acknowledge"] {
        let labels = [format!("phase=\"{phase}\"")];
        assert_metric(&node, "portcullis_swap_seconds_count", &[&labels[0]], generation - 1.0);
        assert!(node.metric("portcullis_swap_seconds_sum", &[&labels[0]]) > 0.0, "{phase}");
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let tests = TESTS.map(|name| ("test", name));
    for (kind, name) in [("check", RULES)].into_iter().chain(tests) {
        let path = file(name);
        let path = path.to_str().expect("the path is UTF-8");
        let ended = tools::run("promtool", &[kind, "rules", path], b"").success();
        assert!(ended.said().contains("SUCCESS"), "{}", ended.said());
    }
}

#[test]
fn every_alert_is_seen_to_fire_in_a_test_and_says_what_to_do() {
    let alert = Regex::new(r"(?m)^ +- alert: (\w+)$").expect("it is one");
    let fires = Regex::new(r"alertname: (\w+)\n +exp_alerts:\n +- ").expect("it is one");
    let names = |of: &Regex, text: &str| -> BTreeSet<String> {
        of.captures_iter(text).map(|found| found[1].to_owned()).collect()
    };
    let rules = read(RULES);
    let declared = names(&alert, &rules);
    assert!(declared.len() > 15, "{declared:?}");
    assert_eq!(declared, names(&fires, &TESTS.map(read).concat()));
    for rule in rules.split("- alert: ").skip(1) {
        // `*name` takes the annotations of the rule above.
        let complete = ["summary:", "description:", "action:"].iter().all(|key| rule.contains(key));
        assert!(complete || rule.contains("annotations: *"), "{rule}");
        assert!(
            rule.contains("severity: warning") || rule.contains("severity: critical"),
            "{rule}"
        );
    }
}

/// Whether matchers (`a="b",c!~"d.+"`) select the series that goes on like this behind its name. Other than
/// for Prometheus, which takes a label that is missing for an empty one, each label must be there: one that
/// was renamed makes `!=` true of everything.
fn selects(matchers: &str, series: &str) -> bool {
    let matcher = Regex::new(r#"(\w+)(=~|!~|!=|=)"([^"]*)""#).expect("it is one");
    let label = Regex::new(r#"[{,](\w+)="([^"]*)""#).expect("it is one");
    let labels: BTreeMap<&str, &str> = label
        .captures_iter(series)
        .map(|of| (of.get(1), of.get(2)))
        .filter_map(|(name, value)| Some((name?.as_str(), value?.as_str())))
        .collect();
    let mut read = 0;
    let all = matcher.captures_iter(matchers).all(|of| {
        read += of[0].len();
        let Some(value) = labels.get(&of[1]) else { return false };
        let matches = || Regex::new(&format!("^(?:{})$", &of[3])).expect("rules hold expressions");
        match &of[2] {
            "=" => *value == &of[3],
            "!=" => *value != &of[3],
            "=~" => matches().is_match(value),
            _ => !matches().is_match(value),
        }
    });
    let whole = matchers.len() - matchers.matches("\",").count();
    assert!(!all || read == whole, "{matchers} cannot be read");
    all
}

#[test]
fn selectors_are_read_as_prometheus_reads_them() {
    let series = r#"{listener="https",outcome="ClientCertExpired"} 3"#;
    for (matchers, expected) in [
        ("", true),
        (r#"outcome="ClientCertExpired""#, true),
        (r#"outcome="ClientCert""#, false),
        (r#"outcome=~"ClientCert.+",listener="https""#, true),
        (r#"outcome=~"ClientCert""#, false),
        (r#"outcome!="ClientCertExpired""#, false),
        (r#"outcome!="ClientCertMissing""#, true),
        (r#"outcome=~"ClientCert.+",outcome!="ClientCertExpired""#, false),
        (r#"outcome!~"ClientCert.+""#, false),
        (r#"outcome!~"success|failed""#, true),
        (r#"result!="ClientCertMissing""#, false),
    ] {
        assert_eq!(selects(matchers, series), expected, "{matchers}");
    }
}

/// Goal: a metric or label that is renamed breaks the build, not the alert. Method: every selector of every
/// rule must find a series on the page of a node that has some of everything.
#[test]
fn every_series_that_a_rule_asks_for_is_one_that_a_node_has() {
    let target = Target::named("hello");
    let node = node(&target);
    let client = crate::support::client::tls_config(Some("good"));
    let mut client = Client::tls(node.address("https"), "localhost", &client);
    assert_eq!(client.get("/").status, 200);
    let page = node.page("/metrics");
    let rules = read(RULES);
    let expression =
        Regex::new(r"(?m)^        expr: (>-\n(?:          .*\n)+|.*\n)").expect("it is one");
    let selector =
        Regex::new(r"\b((?:portcullis|process)_\w+)(?:\{([^}]*)\})?").expect("it is one");
    let mut asked = BTreeSet::new();
    for found in expression.captures_iter(&rules) {
        for selector in selector.captures_iter(&found[1]) {
            let matchers = selector.get(2).map_or("", |labels| labels.as_str());
            let mut lines = page.lines().filter_map(|line| line.strip_prefix(&selector[1]));
            let exists = lines.any(|rest| rest.starts_with(['{', ' ']) && selects(matchers, rest));
            assert!(exists, "{} finds nothing on\n{page}", &selector[0]);
            asked.insert(selector[1].to_owned());
        }
    }
    assert!(asked.len() > 20, "{asked:?}");
}
