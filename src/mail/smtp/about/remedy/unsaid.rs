//! What to do where no server has said anything: in the words of this machine, of TLS, or our own. Pure.

use super::{
    super::{
        super::fault::Stage,
        rules::{Rule, Stages, rule},
    },
    rules::said,
    words::*,
};

const CONNECT: Stages = &[Stage::Connect];
const TLS: Stages = &[Stage::Tls];
const STARTTLS: Stages = &[Stage::StartTls];
const ANY_TLS: Stages = &[Stage::Tls, Stage::StartTls];
const HELLO: Stages = &[Stage::Hello];
const AUTH: Stages = &[Stage::Auth];
const CHECK: Stages = &[Stage::Check];

pub(super) static UNSAID: &[Rule<&str>] = &[
    // The words of this machine: connect(2), getaddrinfo(3).
    said(
        CONNECT,
        &["connection refused"],
        "nothing listens there: check host and port in ENLIST_SMTP_URL, and whether the mail server runs",
    ),
    said(
        CONNECT,
        &[
            "failed to lookup",
            "no address",
            "name resolution",
            "name or service",
        ],
        "the host's name is not found: check its spelling in ENLIST_SMTP_URL, and this machine's DNS",
    ),
    said(
        CONNECT,
        &["network is unreachable", "no route"],
        "there is no way to this address: check this machine's network, and the routes and firewalls on the way",
    ),
    said(
        CONNECT,
        &["permission denied", "operation not permitted"],
        "this machine forbids the connection: allow it in its firewall or sandbox",
    ),
    said(
        CONNECT,
        &["no answer"],
        "often a firewall that drops it: many networks close port 25 outwards, so try 587 or 465; else check the host in \
         ENLIST_SMTP_URL",
    ),
    rule(CONNECT, 0, PORTS),
    // The words of rustls and webpki.
    said(
        ANY_TLS,
        &["unknownissuer", "selfsigned", "unknown issuer"],
        "the certificate's authority is not known here: give it as a PEM file in ENLIST_SMTP_CA",
    ),
    said(
        ANY_TLS,
        &["causedasendentity"],
        "the server shows the certificate of an authority as its own: let an authority sign one for the server, and give \
         the authority in ENLIST_SMTP_CA",
    ),
    said(
        ANY_TLS,
        &["notvalidforname", "certificate not valid for name"],
        "the certificate is for another name: name the host in ENLIST_SMTP_URL as the certificate does",
    ),
    said(
        ANY_TLS,
        &[
            "certificate expired",
            "expired",
            "certificate not valid yet",
            "notvalidyet",
        ],
        CLOCK,
    ),
    said(
        ANY_TLS,
        &["unsupportedcertversion"],
        "the certificate is X.509 version 1: have one of version 3 made",
    ),
    said(
        ANY_TLS,
        &["invalid peer certificate"],
        "have a valid certificate made for the mail server, or give its authority in ENLIST_SMTP_CA",
    ),
    rule(
        TLS,
        0,
        "the port does not speak TLS from the first byte: write smtp://…?tls=required for port 587, or take the port for \
         smtps://, often 465",
    ),
    said(STARTTLS, &["does not offer"], NO_STARTTLS),
    rule(STARTTLS, 0, TLS_BROKEN),
    // Our own words, and RFC 5321 §4.2.
    said(
        HELLO,
        &["no valid smtp answer"],
        "this is no mail server, or TLS from the first byte is wanted: write smtps:// for port 465, and check the port",
    ),
    said(
        HELLO,
        &["no answer"],
        "the port may want TLS from the first byte: write smtps:// for it; else the mail server is too slow or a firewall \
         is on the way",
    ),
    said(
        AUTH,
        &["no access token"],
        "the token server is in the way: see its words, and check ENLIST_SMTP_OAUTH_…",
    ),
    said(
        AUTH,
        &["offers no way to sign in"],
        "use the port for submission, often 587 or 465, or leave user and password out of ENLIST_SMTP_URL",
    ),
    said(
        AUTH,
        &["offers only"],
        "the mail server has no way to sign in that Enlist has: where it offers XOAUTH2, give access tokens with \
         ENLIST_SMTP_OAUTH_TOKEN_URL; else allow PLAIN or LOGIN there",
    ),
    said(AUTH, &["offers no encryption"], NO_STARTTLS),
    // Too large: RFC 3463 §3.3 and §3.4, RFC 1870; of our own checks the words.
    said(CHECK, &["the mail has"], LARGE),
    said(CHECK, &["the address is not ascii"], LETTERS),
];
