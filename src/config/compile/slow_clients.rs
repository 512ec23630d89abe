//! How slow clients of a listener may be.
use super::in_range;
use crate::config::Faults;
use crate::config::faults::OrNote;
use crate::config::snapshot::{Floor, SlowClients};
use crate::config::written;
use std::time::Duration;

/// The section `slow_clients` of a listener.
pub(super) fn slow_clients(
    written: &written::SlowClients,
    faults: &mut Faults,
) -> Option<SlowClients> {
    let head = in_range(written.request_head_timeout_seconds, 1..=4_000)
        .or_note(faults, "request_head_timeout_seconds");
    let window = in_range(written.window_seconds, 1..=600).or_note(faults, "window_seconds");
    let request = in_range(written.request_timeout_seconds, 0..=604_800)
        .or_note(faults, "request_timeout_seconds");
    let (window, request) = (seconds(window?), request?);
    let floor =
        |bytes_per_second| (bytes_per_second > 0).then_some(Floor { bytes_per_second, window });
    Some(SlowClients {
        head_timeout: seconds(head?),
        body: floor(written.request_body_bytes_per_second_min),
        answer: floor(written.response_bytes_per_second_min),
        request_timeout: (request > 0).then(|| seconds(request)),
    })
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_floor_and_no_deadline() {
        let mut faults = Faults::default();
        let written = written::SlowClients {
            request_body_bytes_per_second_min: 0,
            window_seconds: 7,
            ..written::SlowClients::default()
        };
        let made = slow_clients(&written, &mut faults).unwrap();
        assert_eq!((made.body, made.request_timeout), (None, None));
        let window = Duration::from_secs(7);
        assert_eq!(made.answer, Some(Floor { bytes_per_second: 240, window }));
        assert!(faults.is_empty());
    }

    #[test]
    fn every_number_out_of_its_range_is_told() {
        let mut faults = Faults::default();
        let written = written::SlowClients {
            request_head_timeout_seconds: 0,
            window_seconds: 601,
            request_timeout_seconds: 604_801,
            ..written::SlowClients::default()
        };
        assert_eq!(slow_clients(&written, &mut faults), None);
        assert_eq!(faults.list.len(), 3);
    }
}
