//! A body on its way from one connection to another: taken off one framing and put into another.
//!
//! Pure. `shard` calls [`Transfer::step`] with what it received and sends what comes out. Memory stays
//! at one buffer each way: nothing is read before what was read is sent.
use super::chunked::{self, Decoder, Step};
use super::head::{Body, Malformed};
use super::lines_out::Lines;
use super::trailers::Filter;
use crate::net::Buf;

/// One body, from one side to the other.
#[derive(Debug)]
pub struct Transfer<'a> {
    from: From,
    to_chunked: bool,
    /// The trailers, as they came.
    trailers: Vec<u8>,
    filter: Filter<'a>,
}

/// What is still to come.
#[derive(Debug)]
enum From {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    Done,
}

impl<'a> Transfer<'a> {
    /// A body that arrives as `from` and leaves as `to`. Only [`Body::Chunked`] changes the bytes; what
    /// leaves as `Length` arrived with that length.
    ///
    /// Trailers leave at the end of chunks; any other form has no place for them, but HTTP/2 has one of its
    /// own (see [`Transfer::write_trailers`]).
    pub fn new(from: Body, to: Body, filter: Filter<'a>) -> Self {
        let from = match from {
            Body::Empty | Body::Length(0) => From::Done,
            Body::Length(length) => From::Length(length),
            Body::Chunked => From::Chunked(Decoder::default()),
            Body::UntilClose => From::UntilClose,
        };
        Self { from, to_chunked: to == Body::Chunked, trailers: Vec::new(), filter }
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
                    Step::End { trailers, used } => {
                        self.trailers.extend_from_slice(&input[trailers]);
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

    /// Whether any came behind the body.
    pub const fn has_trailers(&self) -> bool {
        !self.trailers.is_empty()
    }

    /// Writes the trailers that came and may go on, once the body is done.
    pub fn write_trailers(&self, out: &mut impl Lines) {
        self.filter.write_section(out, &self.trailers);
    }

    fn end(&self, out: &mut Buf) {
        if !self.to_chunked {
            return;
        }
        if self.trailers.is_empty() {
            out.extend_from_slice(chunked::BODY_END);
        } else {
            out.extend_from_slice(&chunked::end(|lines| self.write_trailers(lines)));
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
    use crate::http::attributes::Attributes;
    use crate::http::identity::Forbidden;
    use std::sync::LazyLock;

    static RULES: LazyLock<(Forbidden, Attributes)> = LazyLock::new(Default::default);

    fn transfer(from: Body, to: Body) -> Transfer<'static> {
        let (forbidden, attributes) = &*RULES;
        Transfer::new(from, to, Filter::of_request(true, forbidden, attributes))
    }

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
            let mut transfer = transfer(Body::Chunked, Body::UntilClose);
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

    /// Goal: trailers are made anew, and only those that may pass. Method: every cut in two.
    #[test]
    fn trailers_leave_behind_chunks_whatever_the_cut() {
        let input = b"1;x\r\na\r\n00;y\r\nServer-Timing:a;b\r\nContent-Length: 9\r\n\
                      X-Amzn-Mtls-Clientcert-Subject: CN=forged\r\nx-b: \t c\r\n\r\nNEXT";
        for cut in 0..=input.len() {
            let mut transfer = transfer(Body::Chunked, Body::Chunked);
            let mut out = Buf::take();
            let mut pending = buf(&input[..cut]);
            transfer.step(&mut pending, &mut out).unwrap();
            pending.extend_from_slice(&input[cut..]);
            transfer.step(&mut pending, &mut out).unwrap();
            let expected = "1\r\na\r\n0\r\nServer-Timing: a;b\r\nx-b: c\r\n\r\n";
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "cut at {cut}");
            assert_eq!(&pending[..], b"NEXT", "cut at {cut}");
        }
    }

    #[test]
    fn trailers_that_may_not_pass_leave_an_empty_section() {
        let mut transfer = transfer(Body::Chunked, Body::Chunked);
        let (mut input, mut out) = (buf(b"0\r\nHost: a\r\n\r\n"), Buf::take());
        transfer.step(&mut input, &mut out).unwrap();
        assert_eq!(&out[..], chunked::BODY_END);
    }

    /// HTTP/2 takes content and trailers apart.
    #[test]
    fn trailers_are_there_for_who_has_a_place_of_their_own() {
        let mut transfer = transfer(Body::Chunked, Body::UntilClose);
        let (mut input, mut out) = (buf(b"1\r\na\r\n0\r\nA: b\r\nTE: c\r\n\r\n"), Buf::take());
        transfer.step(&mut input, &mut out).unwrap();
        assert!(transfer.is_done());
        let mut trailers = http::HeaderMap::new();
        transfer.write_trailers(&mut trailers);
        assert_eq!((&out[..], trailers.len(), trailers["a"].as_bytes()), (&b"a"[..], 1, &b"b"[..]));
    }

    #[test]
    fn a_length_takes_its_bytes_and_leaves_the_next_request() {
        let mut transfer = transfer(Body::Length(5), Body::Length(5));
        let (mut input, mut out) = (buf(b"helloGET /"), Buf::take());
        transfer.step(&mut input, &mut out).unwrap();
        assert!(transfer.is_done());
        assert_eq!((&out[..], &input[..]), (&b"hello"[..], &b"GET /"[..]));
    }

    #[test]
    fn a_body_that_ends_by_close_becomes_chunks() {
        let mut transfer = transfer(Body::UntilClose, Body::Chunked);
        let (mut input, mut out) = (buf(b"hello"), Buf::take());
        transfer.step(&mut input, &mut out).unwrap();
        assert!(!transfer.is_done() && transfer.ends_by_close());
        transfer.close(&mut out);
        assert_eq!(&out[..], b"5\r\nhello\r\n0\r\n\r\n");
    }

    #[test]
    fn a_whole_buffer_goes_on_without_a_copy() {
        let mut transfer = transfer(Body::Length(9), Body::Length(9));
        let mut input = buf(b"hello");
        let at = input.as_ptr();
        let mut out = Buf::take();
        transfer.step(&mut input, &mut out).unwrap();
        assert_eq!(out.as_ptr(), at);
        assert!(input.is_empty() && !transfer.is_done());
    }
}
