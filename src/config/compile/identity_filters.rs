//! Conditions on identity: `client_certificate_identity_filters`.
use crate::config::Faults;
use crate::config::written::{self, List};
use crate::limits;
use crate::trust::Filters;
use crate::trust::filter::{Field, Filter};

/// The filters of one mutual authentication.
pub(super) fn all(written: &List<written::IdentityFilter>, faults: &mut Faults) -> Option<Filters> {
    const KEY: &str = "client_certificate_identity_filters";
    if written.0.len() > limits::IDENTITY_FILTERS_MAX {
        let (count, max) = (written.0.len(), limits::IDENTITY_FILTERS_MAX);
        faults.note(KEY, format_args!("there are {count} filters, and the limit is {max}"));
        return None;
    }
    let patterns: usize =
        written.0.iter().flat_map(|(_, filter)| fields(filter)).map(|(_, list)| list.0.len()).sum();
    if patterns > limits::IDENTITY_PATTERNS_MAX {
        let max = limits::IDENTITY_PATTERNS_MAX;
        faults.note(KEY, format_args!("there are {patterns} patterns, and the limit is {max}"));
        return None;
    }
    let mut all = Some(Vec::new());
    for (index, written) in &written.0 {
        let filter = faults.element(KEY, *index, |faults| filter(written, faults));
        all = all.zip(filter).map(|(mut all, filter)| {
            all.push(filter);
            all
        });
    }
    all.map(Filters::new)
}

fn filter(written: &written::IdentityFilter, faults: &mut Faults) -> Option<Filter> {
    let written::FilterAction::Accept = written.action;
    if fields(written).iter().all(|(_, patterns)| patterns.0.is_empty()) {
        faults.note_here("a filter needs at least one field; without any it would match nobody");
        return None;
    }
    let mut filter = Filter::default();
    let mut is_good = true;
    for (field, patterns) in fields(written) {
        for (index, pattern) in &patterns.0 {
            if let Err(fault) = filter.add(field, pattern) {
                is_good = false;
                faults.element(field.key(), *index, |faults| {
                    faults.note_here(format_args!("\"{}\": {fault}", pattern.escape_debug()));
                });
            }
        }
    }
    is_good.then_some(filter)
}

fn fields(written: &written::IdentityFilter) -> [(Field, &List<String>); Field::ALL.len()] {
    Field::ALL.map(|field| {
        let patterns = match field {
            Field::SubjectCn => &written.subject_cn,
            Field::SubjectOu => &written.subject_ou,
            Field::SanDns => &written.san_dns,
            Field::SanUri => &written.san_uri,
            Field::SanEmail => &written.san_email,
            Field::Issuer => &written.issuer,
            Field::Sha256 => &written.sha256,
        };
        (field, patterns)
    })
}
