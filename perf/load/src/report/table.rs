//! The table on the terminal.
use super::happenings::Happenings;
use super::{Latency, Report, Setting};
use std::fmt::{self, Formatter};

/// Refusals that are shown one by one; the files have all.
const SHOWN_MAX: usize = 20;

/// From here on what the load took is worth a word: its threads had hardly any time to spare.
const BUSY_MIN: f64 = 0.9;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Setting { work, connect, negotiated, .. } = &self.setting;
        let Self { seconds, done, done_per_second, .. } = self;
        let clients = self.setting.clients();
        writeln!(f, "{work} {connect}, {clients}, {seconds:.1} s")?;
        writeln!(f, "{}, {}, {}", negotiated.version, negotiated.cipher, negotiated.group)?;
        if let (Some(count), Some(seconds)) = (self.setting.connections, self.opening_seconds) {
            writeln!(f, "{count:>10} connections before, in {seconds:.3} s")?;
        }
        match *work {
            // Most of the time went by in holding them.
            "idle" => writeln!(f, "{done:>10} opened")?,
            _ => writeln!(f, "{done:>10} done    {done_per_second:.0} a second")?,
        }
        writeln!(f, "{:>10} failed", self.failed)?;
        for (kind, count) in &self.failures {
            writeln!(f, "{count:>17} {kind}")?;
        }
        if let Some(happenings) = &self.happenings {
            write!(f, "{happenings}")?;
        }
        let handshakes = self.handshakes;
        write!(f, "{:>10} handshakes in full", handshakes.full)?;
        if handshakes.resumed > 0 {
            write!(f, ", {} resumed", handshakes.resumed)?;
        }
        if let Some(ended @ 1..) = self.ended {
            write!(f, "\n{ended:>10} kept connections ended in order")?;
        }
        if self.load_busy >= BUSY_MIN {
            let busy = self.load_busy * 100.0;
            write!(f, "\nThe load's own threads were {busy:.0} % busy: the server may be faster.")?;
        }
        latencies(f, self.latency_us.as_ref(), self.handshake_us.as_ref())
    }
}

/// Two columns, those there are.
fn latencies(
    f: &mut Formatter<'_>,
    whole: Option<&Latency>,
    handshake: Option<&Latency>,
) -> fmt::Result {
    let Some(whole) = whole else { return Ok(()) };
    let handshake = handshake.map(Latency::rows);
    write!(f, "\n{:>10} {:>13}", "latency", "whole")?;
    if handshake.is_some() {
        write!(f, " {:>13}", "handshake")?;
    }
    for (index, (name, microseconds)) in whole.rows().into_iter().enumerate() {
        write!(f, "\n{name:>10} {:>10.3} ms", microseconds / 1_000.0)?;
        if let Some((_, microseconds)) = handshake.as_ref().and_then(|rows| rows.get(index)) {
            write!(f, " {:>10.3} ms", microseconds / 1_000.0)?;
        }
    }
    Ok(())
}

impl fmt::Display for Happenings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.lost {
            writeln!(f, "{count:>10} lost: {kind}")?;
        }
        for (kind, count) in &self.kept_refused {
            writeln!(f, "{count:>10} kept, opened anew: {kind}")?;
        }
        if self.kept_requests > 0 {
            writeln!(f, "{:>10} requests on kept connections", self.kept_requests)?;
            writeln!(f, "{:>10} kept connections ended in order", self.ended)?;
        }
        if !self.changes.is_empty() {
            let (count, failed) = (self.changes.len(), self.failed_changes);
            writeln!(f, "{count:>10} changes, of which {failed} failed")?;
        }
        for shown in &self.server_certificates {
            let (first, last) = (shown.first_seconds, shown.last_seconds);
            let (count, serial) = (shown.connections, &shown.serial);
            writeln!(f, "{count:>10} saw certificate {serial}, {first:.3} s to {last:.3} s")?;
        }
        for refusal in self.refusals.iter().take(SHOWN_MAX) {
            let at = refusal.at_seconds;
            let (whose, client, reason) = (refusal.connection, &refusal.client, &refusal.reason);
            writeln!(f, "{at:>10.3} s  {reason}, {whose} {client}")?;
        }
        let more = self.refusals.len().saturating_sub(SHOWN_MAX) as u64 + self.refusals_untold;
        if more > 0 {
            writeln!(f, "{more:>10} more: see --json or --report")?;
        }
        Ok(())
    }
}
