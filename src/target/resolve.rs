//! Addresses of named targets: asked for on the control thread, read by shards.
//!
//! Never on a shard: the system's resolver blocks. [`Resolver::resolve_all`] runs at start and at a
//! reload, before the new groups go live; [`Resolver::run`] repeats it as long as the node lives.
//! Bounds: one round takes `limits::RESOLVE_WAIT`, with `limits::RESOLVES_IN_FLIGHT_MAX` lookups at a
//! time; a name that no group has asked about for `limits::RESOLVED_NAME_KEPT` is forgotten.
use super::{Group, addresses};
use crate::limits;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// What is known about names, so that a reload and a failing name server lose no address.
#[derive(Debug, Default)]
pub struct Resolver {
    /// Held through a round: rounds of a reload and of the clock come one after the other.
    known: Mutex<BTreeMap<Arc<str>, Known>>,
}

/// What is known about one name.
#[derive(Debug)]
struct Known {
    /// The last good answer, sorted; empty when there never was one.
    addresses: Vec<IpAddr>,
    /// Whether the last lookup failed.
    failing: bool,
    /// When it was last asked about.
    asked: Instant,
}

impl Resolver {
    /// Looks up the names of `groups` and stores the addresses that changed. A name without an answer
    /// keeps its last one; one that never had an answer adds no address (a group without any: 503).
    ///
    /// Returns within `limits::RESOLVE_WAIT` (twice that when another round is under way), at once
    /// when there is no name.
    pub async fn resolve_all(&self, groups: &[Arc<Group>]) {
        self.round(groups, limits::RESOLVE_WAIT, system_lookup).await;
    }

    /// Repeats [`Resolver::resolve_all`] every `limits::RESOLVE_EVERY`, for the groups that are live
    /// then; never returns.
    pub async fn run(&self, live_groups: impl Fn() -> Vec<Arc<Group>>) {
        loop {
            sleep(limits::RESOLVE_EVERY).await;
            self.resolve_all(&live_groups()).await;
        }
    }

    async fn round<F>(
        &self,
        groups: &[Arc<Group>],
        within: Duration,
        lookup: impl Fn(Arc<str>) -> F,
    ) where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let names: BTreeSet<Arc<str>> =
            groups.iter().flat_map(|group| group.names()).map(Arc::from).collect();
        if names.is_empty() {
            return;
        }
        let mut known = self.known.lock().await;
        let mut answers = ask(&names, within, lookup).await;
        let now = Instant::now();
        for name in names {
            let answer = answers.remove(&name).unwrap_or_else(|| Err(unanswered()));
            note(&mut known, name, answer, now);
        }
        forget(&mut known, now);
        for group in groups {
            store(group, &known);
        }
    }
}

