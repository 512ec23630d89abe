//! The beginning of a request's content, kept while its target may still turn out to have done nothing with
//! it: then it is sent again.
//!
//! Bounds: `limits::H2_KEPT_BYTES_MAX` of each stream, and half of `limits::H2_HEADS_BYTES_MAX` of a
//! connection.
use super::place::StreamPlace;
use crate::limits;
use bytes::Bytes;
use std::cell::RefCell;

/// Content that was sent.
pub(super) struct Kept<'a> {
    place: &'a StreamPlace,
    /// None once it is not all there any more.
    pieces: RefCell<Option<Vec<Bytes>>>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(place: &'a StreamPlace) -> Self {
        Self { place, pieces: RefCell::new(Some(Vec::new())) }
    }

    /// Keeps one more piece, or lets go of all when that is too much.
    pub(super) fn add(&self, piece: &Bytes) {
        let fits = match &mut *self.pieces.borrow_mut() {
            None => return,
            Some(pieces) => {
                let bytes = bytes_of(pieces) + piece.len();
                let fits = bytes <= limits::H2_KEPT_BYTES_MAX
                    && pieces.len() < limits::H2_KEPT_PIECES_MAX
                    && self.place.hold(piece.len());
                if fits {
                    pieces.push(piece.clone());
                }
                fits
            }
        };
        if !fits {
            self.let_go();
        }
    }

    /// It will not be sent again.
    pub(super) fn let_go(&self) {
        if let Some(pieces) = self.pieces.take() {
            self.place.let_go(bytes_of(&pieces));
        }
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.pieces.borrow().is_some()
    }

    /// A piece, by the order in which they came.
    pub(super) fn piece(&self, index: usize) -> Option<Bytes> {
        self.pieces.borrow().as_ref()?.get(index).cloned()
    }
}

fn bytes_of(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}
