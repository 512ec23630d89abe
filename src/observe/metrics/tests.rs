//! Tests of the board and its page.
use super::*;
use crate::trust::Refusal;
use std::collections::{BTreeSet, HashSet};

/// The value of a series, as it stands on the page.
fn value<'p>(page: &'p str, series: &str) -> Option<&'p str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// The page once the live value has these listeners.
fn show(board: &Board, listeners: &[&str]) -> String {
    let live = listeners.iter().map(|&name| (name.into(), ())).collect();
    keep(&mut board.state().listeners, &live, 2);
    board.render()
}

fn accepted(listener: &str) -> String {
    format!("portcullis_connections_accepted_total{{listener=\"{listener}\"}}")
}

/// Reads a page as Prometheus does; says what its linter would. Returns the families.
fn check(page: &str) -> BTreeSet<&str> {
    let (mut families, mut series, mut family, mut kind) =
        (BTreeSet::new(), HashSet::new(), "", "");
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').expect("help has text").0;
            assert!(families.insert(family), "{family} stands twice");
            kind = "";
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, of_kind) = declared.split_once(' ').unwrap();
            assert_eq!(name, family, "help and type stand together");
            kind = of_kind;
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        } else {
            let (key, number) = line.rsplit_once(' ').unwrap();
            assert!(number.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(key), "{key} stands twice");
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            assert!(labels.ends_with('}'), "{line}");
            let suffix = name.strip_prefix(family).expect("series follow their family");
            match kind {
                "histogram" => assert!(matches!(suffix, "_bucket" | "_sum" | "_count")),
                "counter" | "gauge" => assert_eq!(suffix, ""),
                _ => panic!("{line} has no type"),
            }
        }
    }
    families
}

#[test]
fn the_page_adds_up_the_shards() {
    let board = Board::new(2);
    for shard in 0..2 {
        let listener = board.listener(shard, "https");
        listener.accepted.add(3);
        listener.open.add(2);
        listener.open.add(-1);
        listener.handshakes[Handshake::Refused(Refusal::CrlHit).index()].add(1);
        listener.responses[3].add(5);
        board.shard(shard).panics.add(1);
        board.target_group(shard, "orders").errors[Reason::TargetTimeout.index()].add(2);
    }
    let page = board.render();
    check(&page);
    let found = |series: &str| value(&page, series);
    assert_eq!(found("portcullis_connections_accepted_total{listener=\"https\"}"), Some("6"));
    assert_eq!(found("portcullis_connections_open{listener=\"https\"}"), Some("2"));
    let refused = "{listener=\"https\",outcome=\"ClientCertCrlHit\"}";
    assert_eq!(found(&format!("portcullis_tls_handshakes_total{refused}")), Some("2"));
    let refusals = "{listener=\"https\",status_class=\"4xx\"}";
    assert_eq!(found(&format!("portcullis_http_responses_total{refusals}")), Some("10"));
    let errors = "{target_group=\"orders\",reason=\"target_timeout\"}";
    assert_eq!(found(&format!("portcullis_upstream_errors_total{errors}")), Some("4"));
    assert_eq!(found("portcullis_panics_total"), Some("2"));
    assert_eq!(found("portcullis_shards"), Some("2"));
}

#[test]
fn the_same_name_gets_the_same_counters() {
    let board = Board::new(2);
    assert!(Arc::ptr_eq(&board.listener(0, "a"), &board.listener(0, "a")));
    assert!(!Arc::ptr_eq(&board.listener(0, "a"), &board.listener(1, "a")));
    assert!(!Arc::ptr_eq(&board.listener(0, "a"), &board.listener(0, "b")));
}