/// Asks about all names at once, in bounded number and time. A name without an answer is left out.
async fn ask<F>(
    names: &BTreeSet<Arc<str>>,
    within: Duration,
    lookup: impl Fn(Arc<str>) -> F,
) -> BTreeMap<Arc<str>, io::Result<Vec<IpAddr>>>
where
    F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
{
    let deadline = Instant::now() + within;
    let in_flight = Arc::new(Semaphore::new(limits::RESOLVES_IN_FLIGHT_MAX));
    let mut lookups = JoinSet::new();
    for name in names {
        let (name, in_flight) = (Arc::clone(name), Arc::clone(&in_flight));
        let answer = lookup(Arc::clone(&name));
        lookups.spawn(async move {
            let answer = timeout_at(deadline, async {
                let _permit = in_flight.acquire().await.map_err(io::Error::other)?;
                answer.await
            });
            (name, answer.await.unwrap_or_else(|_| Err(unanswered())))
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(ended) = lookups.join_next().await {
        answers.extend(ended);
    }
    answers
}

/// Takes an answer in, and says so where the name's state changes: not at every round.
fn note(
    known: &mut BTreeMap<Arc<str>, Known>,
    name: Arc<str>,
    answer: io::Result<Vec<IpAddr>>,
    now: Instant,
) {
    let known = known.entry(Arc::clone(&name)).or_insert_with(|| Known {
        addresses: Vec::new(),
        failing: false,
        asked: now,
    });
    known.asked = now;
    match answer {
        Ok(mut addresses) => {
            // Name servers rotate their answers; a set in another order is the same set.
            addresses.sort_unstable();
            addresses.dedup();
            if known.failing {
                tracing::info!(%name, "target name resolves again");
            }
            known.failing = false;
            known.addresses = addresses;
        }
        Err(error) => {
            if !known.failing {
                let kept = known.addresses.len();
                tracing::warn!(%name, %error, kept, "target name does not resolve; last answer kept");
            }
            known.failing = true;
        }
    }
}

/// Drops what no group has asked about for long.
fn forget(known: &mut BTreeMap<Arc<str>, Known>, now: Instant) {
    known.retain(|_, known| now.duration_since(known.asked) < limits::RESOLVED_NAME_KEPT);
}

/// Gives a group its addresses when they changed.
fn store(group: &Group, known: &BTreeMap<Arc<str>, Known>) {
    let mut addresses = addresses(&group.targets, |name| {
        known.get(name).map_or(&[][..], |known| known.addresses.as_slice())
    });
    let resolved = addresses.len();
    addresses.truncate(limits::TARGETS_PER_GROUP_MAX);
    if **group.addresses.load() == addresses {
        return;
    }
    if addresses.len() < resolved {
        let used = addresses.len();
        tracing::warn!(group = %group.name, resolved, used, "too many addresses; the last are not used");
    }
    tracing::info!(group = %group.name, ?addresses, "addresses of a target group changed");
    group.addresses.store(Arc::new(addresses));
}

fn unanswered() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// Asks the system's resolver, on tokio's threads for blocking work.
async fn system_lookup(name: Arc<str>) -> io::Result<Vec<IpAddr>> {
    let answer = tokio::net::lookup_host((&*name, 0)).await?;
    Ok(answer.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Place, ProtocolVersion, Target};
    use std::future::{pending, ready};
    use std::net::SocketAddr;

    const WAIT: Duration = Duration::from_secs(60);

    fn group(name: &str, names: &[&str]) -> Arc<Group> {
        let targets = names
            .iter()
            .map(|name| Target { place: Place::Name((*name).to_owned()), port: 80 })
            .collect();
        Arc::new(Group::new(name.into(), ProtocolVersion::Http1, targets))
    }

    fn answer(ips: &[&str]) -> io::Result<Vec<IpAddr>> {
        Ok(ips.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    fn shown(group: &Group) -> Vec<String> {
        group.addresses.load().iter().map(SocketAddr::to_string).collect()
    }

    #[tokio::test]
    async fn localhost_resolves() {
        let group = group("orders", &["localhost"]);
        Resolver::default().resolve_all(&[Arc::clone(&group)]).await;
        let addresses = group.addresses.load();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
    }

    #[tokio::test]
    async fn a_failing_name_keeps_its_last_answer_even_for_a_reloaded_group() {
        let resolver = Resolver::default();
        let old = group("orders", &["a"]);
        resolver.round(&[Arc::clone(&old)], WAIT, |_| ready(answer(&["10.0.0.1"]))).await;
        assert_eq!(shown(&old), ["10.0.0.1:80"]);

        let new = group("orders", &["a", "b"]);
        let both = [Arc::clone(&old), Arc::clone(&new)];
        resolver.round(&both, WAIT, |_| ready(Err(io::Error::other("no name server")))).await;
        assert_eq!(shown(&old), ["10.0.0.1:80"]);
        assert_eq!(shown(&new), ["10.0.0.1:80"], "b never had an answer");
    }

    #[tokio::test]
    async fn a_rotated_answer_is_no_change_and_a_new_one_is_stored() {
        let resolver = Resolver::default();
        let groups = [group("orders", &["a"])];
        resolver.round(&groups, WAIT, |_| ready(answer(&["10.0.0.2", "10.0.0.1"]))).await;
        let before = groups[0].addresses.load_full();
        resolver.round(&groups, WAIT, |_| ready(answer(&["10.0.0.1", "10.0.0.2"]))).await;
        assert!(Arc::ptr_eq(&before, &groups[0].addresses.load_full()));
        resolver.round(&groups, WAIT, |_| ready(answer(&["10.0.0.3"]))).await;
        assert_eq!(shown(&groups[0]), ["10.0.0.3:80"]);
    }

    #[tokio::test]
    async fn a_silent_name_server_holds_up_neither_the_round_nor_other_names() {
        let groups = [group("orders", &["silent", "quick"])];
        let lookup = |name: Arc<str>| async move {
            if &*name == "silent" { pending().await } else { answer(&["10.0.0.1"]) }
        };
        Resolver::default().round(&groups, Duration::from_millis(20), lookup).await;
        assert_eq!(shown(&groups[0]), ["10.0.0.1:80"]);
    }

    #[tokio::test]
    async fn addresses_over_the_limit_are_not_used() {
        let groups = [group("orders", &["many"])];
        let lookup = |_| {
            let addresses =
                (0..2_000_u32).map(|low| IpAddr::from((0x0a00_0000 + low).to_be_bytes()));
            ready(Ok(addresses.collect()))
        };
        Resolver::default().round(&groups, WAIT, lookup).await;
        assert_eq!(groups[0].addresses.load().len(), limits::TARGETS_PER_GROUP_MAX);
    }

    #[test]
    fn a_name_that_no_group_asks_about_any_more_is_forgotten() {
        let mut known = BTreeMap::new();
        let start = Instant::now();
        note(&mut known, "a".into(), answer(&["10.0.0.1"]), start);
        note(&mut known, "b".into(), answer(&["10.0.0.2"]), start);
        let later = start + limits::RESOLVED_NAME_KEPT;
        note(&mut known, "b".into(), Err(unanswered()), later);
        forget(&mut known, later);
        assert_eq!(known.keys().map(|name| &**name).collect::<Vec<_>>(), ["b"]);
    }
}
