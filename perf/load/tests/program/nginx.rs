//! nginx, as one of the servers of others.
use crate::pki::Pki;
use crate::port::free_port;
use crate::server::Server;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

/// It serves `/` and accepts any body, asks for certificates of the CA, and speaks HTTP/2.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    _server: Server,
}

impl Nginx {
    /// `more`: directives of the server.
    pub(crate) fn start(pki: &Pki, more: &str) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (crt, key, ca) = (pki.path("server.crt"), pki.path("server.key"), pki.path("ca.crt"));
        let configuration = format!(
            "daemon off; pid nginx.pid; error_log nginx.err;
             events {{ worker_connections 512; }}
             http {{
               access_log off; client_body_temp_path body; proxy_temp_path proxy;
               fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
               server {{
                 listen {free} ssl http2; ssl_protocols TLSv1.2 TLSv1.3;
                 ssl_certificate {crt}; ssl_certificate_key {key};
                 ssl_client_certificate {ca}; ssl_verify_client optional;
                 location / {{ return 200 \"hello, world\\n\"; }}
                 {more}
               }}
             }}"
        );
        let file = pki.path("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-p", &pki.path(""), "-c", &file]);
        let server = Server::start(&mut command, free.port(), Stdio::null());
        Self { address: free, _server: server }
    }
}
