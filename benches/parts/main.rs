//! What does each part of a shard's work for a client cost?
//!
//! `cargo bench --bench parts` times them; `-- verdict` those whose name has it. With `--instructions TIMES`
//! one after the other runs so many times within [`counted`], for a tool that counts instructions there, as
//! `perf/instructions` does; `--names` prints their names in that order.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod access_log;
mod heads;
mod identity;
mod part;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
mod verdict;

use criterion::{BatchSize, Criterion};
use part::{Part, Work};
use std::env;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--names", ..] => parts().iter().for_each(|part| println!("{}", part.name)),
        ["--instructions", times, ..] => {
            let times = times.parse().expect("a number");
            parts().into_iter().for_each(|part| count(part, times));
        }
        _ => time(&mut support::short().configure_from_args()),
    }
}

fn parts() -> Vec<Part> {
    let of_each = [
        verdict::parts(),
        tickets::parts(),
        heads::parts(),
        identity::parts(),
        access_log::parts(),
    ];
    of_each.into_iter().flatten().collect()
}

fn time(criterion: &mut Criterion) {
    for mut part in parts() {
        criterion.bench_function(part.name, |bench| match &mut part.work {
            Work::Same(work) => bench.iter(work),
            Work::Fresh(prepare) => {
                bench.iter_batched(prepare, |work| work(), BatchSize::SmallInput)
            }
        });
    }
    criterion.final_summary();
}

fn count(part: Part, times: usize) {
    match part.work {
        Work::Same(mut work) => {
            // What is made once is there.
            work();
            counted(|| (0..times).for_each(|_| work()));
        }
        Work::Fresh(mut prepare) => {
            let works: Vec<_> = (0..times).map(|_| prepare()).collect();
            counted(|| works.into_iter().for_each(|work| work()));
        }
    }
}

/// Where instructions are counted: a name of its own in the binary.
#[inline(never)]
fn counted(work: impl FnOnce()) {
    work();
    // Not the last thing, or it would be a jump and not a call.
    std::hint::black_box(());
}
