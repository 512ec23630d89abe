//! A body on its way from one connection to another: taken off one framing and put into another.
//!
//! Pure. `shard` calls [`Transfer::step`] with what it received and sends what comes out. Memory stays
//! at one buffer each way: nothing is read before what was read is sent.
use super::chunked::{self, Decoder, Step};
use super::head::{Body, Malformed};
use crate::net::Buf;

/// One body, from one side to the other.
#[derive(Debug)]
pub struct Transfer {
    from: From,
    to_chunked: bool,
}

/// What is still to come.
#[derive(Debug)]
enum From {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    Done,
}

impl Transfer {
    /// A body that arrives as `from` and leaves as `to`. Only [`Body::Chunked`] changes the bytes; what
    /// leaves as `Length` arrived with that length.
    pub fn new(from: Body, to: Body) -> Self {
        let from = match from {
            Body::Empty | Body::Length(0) => From::Done,
            Body::Length(length) => From::Length(length),
            Body::Chunked => From::Chunked(Decoder::default()),
            Body::UntilClose => From::UntilClose,
        };
        Self { from, to_chunked: to == Body::Chunked }
    }

    /// Whether the whole body has come.
    pub const fn is_done(&self) -> bool {
        matches!(self.from, From::Done)
    }

    /// Whether the end of the stream would be the body's proper end.
    pub const fn ends_by_close(&self) -> bool {
        matches!(self.from, From::UntilClose)
    }

    /// Moves what `input` holds of the body to the end of `out`, framed anew. Bytes behind the body, and
    /// parts of a chunk's frame that are not whole yet, stay in `input`.
    ///
    /// # Errors
    /// [`Malformed`] when the chunks are not what they should be.
    pub fn step(&mut self, input: &mut Buf, out: &mut Buf) -> Result<(), Malformed> {
        match &mut self.from {
            From::Done => {}
            From::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= here as u64;
                if *left == 0 {
                    self.from = From::Done;
                }
                self.put(input, here, out);
            }
            From::UntilClose => self.put(input, input.len(), out),
            From::Chunked(decoder) => loop {
                match decoder.step(input)? {
                    Step::NeedMore { used } => {
                        input.consume(used);
                        return Ok(());
                    }
                    Step::Data { data, used } => {
                        append(&input[data], self.to_chunked, out);
                        input.consume(used);
                    }
                    Step::End { used } => {
                        input.consume(used);
                        self.from = From::Done;
                        self.end(out);
                        return Ok(());
                    }
                }
            },
        }
        Ok(())
    }

    /// The stream ended where [`Transfer::ends_by_close`] says that this is the body's end.
    pub fn close(&mut self, out: &mut Buf) {
        debug_assert!(self.ends_by_close());
        self.from = From::Done;
        self.end(out);
    }

    /// Moves `count` bytes of content; without copying where a whole buffer goes on as it came.
    fn put(&self, input: &mut Buf, count: usize, out: &mut Buf) {
        if count == 0 {
            return;
        }
        if count == input.len() && out.is_empty() && !self.to_chunked {
            std::mem::swap(input, out);
            input.clear();
            return;
        }
        append(&input[..count], self.to_chunked, out);
        input.consume(count);
        if self.is_done() {
            self.end(out);
        }
    }

    fn end(&self, out: &mut Buf) {
        if self.to_chunked {
            out.extend_from_slice(chunked::BODY_END);
        }
    }
}

/// Appends content, as a chunk where it leaves chunked.
pub fn append(content: &[u8], to_chunked: bool, out: &mut Buf) {
    if content.is_empty() {
        return;
    }
    if to_chunked {
        out.extend_from_slice(chunked::SizeLine::of(content.len()).as_bytes());
    }
    out.extend_from_slice(content);
    if to_chunked {
        out.extend_from_slice(chunked::CHUNK_END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buf(bytes: &[u8]) -> Buf {
        let mut buf = Buf::take();
        buf.extend_from_slice(bytes);
        buf
    }

    /// Goal: the content is the same however the input is cut. Method: every cut in two.
    #[test]
    fn a_chunked_body_leaves_as_chunks_whatever_the_cut() {
        let input = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\nNEXT";
        for cut in 0..=input.len() {
            let mut transfer = Transfer::new(Body::Chunked, Body::UntilClose);
            let mut out = Buf::take();
            let mut pending = buf(&input[..cut]);
            transfer.step(&mut pending, &mut out).unwrap();
            pending.extend_from_slice(&input[cut..]);
            transfer.step(&mut pending, &mut out).unwrap();
            assert!(transfer.is_done(), "cut at {cut}");
            assert_eq!(&out[..], b"hello!", "cut at {cut}");
            assert_eq!(&pending[..], b"NEXT", "cut at {cut}");
        }
    }

    #[test]
    fn a_length_takes_its_bytes_and_leaves_the_next_request() {
        let mut transfer = Transfer::new(Body::Length(5), Body::Length(5));
        let (mut input, mut out) = (buf(b"helloGET /"), Buf::take());
        transfer.step(&mut input, &mut out).unwrap();
        assert!(transfer.is_done());
        assert_eq!((&out[..], &input[..]), (&b"hello"[..], &b"GET /"[..]));
    }

    #[test]
    fn a_body_that_ends_by_close_becomes_chunks() {
        let mut transfer = Transfer::new(Body::UntilClose, Body::Chunked);
        let (mut input, mut out) = (buf(b"hello"), Buf::take());
        transfer.step(&mut input, &mut out).unwrap();
        assert!(!transfer.is_done() && transfer.ends_by_close());
        transfer.close(&mut out);
        assert_eq!(&out[..], b"5\r\nhello\r\n0\r\n\r\n");
    }

    #[test]
    fn a_whole_buffer_goes_on_without_a_copy() {
        let mut transfer = Transfer::new(Body::Length(9), Body::Length(9));
        let mut input = buf(b"hello");
        let at = input.as_ptr();
        let mut out = Buf::take();
        transfer.step(&mut input, &mut out).unwrap();
        assert_eq!(out.as_ptr(), at);
        assert!(input.is_empty() && !transfer.is_done());
    }
}
