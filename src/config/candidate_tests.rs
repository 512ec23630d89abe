//! Long random sequences of commands, reloads and restarts, held against a model of a few lines.
use super::*;
use crate::config::scratch::Scratch;
use crate::config::state::{self, File};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CONFIGURATION: &str = "\
node: {state_dir: state, io: epoll}
trust_stores:
  - {name: partners, source: api, ca_certificates_bundle: a.pem, revocations: [a.crl]}
  - {name: staff, ca_certificates_bundle: a.pem}
listeners:
  - {name: http, bind: 127.0.0.1:0, protocol: HTTP, default_actions: [{type: fixed-response, \
fixed_response_config: {status_code: 200}}]}
";

/// A certificate authority and lists of its own.
struct Authority {
    pem: String,
    /// Each with the number of its entries.
    lists: Vec<(String, usize)>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let list = |entries: usize| {
            let revoked = |serial| RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2025, 1, 1),
                reason_code: None,
                invalidity_date: None,
            };
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2020, 1, 1),
                next_update: date_time_ymd(2099, 1, 1),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: (1..=entries as u64).map(revoked).collect(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            (list.signed_by(&issuer).unwrap().pem().unwrap(), entries)
        };
        Self { pem: issuer.pem(), lists: (0..3).map(list).collect() }
    }
}

/// What `partners` must hold.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Model {
    next_id: u64,
    /// Which authorities the bundle has.
    authorities: Vec<usize>,
    /// By id: the authority that signed the file's list, and its entries; none where it is nonsense.
    files: BTreeMap<u64, Option<(usize, usize)>>,
}

impl Model {
    fn add(&mut self, files: &[Option<(usize, usize)>]) {
        for file in files {
            self.files.insert(self.next_id, *file);
            self.next_id += 1;
        }
    }

    /// Whether every file is a list of an authority in the bundle.
    fn is_good(&self) -> bool {
        let is_good = |file: &Option<(usize, usize)>| {
            file.is_some_and(|(authority, _)| self.authorities.contains(&authority))
        };
        !self.authorities.is_empty() && self.files.values().all(is_good)
    }

