//! From where a request comes. A proxy says it in a header, and whoever is no proxy of ours may write what they like
//! there: a header counts only from an address that the operator trusts.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName};
use clap::ValueEnum;
use ipnet::IpNet;
use rfc7239::{NodeIdentifier, NodeName};

/// The header in which the proxies in front name their clients. One alone: a proxy passes the other on as it came, from
/// whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeader {
    /// The usual one
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

/// The proxies in front of the service.
#[derive(Debug, Clone)]
pub struct Proxies {
    /// Where they are. Empty: there are none, and no header is believed.
    pub trusted: Vec<IpNet>,
    /// Where they say who called.
    pub header: ProxyHeader,
}

impl Proxies {
    /// The address of the client: what the outermost trusted proxy saw. Each proxy adds the address that called it at
    /// the end, so the list is read from there, for as long as it was a proxy of ours that wrote.
    pub fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer?.to_canonical();
        for named in self.named(headers) {
            if !self.trust(client) {
                break;
            }
            // Nobody can tell who called a proxy that hides it: all of its clients are one.
            let Some(address) = named else { break };
            client = address.to_canonical();
        }
        Some(client)
    }

    /// Whether a request went through a proxy that nobody told us of.
    pub fn is_unknown(&self, headers: &HeaderMap) -> bool {
        self.trusted.is_empty()
            && (headers.contains_key(header::FORWARDED)
                || headers.contains_key(header::X_FORWARDED_FOR))
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whom the header names, the nearest first; `None` where it is no address.
    fn named(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        if self.trusted.is_empty() {
            return Vec::new();
        }
        match self.header {
            ProxyHeader::XForwardedFor => joined(headers, &header::X_FORWARDED_FOR)
                .rsplit(',')
                .map(|name| address(name.trim()))
                .collect(),
            ProxyHeader::Forwarded => {
                let text = unquoted(&joined(headers, &header::FORWARDED));
                let mut named: Vec<Option<IpAddr>> = rfc7239::parse(&text)
                    .map(|hop| match hop.ok()?.forwarded_for {
                        Some(NodeIdentifier {
                            name: NodeName::Ip(address),
                            ..
                        }) => Some(address),
                        _ => None,
                    })
                    .collect();
                named.reverse();
                named
            }
        }
    }
}

/// All lines of a header as the one list that they are (RFC 9110 §5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines: Vec<_> = headers
        .get_all(name)
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    lines.join(",")
}

/// The same without what separates inside quotes, where it separates nothing: a client may write it, as its `Host` say, and
/// the library splits there. Read from the end, because what stands there is the nearest proxy's.
fn unquoted(text: &str) -> String {
    let mut is_quoted = false;
    let reversed = text.char_indices().rev().map(|(at, letter)| {
        let escapes = text[..at].bytes().rev().take_while(|byte| *byte == b'\\');
        match letter {
            '"' if escapes.count() % 2 == 0 => is_quoted = !is_quoted,
            ',' | ';' if is_quoted => return '_',
            _ => {}
        }
        letter
    });
    let reversed: String = reversed.collect();
    reversed.chars().rev().collect()
}

/// An address, with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn client(kind: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies {
            trusted: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8:f::/48".parse().unwrap(),
            ],
            header: kind,
        };
        let mut headers = HeaderMap::new();
        let (name, other, decoy) = match kind {
            ProxyHeader::XForwardedFor => (
                header::X_FORWARDED_FOR,
                header::FORWARDED,
                "for=203.0.113.66",
            ),
            ProxyHeader::Forwarded => (header::FORWARDED, header::X_FORWARDED_FOR, "203.0.113.66"),
        };
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_str(line).unwrap());
        }
        headers.append(other, HeaderValue::from_static(decoy));
        let client = proxies.client(Some(peer.parse().unwrap()), &headers);
        client.unwrap().to_string()
    }

    #[test]
    fn a_proxy_of_ours_is_believed_as_far_as_it_can_know() {
        for (peer, lines, expected) in [
            ("10.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            // What a client wrote itself stands in front of what the proxy saw.
            ("10.0.0.1", &["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
            // Two proxies of ours.
            (
                "10.0.0.1",
                &["198.51.100.9, 192.0.2.1,10.9.9.9"],
                "192.0.2.1",
            ),
            // The client is one of our own machines.
            ("10.0.0.1", &["10.0.0.7"], "10.0.0.7"),
            // Somebody else's header.
            ("192.0.2.1", &["198.51.100.9"], "192.0.2.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, garbage"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let client = client(ProxyHeader::XForwardedFor, peer, lines);
            assert_eq!(client, expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_as_well() {
        for (lines, expected) in [
            (&["for=192.0.2.1;proto=https;by=10.0.0.1"][..], "192.0.2.1"),
            (&["For=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=198.51.100.9, for=192.0.2.1"], "192.0.2.1"),
            (&["for=198.51.100.9", "for=192.0.2.1;host=a"], "192.0.2.1"),
            (&["for=192.0.2.1, for=\"[2001:db8:f::1]\""], "192.0.2.1"),
            // What a client wrote as its host is no address, and neither is a quote that it left open.
            (&["for=192.0.2.1;host=\"a,for=198.51.100.9\""], "192.0.2.1"),
            (
                &["for=192.0.2.1;host=\"a\\\",for=198.51.100.9;b\""],
                "192.0.2.1",
            ),
            (
                &["for=198.51.100.9;x=\"", "for=192.0.2.1;host=\"h\""],
                "192.0.2.1",
            ),
            (&["for=_hidden"], "10.0.0.1"),
            (&["for=unknown"], "10.0.0.1"),
            (&["proto=https"], "10.0.0.1"),
            (&["for=192.0.2.1, for=\"10.0.0"], "10.0.0.1"),
            (&["%%%"], "10.0.0.1"),
        ] {
            let client = client(ProxyHeader::Forwarded, "10.0.0.1", lines);
            assert_eq!(client, expected, "{lines:?}");
        }
    }
}
