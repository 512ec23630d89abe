//! The page: everything in one file, which needs no network.
//!
//! Pure.
use super::chart::{Axis, Chart, Line};
use super::happenings::Happenings;
use super::scale::{Scale, Tick, count, duration};
use super::{Latency, Report, Setting, Slots};
use crate::run::Pace;
use std::fmt::Write as _;

/// Refusals that are listed; the JSON has all.
const LISTED_MAX: usize = 1_000;

impl Report {
    /// All of it as HTML.
    pub(crate) fn page(&self) -> String {
        let Setting { work, connect, .. } = &self.setting;
        let title = escape(&format!("{work} {connect}"));
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class=\"faint\">{}</p>\n",
            include_str!("page.css"),
            escape(&self.summary()),
        );
        page += &self.tiles();
        page += &section("Throughput, per second", &self.throughput());
        page += &section("Latency over time", &self.latency_over_time());
        page += &section("Latency by percentile", &self.latency_by_percentile());
        page += &section("Errors by reason", &self.errors_by_reason());
        if let Some(happenings) = &self.happenings {
            page += &happenings.sections();
        }
        page += &section("Latency", &self.latencies());
        page += &section("Setting", &self.settings());
        page + "</body>\n</html>\n"
    }

    fn summary(&self) -> String {
        let clients = self.setting.clients();
        format!("{}, {:.1} s, {clients}", self.at, self.seconds)
    }

    fn tiles(&self) -> String {
        let mut tiles = String::from("<div class=\"tiles\">\n");
        let mut tile = |class: &str, value: &str, name: &str| {
            let _ =
                writeln!(tiles, "<div class=\"{class}\"><b>{value}</b><span>{name}</span></div>");
        };
        tile("", &count(self.done as f64), "done");
        tile("", &count(self.done_per_second), "done per second");
        let errors: u64 = self.errors().values().sum();
        tile(if errors > 0 { "bad" } else { "" }, &count(errors as f64), "failed or lost");
        if let Some(latency) = &self.latency_us {
            tile("", &duration(latency.p50), "50 % took up to");
            tile("", &duration(latency.p99), "99 % took up to");
        }
        tile("", &format!("{:.0} %", self.load_busy * 100.0), "of its threads the load used");
        tiles + "</div>\n"
    }

    fn throughput(&self) -> String {
        let Slots { slot_seconds, done, failed, .. } = &self.picture;
        let rates = |counts: &[u64]| -> Vec<f64> {
            let last = counts.len().saturating_sub(1);
            let width =
                |index| if index == last { self.last_slot_seconds() } else { *slot_seconds };
            let counts = counts.iter().enumerate();
            counts.map(|(index, count)| *count as f64 / width(index)).collect()
        };
        let (done, failed) = (rates(done), rates(failed));
        let highest = done.iter().chain(&failed).copied().fold(0.0, f64::max);
        if highest <= 0.0 {
            return nothing("Nothing came to an end.");
        }
        let line = |class, name, values: &[f64]| {
            let values = values.iter().copied().map(Some);
            Line::of_slots(class, name, *slot_seconds, self.seconds, values)
        };
        let mut lines = vec![Line { is_filled: true, ..line("done", "done", &done) }];
        if failed.iter().any(|rate| *rate > 0.0) {
            lines.push(line("failed", "failed or lost", &failed));
        }
        let scale = Scale::from_zero(highest);
        let up = Axis { ticks: scale.counts(), scale };
        self.over_time("Done and failed per second over time", up, lines)
    }

    fn latency_over_time(&self) -> String {
        let Slots { slot_seconds, p50_us, p99_us, .. } = &self.picture;
        let Some(up) = latency_axis(p50_us.iter().chain(p99_us).flatten().copied()) else {
            return nothing("Nothing succeeded, so there is no latency.");
        };
        let line = |class, name, values: &[Option<f64>]| {
            Line::of_slots(class, name, *slot_seconds, self.seconds, values.iter().copied())
        };
        let lines = vec![line("p50", "50 %", p50_us), line("p99", "99 %", p99_us)];
        self.over_time("Latency over time", up, lines)
    }

    fn over_time(&self, label: &'static str, up: Axis, lines: Vec<Line>) -> String {
        let scale = Scale::to(self.seconds);
        let changes = self.happenings.iter().flat_map(|all| &all.changes);
        let marks: Vec<_> = changes.map(|change| change.at_seconds).collect();
        let across = Axis { ticks: scale.times(), scale };
        let chart = Chart { label, across, up, lines, marks };
        chart.legend() + &chart.svg()
    }

    /// How long the last slot of the picture lasted.
    fn last_slot_seconds(&self) -> f64 {
        let before = self.picture.done.len().saturating_sub(1) as f64;
        (self.seconds - before * self.picture.slot_seconds).max(f64::MIN_POSITIVE)
    }

    fn latency_by_percentile(&self) -> String {
        let all = &self.percentiles;
        let (Some(up), Some(last)) = (latency_axis(all.iter().map(|one| one.us)), all.last())
        else {
            return nothing("Nothing succeeded, so there is no latency.");
        };
        let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
        let ticks = (0_u8..).zip(names).map(|(nines, name)| (f64::from(nines), name));
        let half = (2_f64.log10(), "50 %");
        let end = last.one_in.log10().max(1.0);
        let ticks = ticks.chain([half]).filter(|(value, _)| *value <= end);
        let ticks = ticks.map(|(value, name)| Tick { value, text: name.to_owned() }).collect();
        let points = all.iter().map(|one| (one.one_in.log10(), Some(one.us))).collect();
        // One latency is a dot, which no line shows.
        let points =
            if all.len() == 1 { vec![(0.0, Some(last.us)), (end, Some(last.us))] } else { points };
        let chart = Chart {
            label: "Latency that this share stayed below",
            across: Axis { scale: Scale::to(end), ticks },
            up,
            lines: vec![Line { class: "done", name: "latency", points, is_filled: true }],
            marks: Vec::new(),
        };
        chart.svg()
    }

    fn errors_by_reason(&self) -> String {
        let errors = self.errors();
        let mut errors: Vec<_> = errors.iter().collect();
        errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let Some((_, most)) = errors.first() else { return nothing("None.") };
        let all = self.attempted.max(1) as f64;
        let mut table = String::from("<table>\n");
        for (kind, count) in &errors {
            let of_most = **count as f64 * 100.0 / **most as f64;
            // What was lost had been attempted, and done.
            let of_all = if self.failures.contains_key(*kind) {
                format!("{:.2} %", **count as f64 * 100.0 / all)
            } else {
                String::new()
            };
            let kind = escape(kind);
            let _ = writeln!(
                table,
                "<tr><td>{kind}</td><td class=\"number\">{count}</td>\
                 <td class=\"number\">{of_all}</td>\
                 <td class=\"bar\"><i style=\"width:{of_most:.1}%\"></i></td></tr>"
            );
        }
        table + "</table>\n"
    }

    fn latencies(&self) -> String {
        let Some(whole) = self.latency_us.as_ref().map(Latency::rows) else {
            return nothing("Nothing succeeded, so there is no latency.");
        };
        let handshake = self.handshake_us.as_ref().map(Latency::rows);
        let mut table = String::from(
            "<table>\n<tr><th></th><th class=\"number\">whole</th>\
             <th class=\"number\">handshake</th></tr>\n",
        );
        for (index, (name, us)) in whole.into_iter().enumerate() {
            let handshake = handshake.as_ref().and_then(|rows| rows.get(index));
            let handshake = handshake.map_or_else(String::new, |(_, us)| duration(*us));
            let _ = writeln!(
                table,
                "<tr><td>{name}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{handshake}</td></tr>",
                duration(us)
            );
        }
        table + "</table>\n"
    }

    fn settings(&self) -> String {
        let (negotiated, threads) = (&self.setting.negotiated, self.threads);
        let pace = match self.pace {
            Pace::Concurrency(count) => format!("closed loop, {count} at any time"),
            Pace::Rate { per_second, outstanding_max } => {
                format!("open loop, {per_second} per second, {outstanding_max} outstanding at most")
            }
        };
        let first = [&negotiated.version, &negotiated.cipher, &negotiated.group];
        let first = first.into_iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>();
        let (full, resumed) = (self.handshakes.full, self.handshakes.resumed);
        let number = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
        let Setting { method, path, content_bytes, insecure, resume_percent, .. } = &self.setting;
        let content = Some(content_bytes).filter(|bytes| **bytes > 0);
        let content = content.map_or_else(String::new, |bytes| format!(", {bytes} bytes each"));
        let resume = Some(resume_percent).filter(|percent| **percent > 0);
        let bounds = self.count.map(|count| count.to_string()).into_iter();
        let bounds = bounds.chain(self.duration_seconds.map(|seconds| format!("{seconds} s")));
        let rows = [
            ("asked for", self.setting.server_name.clone()),
            ("at", self.setting.connect_to.join(", ")),
            ("from", self.setting.source.clone().unwrap_or_default()),
            ("certificate", if *insecure { "not looked at" } else { "" }.to_owned()),
            ("requests", format!("{method} {path}{content}")),
            ("to resume", resume.map_or_else(String::new, |percent| format!("{percent} %"))),
            ("until", bounds.collect::<Vec<_>>().join(" or ")),
            ("pace", pace),
            ("kept connections", number(self.setting.connections)),
            (
                "opened before, in",
                self.opening_seconds.map(|s| duration(s * 1e6)).unwrap_or_default(),
            ),
            ("streams on each", number(self.setting.streams.map(u64::from))),
            ("requests on each", number(self.setting.requests_per_connection.map(u64::from))),
            ("first handshake", first.join(", ")),
            ("handshakes", format!("{full} in full, {resumed} resumed")),
            ("content received", format!("{} bytes", self.received_bytes)),
            ("attempted", self.attempted.to_string()),
            ("load", format!("{threads} threads, {:.2} s of CPU", self.load_cpu_seconds)),
            ("version", format!("portcullis-load {}", self.version)),
        ];
        let mut table = String::from("<table>\n");
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(table, "<tr><th>{name}</th><td>{}</td></tr>", escape(value));
        }
        table + "</table>\n"
    }
}