    fn entries(&self) -> usize {
        self.files.values().flatten().map(|(_, entries)| entries).sum()
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A node without its shards: what is loaded, and what it must hold.
struct Site {
    scratch: Scratch,
    authorities: Vec<Authority>,
    /// None between an end and the next start.
    running: Option<Loaded>,
    model: Model,
    random: Random,
}

impl Site {
    fn new(seed: u64) -> Self {
        let scratch = Scratch::new();
        let authorities: Vec<_> = ["A", "B"].map(Authority::new).into();
        scratch.write("portcullis.yaml", CONFIGURATION);
        scratch.write("a.pem", &authorities[0].pem);
        scratch.write("a.crl", &authorities[0].lists[2].0);
        let loaded = load(&scratch.path("portcullis.yaml"), None).unwrap();
        let files = [(1, Some((0, 2)))].into();
        let model = Model { next_id: 2, authorities: vec![0], files };
        Self { scratch, authorities, running: Some(loaded), model, random: Random(seed) }
    }

    fn loaded(&self) -> &Loaded {
        self.running.as_ref().unwrap()
    }

    fn path(&self) -> PathBuf {
        self.scratch.path("portcullis.yaml")
    }

    /// Nothing, the authorities that it names, or nonsense.
    fn bundle(&mut self) -> (File, Vec<usize>) {
        let authorities = [vec![0], vec![1], vec![0, 1], vec![]][self.random.below(4)].clone();
        let pem: String = authorities.iter().map(|index| &*self.authorities[*index].pem).collect();
        (file("bundle", if pem.is_empty() { "nonsense" } else { &pem }), authorities)
    }

    /// Up to two files, one in eight of them nonsense.
    fn lists(&mut self) -> (Vec<File>, Vec<Option<(usize, usize)>>) {
        let count = self.random.below(3);
        let lists = (0..count).map(|_| {
            if self.random.below(8) == 0 {
                return (file("nonsense", "nonsense"), None);
            }
            let authority = self.random.below(2);
            let (list, entries) = &self.authorities[authority].lists[self.random.below(3)];
            (file("list", list), Some((authority, *entries)))
        });
        lists.unzip()
    }

    /// A command, and what it makes of the model if every file is good and every id known.
    fn command(&mut self) -> (Change, Option<Model>) {
        let mut next = self.model.clone();
        match self.random.below(3) {
            0 => {
                let (bundle, authorities) = self.bundle();
                next.authorities = authorities;
                let revocations = (self.random.below(2) == 0).then(|| {
                    let (files, lists) = self.lists();
                    next.files.clear();
                    next.add(&lists);
                    files
                });
                (Change::Replace { bundle, revocations }, Some(next))
            }
            1 => {
                let (files, lists) = self.lists();
                next.add(&lists);
                (Change::AddRevocations(files), Some(next))
            }
            _ => {
                let known: Vec<_> = next.files.keys().copied().collect();
                let ids: Vec<u64> = (0..=self.random.below(2))
                    .map(|_| match (known.len(), self.random.below(6)) {
                        (0, _) | (_, 0) => 1 + self.random.below(1_000_000) as u64,
                        (count, _) => known[self.random.below(count)],
                    })
                    .collect();
                let is_known = ids.iter().all(|id| known.contains(id));
                next.files.retain(|id, _| !ids.contains(id));
                (Change::RemoveRevocations(ids), is_known.then_some(next))
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0 => self.restart(),
            1 => self.reload(CONFIGURATION, true),
            2 => self.reload("listeners: [{colour: red}]", false),
            3 => {
                let (change, _) = self.command();
                let name = ["staff", "partner", "", "../partners"][self.random.below(4)];
                assert!(Candidate::new(self.loaded(), name, change).is_err(), "{name}");
            }
            4 => {
                // Killed before the publication.
                let (change, _) = self.command();
                if let Ok(candidate) = Candidate::new(self.loaded(), "partners", change) {
                    std::mem::forget(candidate.stage().unwrap().staged);
                }
                self.restart();
            }
            _ => self.change(),
        }
        self.check();
    }

    fn change(&mut self) {
        let (change, next) = self.command();
        let next = next.filter(Model::is_good);
        let candidate = Candidate::new(self.loaded(), "partners", change.clone());
        assert_eq!(candidate.is_ok(), next.is_some(), "{change:?} of {:?}", self.model);
        let (Ok(candidate), Some(next)) = (candidate, next) else { return };
        let new: Vec<_> =
            next.files.keys().copied().filter(|id| *id >= self.model.next_id).collect();
        assert_eq!(candidate.new_ids(), new);
        if self.random.below(8) == 0 {
            // Only asked about.
            return;
        }
        let mut loaded = candidate.stage().unwrap();
        state::commit(std::mem::take(&mut loaded.staged)).unwrap();
        self.running = Some(loaded);
        self.model = next;
    }

    fn reload(&mut self, configuration: &str, is_good: bool) {
        self.scratch.write("portcullis.yaml", configuration);
        let loaded = load(&self.path(), Some(self.loaded()));
        assert_eq!(loaded.is_ok(), is_good);
        if let Ok(loaded) = loaded {
            let store = |loaded: &Loaded| Arc::clone(&loaded.live.trust_stores["partners"]);
            assert!(Arc::ptr_eq(&store(&loaded), &store(self.loaded())), "made anew for nothing");
            self.running = Some(loaded);
        }
        self.scratch.write("portcullis.yaml", CONFIGURATION);
    }

    fn restart(&mut self) {
        // The lock goes with it.
        self.running = None;
        let loaded = load(&self.path(), None).unwrap();
        self.running = Some(loaded);
    }

    /// What is live and what is kept are as the model says.
    fn check(&self) {
        let live = &self.loaded().live;
        let store = &live.trust_stores["partners"];
        let ids: Vec<u64> = self.model.files.keys().copied().collect();
        assert_eq!(store.bundle.ca_count(), self.model.authorities.len());
        assert_eq!(store.revocations.entries(), self.model.entries());
        assert_eq!(store.revocations.status().len(), ids.len());
        let kept = self.loaded().contents("partners").unwrap();
        let checksum = *kept.clone().sealed("partners").checksum();
        let source = crate::config::snapshot::Source::Api { revocation_ids: ids.clone(), checksum };
        assert_eq!(live.trust_sources["partners"], source);
        assert_eq!(kept.next_id(), self.model.next_id);
        assert_eq!(kept.revocations().keys().copied().collect::<Vec<_>>(), ids);
        for (id, file) in &self.model.files {
            let (authority, entries) = file.expect("what is kept is good");
            let list = &self.authorities[authority].lists[entries].0;
            assert_eq!(kept.revocations()[id].bytes, list.as_bytes(), "revocation {id}");
        }
    }
}

/// The configuration with the trust store of the API alone.
fn without_files() -> String {
    let lines = CONFIGURATION.lines().filter(|line| !line.contains("staff"));
    lines.collect::<Vec<_>>().join("\n")
}

fn file(name: &str, content: &str) -> File {
    File { name: name.to_owned(), bytes: content.as_bytes().to_vec().into() }
}

fn load(path: &Path, previous: Option<&Loaded>) -> Result<Loaded, Faults> {
    let mut loaded = crate::config::load::load(path, previous)?;
    state::commit(std::mem::take(&mut loaded.staged)).map(|()| loaded)
}

#[test]
fn ten_thousand_random_operations_end_where_the_model_does() {
    let seed = crate::clock::since_epoch().as_nanos() as u64;
    println!("seed {seed}");
    let mut site = Site::new(seed);
    site.check();
    for operation in 0..10_000 {
        println!("operation {operation}");
        site.step();
    }
    assert!(site.model.next_id > 1_000, "{:?}: nothing much happened", site.model);
}

#[test]
fn a_state_directory_is_missing_or_cannot_be_had() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    scratch.write("a.pem", &authority.pem);
    scratch.write("a.crl", &authority.lists[0].0);
    let faults_of = |text: &str| {
        scratch.write("portcullis.yaml", text);
        load(&scratch.path("portcullis.yaml"), None).unwrap_err().to_string()
    };
    let said = faults_of(&CONFIGURATION.replace("state_dir: state, ", ""));
    let expected = "line 3: trust_stores[0].source: api needs node.state_dir, a directory in which";
    assert!(said.starts_with(expected) && !said.contains('\n'), "{said}");
    let said = faults_of(&CONFIGURATION.replace("state_dir: state", "state_dir: a.pem"));
    assert!(said.starts_with("line 1: node.state_dir: ") && !said.contains('\n'), "{said}");
    let said = faults_of(
        &CONFIGURATION.replace("ca_certificates_bundle: a.pem, revocations", "revocations"),
    );
    let expected = "line 3: trust_stores[0].ca_certificates_bundle: state_dir has nothing of this \
                    trust store yet: name the CA bundle that it begins with";
    assert_eq!(said, expected);
}

/// Goal: a look is only that. Method: one beside a node that has the directory, and one before any.
#[test]
fn a_check_neither_seeds_nor_locks() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    scratch.write("a.pem", &authority.pem);
    scratch.write("a.crl", &authority.lists[0].0);
    scratch.write("portcullis.yaml", without_files());
    let path = scratch.path("portcullis.yaml");
    assert_eq!(crate::config::load::check(&path), Ok(Vec::new()));
    assert!(!scratch.path("state").exists());
    let node = load(&path, None).unwrap();
    scratch.write("a.pem", "nonsense");
    changed_later(&scratch, "a.pem", -5);
    assert_eq!(crate::config::load::check(&path), Ok(Vec::new()), "the files are not read again");
    drop(node);
}

/// Has `file` changed so many seconds after what is kept of `partners`.
fn changed_later(scratch: &Scratch, file: &str, seconds: i64) {
    let state = scratch.path("state/trust_stores/partners.state");
    let kept_at = std::fs::metadata(state).unwrap().modified().unwrap();
    let distance = std::time::Duration::from_secs(seconds.unsigned_abs());
    let changed_at = if seconds < 0 { kept_at - distance } else { kept_at + distance };
    let options = std::fs::File::options().write(true).open(scratch.path(file));
    options.unwrap().set_modified(changed_at).unwrap();
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.live.warnings.iter().map(ToString::to_string).collect()
}

/// Goal: a detour over `source: files` is safe and no surprise. Method: there and back, while the files
/// change.
#[test]
fn what_commands_made_comes_back_after_a_time_of_files_and_that_is_said() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    scratch.write("a.pem", &authority.pem);
    scratch.write("a.crl", &authority.lists[2].0);
    let path = scratch.path("portcullis.yaml");
    let of = |source: &str| without_files().replace("source: api", &format!("source: {source}"));
    scratch.write("portcullis.yaml", of("api"));
    let first = load(&path, None).unwrap();
    assert!(first.live.warnings.is_empty());
    scratch.write("portcullis.yaml", of("files"));
    scratch.write("a.crl", &authority.lists[1].0);
    let files = load(&path, Some(&first)).unwrap();
    let entries = |loaded: &Loaded| loaded.live.trust_stores["partners"].revocations.entries();
    assert_eq!((entries(&files), warnings(&files)), (1, vec![]));
    drop(first);

