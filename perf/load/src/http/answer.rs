//! The answers on one HTTP/1.1 connection, each read to its end.
use super::body::{Body, Chunk};
use super::{Answer, Asked};
use crate::failure::Failure;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is read at once, and so the longest head.
const BUFFER_BYTES: usize = 16 * 1024;

/// Header lines that are looked at.
const HEADERS_MAX: usize = 100;

/// Reads answers, one after the other.
#[derive(Debug)]
pub(super) struct Answers {
    buffer: Vec<u8>,
    /// So much of the buffer was read.
    filled: usize,
}

/// A head: its length, its status, and how its content ends.
#[derive(Debug, Eq, PartialEq)]
struct Head {
    length: usize,
    status: u16,
    body: Body,
    keeps: bool,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], filled: 0 }
    }

    /// Reads the next one to its end, with its status.
    ///
    /// # Errors
    /// Whatever keeps the answer from being whole; where its status was not expected, that.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        asked: &Asked,
    ) -> Result<(u16, Answer), Failure> {
        self.filled = 0;
        let mut head = self.head(stream).await?;
        // RFC 9110, section 15.2: an interim answer goes before the real one.
        while head.status < 200 {
            self.buffer.copy_within(head.length..self.filled, 0);
            self.filled -= head.length;
            head = self.head(stream).await?;
        }
        if asked.is_head() {
            head.body = Body::Rest(0);
        }
        let status = head.status;
        match self.content(stream, head).await {
            Ok(answer) => Ok((status, answer)),
            Err(_) if !asked.expects(status) => Err(Failure::Status(status)),
            Err(failure) => Err(failure),
        }
    }

    /// Reads what belongs to a head, some of which may have come with it.
    async fn content(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        mut head: Head,
    ) -> Result<Answer, Failure> {
        let rest = self.buffer.get(head.length..self.filled).unwrap_or_default();
        let (taken, mut content_bytes) = head.body.take(rest)?;
        let mut left = rest.len() - taken;
        while !head.body.is_over() {
            let count = more(stream, &mut self.buffer).await?;
            if count == 0 && head.body == Body::ToClose {
                return Ok(Answer { content_bytes, keeps: false });
            }
            if count == 0 {
                return Err(Failure::Closed);
            }
            let (taken, content) = head.body.take(self.buffer.get(..count).unwrap_or_default())?;
            content_bytes += content;
            left = count - taken;
        }
        // Nothing was asked that this could answer.
        if left > 0 {
            Err(Failure::Answer)
        } else {
            Ok(Answer { content_bytes, keeps: head.keeps })
        }
    }

    /// Reads until a head is whole.
    async fn head(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Head, Failure> {
        loop {
            if let Some(head) = head(self.buffer.get(..self.filled).unwrap_or_default())? {
                return Ok(head);
            }
            let room = self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty());
            match more(stream, room.ok_or(Failure::Answer)?).await? {
                0 => return Err(Failure::Closed),
                count => self.filled += count,
            }
        }
    }
}

/// Reads some bytes; 0 at the end.
async fn more(stream: &mut (impl AsyncRead + Unpin), room: &mut [u8]) -> Result<usize, Failure> {
    stream.read(room).await.map_err(|error| Failure::of(&error))
}

/// The head of an answer, once it is whole.
fn head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Failure::Answer),
    };
    let status = response.code.ok_or(Failure::Answer)?;
    let value = |name: &str| {
        let mut named = response.headers.iter().filter(|one| one.name.eq_ignore_ascii_case(name));
        named.next().and_then(|one| std::str::from_utf8(one.value).ok())
    };
    // RFC 9112, section 6.3.
    let body = match (status, value("transfer-encoding"), value("content-length")) {
        (100..200 | 204 | 304, _, _) => Body::Rest(0),
        (_, Some(coding), _) if coding.trim().eq_ignore_ascii_case("chunked") => {
            Body::Chunked(Chunk::FIRST)
        }
        (_, None, Some(length)) => Body::Rest(length.trim().parse().map_err(|_| Failure::Answer)?),
        (_, Some(_), _) | (_, None, None) => Body::ToClose,
    };
    let says = |word: &str| {
        let mut words = value("connection").into_iter().flat_map(|value| value.split(','));
        words.any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let keeps = if response.version == Some(1) { !says("close") } else { says("keep-alive") };
    Ok(Some(Head { length, status, body, keeps }))
}

#[cfg(test)]
mod tests {
    use super::super::Method;
    use super::*;

    fn outcome(answer: &[u8]) -> Result<Answer, Failure> {
        with_status(answer).map(|(_, answer)| answer)
    }

    fn with_status(answer: &[u8]) -> Result<(u16, Answer), Failure> {
        let asked = Asked::new(Method::Get, "a", "/", &[], "".into(), vec![]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = answer;
        runtime.block_on(Answers::new().next(&mut rest, &asked))
    }

    fn whole(content_bytes: u64, keeps: bool) -> Result<Answer, Failure> {
        Ok(Answer { content_bytes, keeps })
    }

    #[test]
    fn an_answer_with_its_length_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(outcome(answer), whole(3, true));
        for cut in 0..answer.len() {
            assert_eq!(outcome(&answer[..cut]), Err(Failure::Closed), "after {cut} bytes");
        }
    }

    #[test]
    fn more_than_the_length_says_is_no_answer() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd";
        assert_eq!(outcome(answer), Err(Failure::Answer));
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc";
        assert_eq!(outcome(answer), Err(Failure::Answer));
    }

    #[test]
    fn chunks_end_an_answer_that_keeps_the_connection() {
        let answer = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        assert_eq!(outcome(answer), whole(2, true));
        assert_eq!(outcome(&answer[..answer.len() - 1]), Err(Failure::Closed));
    }

    #[test]
    fn whoever_closes_says_so_by_a_header_a_version_or_the_lack_of_a_length() {
        assert_eq!(outcome(b"HTTP/1.1 200 OK\r\n\r\nab"), whole(2, false));
        let close = b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(outcome(close), whole(0, false));
        assert_eq!(outcome(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), whole(0, false));
    }

    #[test]
    fn what_goes_before_an_answer_is_passed_by() {
        let answer = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(outcome(answer), whole(0, true));
    }

    #[test]
    fn another_status_is_told_with_its_content_and_without() {
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\n\r\na";
        assert_eq!(with_status(answer), Ok((400, Answer { content_bytes: 1, keeps: true })));
        assert_eq!(outcome(&answer[..answer.len() - 1]), Err(Failure::Status(400)));
        assert_eq!(outcome(b"SSH-2.0-OpenSSH\r\n"), Err(Failure::Answer));
    }
}
