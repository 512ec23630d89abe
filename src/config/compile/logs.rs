//! The section `logs`: what is logged, where and how. The files are opened by `load`, last of all.
use super::super::defaults;
use super::super::faults::{Faults, OrNote};
use super::super::files::Files;
use super::super::written::{self, Configuration, LogFormat};
use super::in_range;
use crate::limits;
use crate::observe::arn;
use crate::observe::sink::{Form, Log, LogKind, Rotation, Sink, WhenFull};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A log as the configuration wants it.
#[derive(Debug)]
pub(in crate::config) struct Wanted {
    pub(in crate::config) kind: LogKind,
    pub(in crate::config) path: PathBuf,
    form: Form,
    elb: Arc<str>,
    when_full: WhenFull,
    rotation: Option<Rotation>,
}

impl Wanted {
    /// The log, on its open file.
    pub(in crate::config) fn on(self, sink: Sink) -> Log {
        let Self { kind, path: _, form, elb, when_full, rotation } = self;
        Log { kind, sink, form, elb, when_full, rotation }
    }
}

/// Compiles the section.
pub(in crate::config) fn logs(
    written: &Configuration,
    files: &Files,
    faults: &mut Faults,
) -> Vec<Wanted> {
    let elb = arn::load_balancer(&written.load_balancer.name);
    let sections =
        [(LogKind::Connection, &written.logs.connection), (LogKind::Access, &written.logs.access)];
    let mut all: Vec<Wanted> = Vec::new();
    for (kind, section) in sections {
        let Some(section) = section else { continue };
        let format = section.0.format.unwrap_or(written.logs.format);
        faults.within(kind.word(), |faults| {
            let wanted = log(kind, &section.0, format, &elb, files, faults);
            if let (Some(wanted), Some(other)) = (&wanted, all.first())
                && let Err(fault) = beside(wanted, other)
            {
                faults.note_here(fault);
            }
            all.extend(wanted);
        });
    }
    all
}

fn log(
    kind: LogKind,
    written: &written::Log,
    format: LogFormat,
    elb: &Arc<str>,
    files: &Files,
    faults: &mut Faults,
) -> Option<Wanted> {
    let rotation = rotation(written, faults);
    let path = match written.path.as_str() {
        "" => {
            faults.note_here("expected a path, found nothing");
            return None;
        }
        "-" => PathBuf::from("-"),
        path => files.resolve(path),
    };
    if rotation.is_some() && path == Path::new("-") {
        faults.note("rotate_bytes", "standard output is not a file that could be renamed");
    }
    Some(Wanted {
        kind,
        path,
        form: match format {
            LogFormat::Alb => Form::Alb,
            LogFormat::Json => Form::Json,
        },
        elb: Arc::clone(elb),
        when_full: match written.when_full {
            written::WhenFull::Drop => WhenFull::Drop,
            written::WhenFull::Block => WhenFull::Block,
        },
        rotation,
    })
}

fn rotation(written: &written::Log, faults: &mut Faults) -> Option<Rotation> {
    let keep = written.rotate_keep.unwrap_or(defaults::LOG_ROTATE_KEEP);
    let keep = in_range(keep, 1..=limits::LOG_ROTATE_KEEP_MAX).or_note(faults, "rotate_keep");
    let Some(bytes_max) = written.rotate_bytes else {
        if written.rotate_keep.is_some() {
            faults.note("rotate_keep", "goes with rotate_bytes");
        }
        return None;
    };
    let least = limits::LOG_ROTATE_BYTES_MIN;
    if bytes_max < least {
        faults.note("rotate_bytes", format_args!("{bytes_max} is below {least}"));
        return None;
    }
    Some(Rotation { bytes_max, keep: keep? })
}

/// Whether two logs can go on beside each other.
fn beside(one: &Wanted, other: &Wanted) -> Result<(), String> {
    let word = other.kind.word();
    if one.path == other.path {
        return match one.rotation == other.rotation {
            true => Ok(()),
            false => Err(format!("logs.{word} has this file, with another rotation")),
        };
    }
    let takes = |one: &Wanted, other: &Wanted| {
        one.rotation.is_some_and(|rotation| rotation.takes(&one.path, &other.path))
    };
    match takes(one, other) || takes(other, one) {
        true => {
            Err(format!("one of this file and that of logs.{word} would be renamed to the other"))
        }
        false => Ok(()),
    }
}