#[test]
fn series_of_words_start_at_zero() {
    let board = Board::new(1);
    board.listener(0, "https");
    board.target_group(0, "orders");
    let page = board.render();
    let zero = |series: String| assert_eq!(value(&page, &series), Some("0"), "{series}");
    for outcome in Handshake::all().map(Handshake::word) {
        let labels = format!("{{listener=\"https\",outcome=\"{outcome}\"}}");
        zero(format!("portcullis_tls_handshakes_total{labels}"));
    }
    for reason in Reason::ALL.map(Reason::word) {
        let labels = format!("{{listener=\"https\",reason=\"{reason}\"}}");
        zero(format!("portcullis_connections_closed_total{labels}"));
        let labels = format!("{{target_group=\"orders\",reason=\"{reason}\"}}");
        zero(format!("portcullis_upstream_errors_total{labels}"));
    }
    for outcome in Reload::ALL.map(Reload::word) {
        zero(format!("portcullis_reloads_total{{outcome=\"{outcome}\"}}"));
    }
    zero("portcullis_tls_handshake_seconds_count{listener=\"https\"}".to_owned());
}

#[test]
fn the_histogram_is_cumulative_and_keeps_every_sample() {
    let board = Board::new(2);
    for (shard, seconds) in [(0, 0.002), (0, 0.3), (1, 0.002), (1, 60.0)] {
        board.listener(shard, "https").handshake_seconds.note(seconds);
    }
    let page = board.render();
    check(&page);
    let bucket = |le: &str| {
        let labels = format!("{{listener=\"https\",le=\"{le}\"}}");
        value(&page, &format!("portcullis_tls_handshake_seconds_bucket{labels}")).unwrap()
    };
    assert_eq!(["0.001", "0.0025", "0.5", "10", "+Inf"].map(bucket), ["0", "2", "3", "3", "4"]);
    let sum = value(&page, "portcullis_tls_handshake_seconds_sum{listener=\"https\"}").unwrap();
    assert!((sum.parse::<f64>().unwrap() - 60.304).abs() < 1e-9, "{sum}");
}

#[test]
fn the_page_stays_as_long_however_much_is_counted_and_scraped() {
    let board = Board::new(1);
    let listener = board.listener(0, "https");
    listener.handshake_seconds.note(0.5);
    let lines = board.render().lines().count();
    for _ in 0..100_000 {
        listener.handshake_seconds.note(0.5);
    }
    for _ in 0..10 {
        assert_eq!(board.render().lines().count(), lines);
    }
    let series = "portcullis_tls_handshake_seconds_count{listener=\"https\"}";
    assert_eq!(value(&board.render(), series), Some("100001"));
}

#[test]
fn a_removed_listener_leaves_the_page_and_starts_at_zero_when_it_comes_back() {
    let board = Board::new(2);
    board.listener(1, "gone").accepted.add(1);
    board.listener(1, "stays").accepted.add(1);

    let page = show(&board, &["stays", "new"]);
    assert!(!page.contains("gone"), "{page}");
    assert_eq!(value(&page, &accepted("stays")), Some("1"));
    assert_eq!(value(&page, &accepted("new")), Some("0"));

    let page = show(&board, &["gone", "stays"]);
    assert_eq!(value(&page, &accepted("gone")), Some("0"));
}

/// Goal: no count is lost when a shard was too late to notice that a listener was away.
#[test]
fn a_listener_that_comes_back_while_a_shard_holds_it_counts_on() {
    let board = Board::new(2);
    let held = board.listener(1, "https");
    held.accepted.add(1);
    assert_eq!(value(&show(&board, &[]), &accepted("https")), None);
    assert!(Arc::ptr_eq(&board.listener(1, "https"), &held));
    assert_eq!(value(&board.render(), &accepted("https")), None);
    held.accepted.add(1);
    assert_eq!(value(&show(&board, &["https"]), &accepted("https")), Some("2"));
    drop(held);
    show(&board, &[]);
    assert!(board.state().listeners.is_empty());
}

#[test]
fn the_last_listener_takes_its_families_with_it() {
    let board = Board::new(1);
    board.listener(0, "https");
    let page = show(&board, &[]);
    assert!(check(&page).iter().all(|family| !family.contains("tls_handshake_seconds")));
    assert!(!page.contains("listener"), "{page}");
}