impl Happenings {
    fn sections(&self) -> String {
        let mut page = String::new();
        if !self.changes.is_empty() {
            let rows = self.changes.iter().map(|change| {
                let status = match (change.exit_status, change.cut_off) {
                    (Some(status), _) => status.to_string(),
                    (None, true) => "cut off by the end".to_owned(),
                    (None, false) => "killed".to_owned(),
                };
                [
                    format!("{:.3} s", change.at_seconds),
                    format!("{:.3} s", change.took_seconds),
                    status,
                ]
            });
            page += &section("Changes", &table(["at", "took", "exit status"], rows));
        }
        if !self.server_certificates.is_empty() {
            let rows = self.server_certificates.iter().map(|shown| {
                let when = format!("{:.3} s to {:.3} s", shown.first_seconds, shown.last_seconds);
                [shown.serial.clone(), shown.subject.clone(), shown.connections.to_string(), when]
            });
            let head = ["serial", "subject", "connections", "seen"];
            page += &section("Certificates of the server", &table(head, rows));
        }
        if !self.refusals.is_empty() {
            let rows = self.refusals.iter().take(LISTED_MAX).map(|one| {
                let at = format!("{:.3} s", one.at_seconds);
                [at, one.reason.clone(), one.connection.to_string(), one.client.clone()]
            });
            let mut list = table(["at", "reason", "connection", "client"], rows);
            let more = self.refusals.len().saturating_sub(LISTED_MAX) as u64 + self.refusals_untold;
            if more > 0 {
                list += &nothing(&format!("{more} more."));
            }
            page += &section("Refused and lost", &list);
        }
        page
    }
}

