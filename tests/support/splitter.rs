//! A wire that splits: what passes between two sides arrives in other pieces than it was sent in, by a seed,
//! and now and then one side is left waiting.
use super::client::connect;
use super::wait;
use crate::random::Random;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The wire to one address.
pub struct Splitter {
    pub address: SocketAddr,
    seed: Arc<AtomicU64>,
}

impl Splitter {
    /// One that does not split yet.
    pub fn before(address: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("loopback has a free port");
        // Small, so that who is left waiting soon cannot send any more.
        let narrow = socket2::SockRef::from(&listener).set_recv_buffer_size(BUFFER_BYTES);
        narrow.expect("a buffer can be small");
        let own = listener.local_addr().expect("a bound socket has an address");
        let seed = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&seed);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = connect(address);
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let both = from.try_clone().and_then(|from| Ok((from, to.try_clone()?)));
                    let (from, to) = both.expect("a socket can be cloned");
                    let seed = Arc::clone(&shared);
                    thread::spawn(move || pass(from, to, &seed));
                }
            }
        });
        Self { address: own, seed }
    }

    /// Splits by this seed from now on; 0 is not at all.
    pub fn split(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }
}

/// One direction, until its end.
fn pass(mut from: TcpStream, mut to: TcpStream, seed: &AtomicU64) -> io::Result<()> {
    to.set_nodelay(true)?;
    let mut room = [0; BUFFER_BYTES];
    let (mut random, mut by) = (Random::new(0), 0);
    loop {
        let seed = seed.load(Ordering::Relaxed);
        if std::mem::replace(&mut by, seed) != seed {
            random = Random::new(seed);
        }
        let wanted = if seed == 0 { room.len() } else { 1 + random.below(room.len()) };
        let count = from.read(&mut room[..wanted])?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let mut left = &room[..count];
        while !left.is_empty() {
            let piece = piece(&mut random, seed).min(left.len());
            to.write_all(&left[..piece])?;
            left = &left[piece..];
            if seed != 0 && random.below(PIECES_PER_STALL) == 0 {
                wait::pause();
            }
        }
    }
}

/// How much goes at once: often single bytes, where all the states of a parser lie.
fn piece(random: &mut Random, seed: u64) -> usize {
    match random.below(4) {
        _ if seed == 0 => BUFFER_BYTES,
        0 | 1 => 1,
        2 => 1 + random.below(16),
        _ => 1 + random.below(BUFFER_BYTES),
    }
}

const BUFFER_BYTES: usize = 4 * 1024;
const PIECES_PER_STALL: usize = 64;
