//! One page of Prometheus' text, version 0.0.4.
//!
//! Written anew for each scrape from totals that are kept elsewhere, so that nothing grows between
//! scrapes and nothing of a removed object can stay behind. A recorder that lives as long as the
//! process would need an idle timeout to lose such series; that timeout also takes live ones that
//! nobody touched, a histogram cannot be touched without a sample, and a counter that comes back under
//! its name could not go below its old value.
//!
//! `metrics-exporter-prometheus` writes whole-number counters and gauges. It has no way to take the
//! totals of a histogram, nor a counter that is not whole; these two are written here, in its form.
use super::names::Metric;
use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use std::fmt::{Display, Write};

/// A page being written. Each metric is given once, with all its series.
pub(super) struct Page {
    recorder: PrometheusRecorder,
    more: String,
}

/// What is known of a histogram.
pub(super) struct Distribution {
    /// Ascending upper bounds, each with the number of samples above the one before it.
    pub(super) buckets: Vec<(f64, u64)>,
    /// Samples above the last bound.
    pub(super) above: u64,
    /// The sum of all samples.
    pub(super) sum: f64,
}

/// What the recorder wants to know of whoever counts; it ignores it.
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

impl Page {
    pub(super) fn new() -> Self {
        Self { recorder: PrometheusBuilder::new().build_recorder(), more: String::new() }
    }

    /// A number that only grows.
    pub(super) fn counter<'a, const N: usize>(
        &mut self,
        metric: &Metric<N>,
        series: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) {
        self.recorder.describe_counter(name(metric), None, metric.help.into());
        for (values, total) in series {
            self.recorder.register_counter(&key(metric, values), &METADATA).absolute(total);
        }
    }

    /// A number that goes up and down.
    pub(super) fn gauge<'a, const N: usize>(
        &mut self,
        metric: &Metric<N>,
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        self.recorder.describe_gauge(name(metric), None, metric.help.into());
        for (values, value) in series {
            self.recorder.register_gauge(&key(metric, values), &METADATA).set(value);
        }
    }

    /// A number that only grows and is not whole.
    pub(super) fn counter_of_seconds<'a, const N: usize>(
        &mut self,
        metric: &Metric<N>,
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        self.head(metric, "counter");
        for (values, total) in series {
            let labels: Vec<_> = metric.labels.into_iter().zip(values).collect();
            self.sample(metric.name, "", &labels, total);
        }
    }

    /// A histogram for each value of its one label.
    pub(super) fn histogram<'a>(
        &mut self,
        metric: &Metric<1>,
        series: impl IntoIterator<Item = ([&'a str; 1], Distribution)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        self.head(metric, "histogram");
        for ([value], distribution) in series {
            let label = (metric.labels[0], value);
            let mut count = 0;
            for (bound, samples) in &distribution.buckets {
                count += samples;
                self.sample(metric.name, "_bucket", &[label, ("le", &bound.to_string())], count);
            }
            count += distribution.above;
            self.sample(metric.name, "_bucket", &[label, ("le", "+Inf")], count);
            self.sample(metric.name, "_sum", &[label], distribution.sum);
            self.sample(metric.name, "_count", &[label], count);
        }
    }

    /// The finished page.
    pub(super) fn finish(self) -> String {
        self.recorder.handle().render() + &self.more
    }

    fn head<const N: usize>(&mut self, metric: &Metric<N>, kind: &str) {
        let Metric { name, help, .. } = metric;
        self.more.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.more.push_str(name);
        self.more.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.more.push(if index == 0 { '{' } else { ',' });
            self.more.push_str(label);
            self.more.push_str("=\"");
            escape(value, &mut self.more);
            self.more.push('"');
        }
        self.more.push_str(if labels.is_empty() { " " } else { "} " });
        // Writing to a String does not fail.
        let _ = writeln!(self.more, "{value}");
    }
}

fn name<const N: usize>(metric: &Metric<N>) -> KeyName {
    KeyName::from_const_str(metric.name)
}

fn key<const N: usize>(metric: &Metric<N>, values: [&str; N]) -> Key {
    let labels = metric.labels.iter().zip(values);
    let labels = labels.map(|(label, value)| Label::new(*label, value.to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

/// Source: Prometheus, "Exposition formats", "Comments, help text, and type information".
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}
