//! Upgrade: the one that is passed on is to WebSocket, from HTTP/1.1.
//!
//! Every other one is dropped, `h2c` and `TLS/1.0` among them: what a target then spoke would be read by
//! nobody here (h2c smuggling, CVE-2025-49812; `threats.md`, section 3).
//! Source: RFC 6455, sections 4.1 and 4.2; RFC 9110, section 7.8.
use super::head::{Body, Header, Request, Response, Version};

/// The protocol, as targets and clients are told.
pub(super) const WEBSOCKET: &[u8] = b"websocket";

/// Whether a request asks for a WebSocket. With a body it does not: where that ends, and the other
/// protocol begins, would be a question that two readers may answer differently (CVE-2026-58055).
pub fn is_asked(request: &Request<'_, '_>) -> bool {
    request.connection.nominates("upgrade")
        && request.version == Version::Http11
        && request.method == "GET"
        && request.body == Body::Empty
        && !request.closes
        && names_websocket(request.headers)
}

/// Whether a response agrees to it: 101, with the same words. The handshake's key is the client's to
/// check.
pub fn is_agreed(response: &Response<'_, '_>) -> bool {
    response.status == 101
        && response.connection.nominates("upgrade")
        && names_websocket(response.headers)
}

fn names_websocket(headers: &[Header<'_>]) -> bool {
    headers.iter().filter(|header| header.name.eq_ignore_ascii_case("upgrade")).any(|header| {
        let mut protocols = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        protocols.any(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head;

    fn asked(head: &str) -> bool {
        let mut slots = head::slots();
        is_asked(&head::request(head.as_bytes(), &mut slots).unwrap().unwrap())
    }

    #[test]
    fn a_websocket_is_asked_for_by_get_upgrade_and_connection_together() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", true),
            ("GET / HTTP/1.1\r\nupgrade: h2c, WebSocket\r\nconnection: close, upgrade\r\n", true),
            (
                "GET / HTTP/1.1\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
                true,
            ),
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: Upgrade\r\n", false),
            ("GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n", false),
            ("GET / HTTP/1.1\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n", false),
            ("GET / HTTP/1.1\r\nUpgrade: websockets\r\nConnection: Upgrade\r\n", false),
            ("POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", false),
            ("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", false),
            (
                "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n",
                false,
            ),
        ] {
            assert_eq!(asked(&format!("{head}Host: a\r\n\r\n")), expected, "{head}");
        }
    }

    #[test]
    fn a_target_agrees_by_101_and_the_same_words() {
        for (head, expected) in [
            ("101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", true),
            ("101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", false),
            ("101 Switching Protocols\r\nUpgrade: websocket\r\n", false),
            ("200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", false),
        ] {
            let bytes = format!("HTTP/1.1 {head}\r\n");
            let mut slots = head::slots();
            let response = head::response(bytes.as_bytes(), head::Expected::Upgrade, &mut slots);
            let agreed = response.map(|response| is_agreed(&response.unwrap()));
            assert_eq!(agreed.unwrap_or(false), expected, "{head}");
        }
    }
}