    scratch.write("portcullis.yaml", of("api"));
    let back = load(&path, Some(&files)).unwrap();
    let again = load(&path, Some(&back)).unwrap();
    let state = scratch.path("state/trust_stores/partners.state");
    let kept_at = crate::calendar::rfc3339(crate::config::files::changed_at(&state).unwrap());
    let state = state.display();
    let expected = format!(
        "line 3: trust_stores[0].source: it holds what {state} has kept since {kept_at}, and the files \
         that it was made of until now are not read any more; to begin with the files of the \
         configuration again, move the former away and restart the node"
    );
    for loaded in [&back, &again] {
        assert_eq!((entries(loaded), warnings(loaded)), (2, vec![expected.clone()]));
    }
    // A command knows what it changes.
    let change = Change::AddRevocations(vec![file("b.crl", &authority.lists[0].0)]);
    let candidate = Candidate::new(&again, "partners", change).unwrap();
    assert!(candidate.live().warnings.is_empty());
}

#[test]
fn a_file_that_has_changed_after_what_is_kept_and_says_something_else_is_named() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    let lists = &authority.lists;
    scratch.write("a.pem", &authority.pem);
    scratch.write("a.crl", &lists[0].0);
    scratch.write("portcullis.yaml", without_files());
    let path = scratch.path("portcullis.yaml");
    drop(load(&path, None).unwrap());
    let warnings_with = |content: &str, seconds: i64| {
        scratch.write("a.crl", content);
        changed_later(&scratch, "a.crl", seconds);
        let node = load(&path, None).unwrap();
        let again = load(&path, Some(&node)).unwrap();
        assert_eq!(warnings(&node), warnings(&again));
        warnings(&node)
    };
    assert_eq!(warnings_with(&lists[0].0, 60), [""; 0], "it says the same");
    assert_eq!(warnings_with(&lists[1].0, -60), [""; 0], "it is older");
    let said = warnings_with(&lists[1].0, 60);
    let newer = format!("and {}, changed at 20", scratch.path("a.crl").display());
    assert!(said.len() == 1 && said[0].contains(&newer), "{said:?}");
    assert!(said[0].contains("Z, is not read; "), "{said:?}");
    std::fs::remove_file(scratch.path("a.crl")).unwrap();
    assert_eq!(warnings(&load(&path, None).unwrap()), [""; 0], "it may be left out");
}

