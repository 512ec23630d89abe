//! One HTTP/1.1 answer, read to its end; of its content only the length counts.
use crate::failure::Failure;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is read at once, and so the longest head.
const BUFFER_BYTES: usize = 16 * 1024;

/// Header lines that are looked at.
const HEADERS_MAX: usize = 64;

/// Where the content of an answer ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// After so many bytes.
    After(u64),
    /// Where the connection does.
    AtClose,
}

/// A head: its length, its status, and where its content ends.
#[derive(Debug, Eq, PartialEq)]
struct Head {
    length: usize,
    status: u16,
    end: End,
}

/// Reads the answer to a GET. `is_last`: no request follows on this connection, so that its end may be
/// the answer's.
///
/// # Errors
/// Any status but 200, and whatever keeps the answer from being whole.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    is_last: bool,
) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    let head = loop {
        let room = buffer.get_mut(filled..).filter(|room| !room.is_empty());
        let count = more(stream, room.ok_or(Failure::Answer)?).await?;
        if count == 0 {
            return Err(Failure::Closed);
        }
        filled += count;
        if let Some(head) = head(buffer.get(..filled).unwrap_or_default())? {
            break head;
        }
    };
    if head.status != 200 {
        return Err(Failure::Status(head.status));
    }
    let mut content = (filled - head.length) as u64;
    match head.end {
        End::After(length) => {
            while content < length {
                match more(stream, &mut buffer).await? {
                    0 => return Err(Failure::Closed),
                    count => content += count as u64,
                }
            }
            if content == length { Ok(()) } else { Err(Failure::Answer) }
        }
        End::AtClose if is_last => to_close(stream).await,
        End::AtClose => Err(Failure::Answer),
    }
}

/// Reads until the server closes.
pub(crate) async fn to_close(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER_BYTES];
    while more(stream, &mut buffer).await? > 0 {}
    Ok(())
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
    let end = match (value("transfer-encoding"), value("content-length")) {
        (None, Some(length)) => End::After(length.trim().parse().map_err(|_| Failure::Answer)?),
        (Some(_), _) | (None, None) => End::AtClose,
    };
    Ok(Some(Head { length, status, end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(answer: &[u8], is_last: bool) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = answer;
        runtime.block_on(read(&mut rest, is_last))
    }

    #[test]
    fn an_answer_with_its_length_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(outcome(answer, false), Ok(()));
        for cut in 0..answer.len() {
            assert_eq!(outcome(&answer[..cut], true), Err(Failure::Closed), "after {cut} bytes");
        }
    }

    #[test]
    fn more_than_the_length_says_is_no_answer() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd";
        assert_eq!(outcome(answer, true), Err(Failure::Answer));
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc";
        assert_eq!(outcome(answer, true), Err(Failure::Answer));
    }

    #[test]
    fn without_a_length_only_the_last_answer_has_an_end() {
        for head in
            ["HTTP/1.1 200 OK\r\n\r\nab", "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"]
        {
            assert_eq!(outcome(head.as_bytes(), true), Ok(()));
            assert_eq!(outcome(head.as_bytes(), false), Err(Failure::Answer));
        }
    }

    #[test]
    fn another_status_is_told() {
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(outcome(answer, true), Err(Failure::Status(400)));
        assert_eq!(outcome(b"SSH-2.0-OpenSSH\r\n", true), Err(Failure::Answer));
    }
}