/// For latencies in microseconds; none where there are none.
fn latency_axis(latencies: impl Iterator<Item = f64>) -> Option<Axis> {
    let (low, high) = latencies.fold(None, |ends: Option<(f64, f64)>, us| match ends {
        None => Some((us, us)),
        Some((low, high)) => Some((low.min(us), high.max(us))),
    })?;
    let scale = Scale::log(low, high);
    Some(Axis { ticks: scale.latencies(), scale })
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let cells = |cells: &[String], tag: &str| {
        cells.iter().map(|text| format!("<{tag}>{}</{tag}>", escape(text))).collect::<String>()
    };
    let mut table = format!("<table>\n<tr>{}</tr>\n", cells(&head.map(str::to_owned), "th"));
    for row in rows {
        let _ = writeln!(table, "<tr>{}</tr>", cells(&row, "td"));
    }
    table + "</table>\n"
}

fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{content}</section>\n")
}

fn nothing(text: &str) -> String {
    format!("<p class=\"faint\">{text}</p>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use crate::failure::Failure;
    use crate::tally::Tally;
    use std::time::Duration;

    /// Every number that is drawn, and whether all elements end.
    fn assert_drawn(page: &str) {
        for wrong in ["NaN", "inf", "-0.0\"", "http://", "https://"] {
            assert!(!page.contains(wrong), "{wrong}");
        }
        for tag in ["section", "svg", "table", "tr", "td", "text", "p", "div"] {
            let opened = page.matches(&format!("<{tag}>")).count()
                + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        let points = page.split("points=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for pair in points.flat_map(str::split_whitespace) {
            let (x, y) = pair.split_once(',').unwrap();
            assert!((0.0..=900.0).contains(&x.parse::<f64>().unwrap()), "{pair}");
            assert!((0.0..=260.0).contains(&y.parse::<f64>().unwrap()), "{pair}");
        }
    }

    fn page(tally: Tally, seconds: u64) -> String {
        let page = report(tally, Duration::from_secs(seconds)).page();
        assert_drawn(&page);
        page
    }

    #[test]
    fn a_run_of_nothing_has_a_page_that_says_so() {
        let page = page(Tally::new(), 10);
        assert!(page.contains("Nothing came to an end.") && page.contains("None."));
    }

    #[test]
    fn a_run_of_errors_alone_has_them_by_reason_and_no_latency() {
        let mut tally = Tally::new();
        for millisecond in 0..5_000 {
            let failure = if millisecond % 10 == 0 { Failure::Reset } else { Failure::Alert(44) };
            tally.failed_at(Duration::from_millis(millisecond), failure);
        }
        let page = page(tally, 5);
        assert!(page.contains("alert certificate_revoked") && page.contains(">4500<"));
        assert!(page.contains("polyline class=\"failed\"") && page.contains("there is no latency"));
    }

    #[test]
    fn a_second_and_an_hour_have_as_many_points_as_one_can_see() {
        for (seconds, each) in [(1, 1), (3_600, 50)] {
            let mut tally = Tally::new();
            for at in (0..seconds * 1_000).step_by(each) {
                tally.done_at(Duration::from_millis(at), Duration::from_micros(300 + at % 977));
            }
            let page = page(tally, seconds);
            let points = page.split("points=\"").nth(2).unwrap().split('"').next().unwrap();
            assert!((20..=600).contains(&points.split_whitespace().count()), "{seconds} s");
        }
    }

    #[test]
    fn what_came_from_outside_is_text() {
        let mut report = report(Tally::new(), Duration::from_secs(1));
        report.setting.connect = "<script>".to_owned();
        assert!(!report.page().contains("<script>"));
    }
}