#[test]
fn a_bundle_that_does_not_load_is_followed_until_it_does() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    scratch.write("a.pem", "nonsense");
    scratch.write("a.crl", &authority.lists[0].0);
    scratch.write("portcullis.yaml", without_files());
    let path = scratch.path("portcullis.yaml");
    let followed = || {
        let (inputs, loaded) = crate::config::load::attempt(&path, None);
        (inputs.0.len(), loaded.is_ok())
    };
    assert_eq!(followed(), (3, false));
    scratch.write("a.pem", &authority.pem);
    assert_eq!(followed(), (1, true));
}

/// Goal: what commands have revoked stays revoked. Method: the file goes away under a node that runs.
#[test]
fn a_node_that_runs_never_goes_back_to_its_seed() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    scratch.write("a.pem", &authority.pem);
    scratch.write("a.crl", &authority.lists[0].0);
    scratch.write("portcullis.yaml", without_files());
    let path = scratch.path("portcullis.yaml");
    let node = load(&path, None).unwrap();
    let state = scratch.path("state/trust_stores/partners.state");
    let moved = scratch.path("moved");
    std::fs::rename(&state, &moved).unwrap();
    let expected = format!(
        "line 3: trust_stores[0].source: {} is gone: restore it from a backup, or restart the node to \
         begin with the files of the configuration again",
        state.display()
    );
    let refused = load(&path, Some(&node)).unwrap_err();
    assert_eq!(refused.to_string(), expected);
    assert!(refused.reasons.contains(&Reason::State));
    assert_eq!(node.contents("partners").unwrap_err().to_string(), expected);
    assert!(crate::config::load::candidate(&path, &node).is_err());
    assert!(!state.exists());
    std::fs::rename(&moved, &state).unwrap();
    drop(load(&path, Some(&node)).unwrap());
    std::fs::remove_file(&state).unwrap();
    drop(node);
    drop(load(&path, None).unwrap());
    assert!(state.exists(), "a restart begins anew");
}

#[test]
fn a_directory_of_state_comes_and_moves_with_a_restart_alone() {
    let scratch = Scratch::new();
    let authority = Authority::new("A");
    scratch.write("a.pem", &authority.pem);
    scratch.write("a.crl", &authority.lists[0].0);
    let path = scratch.path("portcullis.yaml");
    let there = without_files();
    let elsewhere = there.replace("state_dir: state", "state_dir: elsewhere");
    let without = there.replace("state_dir: state, ", "").replace("source: api, ", "");
    for (before, after) in [(&there, &elsewhere), (&without, &there)] {
        scratch.write("portcullis.yaml", before);
        let node = load(&path, None).unwrap();
        scratch.write("portcullis.yaml", after);
        let refused = load(&path, Some(&node)).unwrap_err();
        let expected = "line 1: node.state_dir: a change here needs a restart";
        assert_eq!(refused.to_string(), expected);
    }
    assert!(!scratch.path("elsewhere").exists());
}