#[test]
fn names_from_the_configuration_are_escaped() {
    let board = Board::new(1);
    let listener = board.listener(0, "a\"b\\c\nd");
    listener.handshake_seconds.note(0.1);
    let page = board.render();
    check(&page);
    let written = "listener=\"a\\\"b\\\\c\\nd\"";
    assert!(page.contains(&format!("portcullis_connections_open{{{written}}}")), "{page}");
    let series = format!("portcullis_tls_handshake_seconds_count{{{written}}}");
    assert_eq!(value(&page, &series), Some("1"));
}

#[test]
fn the_node_tells_its_engine_and_itself() {
    let board = Board::new(1);
    board.engine(Engine::Epoll, true);
    board.reloaded(Reload::Faulty, Duration::ZERO);
    let page = board.render();
    let families = check(&page);
    assert_eq!(value(&page, "portcullis_io_engine{engine=\"epoll\"}"), Some("1"));
    assert_eq!(value(&page, "portcullis_io_uring_refused"), Some("1"));
    assert_eq!(value(&page, "portcullis_reloads_total{outcome=\"faulty\"}"), Some("1"));
    for family in ["process_cpu_seconds_total", "process_open_fds", "portcullis_build_info"] {
        assert!(families.contains(family), "{family}");
    }
}

#[test]
fn a_shard_that_is_behind_the_live_generation_is_late() {
    let board = Board::new(2);
    let live = Live { generation: 4, ..Live::empty() };
    board.show(&live, &[4, 3], clock::now());
    let page = board.render();
    check(&page);
    assert_eq!(value(&page, "portcullis_shard_generation{shard=\"0\"}"), Some("4"));
    assert_eq!(value(&page, "portcullis_shard_generation{shard=\"1\"}"), Some("3"));
    assert_eq!(value(&page, "portcullis_shards_late"), Some("1"));
    board.show(&live, &[4, 4], clock::now());
    assert_eq!(value(&board.render(), "portcullis_shards_late"), Some("0"));
}

#[test]
fn a_refused_load_counts_once_under_each_of_its_reasons() {
    let board = Board::new(1);
    let failed = "portcullis_load_last_failure_timestamp_seconds";
    assert_eq!(value(&board.render(), failed), Some("0"), "never");
    board.load_refused(&[LoadReason::Key, LoadReason::CaBundle].into());
    board.load_refused(&[LoadReason::Key].into());
    board.reloaded(Reload::Faulty, Duration::from_secs(7));
    board.reloaded(Reload::Success, Duration::from_secs(6));
    let page = board.render();
    check(&page);
    let counted = [(LoadReason::Key, "2"), (LoadReason::CaBundle, "1")];
    for reason in LoadReason::ALL {
        let count = counted.iter().find(|(of, _)| *of == reason).map_or("0", |(_, count)| count);
        let series = format!("portcullis_load_failures_total{{reason=\"{}\"}}", reason.word());
        assert_eq!(value(&page, &series), Some(count), "{series}");
    }
    assert_eq!(value(&page, failed), Some("7"));
    assert_eq!(value(&page, "portcullis_load_last_success_timestamp_seconds"), Some("6"));
    // The clock was set back in between, and still the last one was good.
    let failing = "portcullis_load_failing";
    assert_eq!(value(&page, failing), Some("0"));
    board.reloaded(Reload::Faulty, Duration::from_secs(5));
    assert_eq!(value(&board.render(), failing), Some("1"));
    board.commanded(Reload::Success);
    assert_eq!(value(&board.render(), failing), Some("1"), "a command mends no file");
}

#[test]
fn each_phase_of_a_swap_has_its_histogram() {
    let board = Board::new(1);
    board.swapped(Phase::Load, Duration::from_millis(1_500));
    board.swapped(Phase::Load, Duration::from_secs(70));
    let page = board.render();
    check(&page);
    let series = |phase: &str, le: &str| {
        format!("portcullis_swap_seconds_bucket{{phase=\"{phase}\",le=\"{le}\"}}")
    };
    assert_eq!(value(&page, &series("load", "1")), Some("0"));
    assert_eq!(value(&page, &series("load", "2.5")), Some("1"));
    assert_eq!(value(&page, &series("load", "+Inf")), Some("2"));
    assert_eq!(value(&page, &series("acknowledge", "+Inf")), Some("0"));
}
