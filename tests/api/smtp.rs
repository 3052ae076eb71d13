//! The SMTP pool against a server on a real socket that does wrong what it is told to.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use enlist::mail::smtp::{
    About, Acceptance, Delivery, Failure, SmtpLimits, SmtpPool, SmtpSetupError, SmtpUrl,
    SmtpUrlError, TlsMode,
};
use lettre::address::{Address, Envelope};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::support::smtp::{Options, SmtpSink, Stage};

const MESSAGE: &[u8] = b"Subject: Hello\r\n\r\nA line\r\n.hidden\r\n..\r\n.\r\nend\r\n";

/// Far more than anything here takes: only a failing test waits as long.
const SOON: Duration = Duration::from_secs(10);

/// Short enough for a test to wait for.
const SHORT: Duration = Duration::from_millis(500);

fn hello() -> ClientId {
    ClientId::Domain("enlist.test".into())
}

fn pool_of(url: &str, max: usize, limits: SmtpLimits) -> SmtpPool {
    SmtpPool::new(url.parse().unwrap(), max, hello(), limits).unwrap()
}

fn pool(sink: &SmtpSink) -> SmtpPool {
    pool_of(&sink.url(), 1, SmtpLimits::default())
}

fn trusting(url: &str, roots: &[CertificateDer<'static>]) -> SmtpPool {
    let url = url.parse().unwrap();
    SmtpPool::with_roots(url, 1, hello(), SmtpLimits::default(), roots).unwrap()
}

/// A URL to the sink with another host, credentials or query.
fn url(sink: &SmtpSink, login: &str, host: &str, query: &str) -> String {
    let scheme = sink.url().split(':').next().unwrap().to_owned();
    format!("{scheme}://{login}{host}:{}{query}", sink.port())
}

fn to(address: &str) -> Envelope {
    let from: Address = "enlist@example.org".parse().unwrap();
    Envelope::new(Some(from), vec![address.parse().unwrap()]).unwrap()
}

async fn send(pool: &SmtpPool, address: &str) -> Delivery {
    pool.send(&to(address), MESSAGE).await
}

#[track_caller]
fn accepted(delivery: Delivery) -> Acceptance {
    match delivery {
        Delivery::Accepted(reply) => reply,
        other => panic!("not accepted: {other:?}"),
    }
}

#[track_caller]
fn retry(delivery: Delivery) -> Failure {
    match delivery {
        Delivery::Retry(failure) => failure,
        other => panic!("not to be retried: {other:?}"),
    }
}

#[track_caller]
fn given_up(delivery: Delivery) -> Failure {
    match delivery {
        Delivery::GiveUp(failure) => failure,
        other => panic!("not given up: {other:?}"),
    }
}

/// Sends and sees that the answer is that of this very message, and that the message is there.
async fn sends_in_step(pool: &SmtpPool, sink: &SmtpSink, address: &str) {
    let reply = accepted(send(pool, address).await);
    assert_eq!(reply.text, format!("Ok: queued for {address}"));
    let messages = sink.messages();
    assert_eq!(messages.last().unwrap().rcpt, [address]);
    assert_eq!(messages.last().unwrap().data, MESSAGE);
}

// --- the URL --------------------------------------------------------------------------------

#[test]
fn url_forms_and_default_ports() {
    let cases = [
        (
            "smtp://127.0.0.1:1025",
            "127.0.0.1",
            1025,
            TlsMode::Opportunistic,
        ),
        (
            "smtp://mail.example.org",
            "mail.example.org",
            25,
            TlsMode::Opportunistic,
        ),
        (
            "smtp://Mail.Example.org/?tls=required",
            "mail.example.org",
            25,
            TlsMode::Required,
        ),
        (
            "smtp://u:p@mail.example.org?tls=required",
            "mail.example.org",
            587,
            TlsMode::Required,
        ),
        (
            "smtp://u:p@mail.example.org",
            "mail.example.org",
            587,
            TlsMode::Opportunistic,
        ),
        (
            "smtp://u:p@localhost?tls=none",
            "localhost",
            587,
            TlsMode::None,
        ),
        ("smtp://[::1]:26?tls=none", "::1", 26, TlsMode::None),
        (
            "smtps://u:p@[2001:db8::1]",
            "2001:db8::1",
            465,
            TlsMode::Implicit,
        ),
        (
            "smtps://mail.example.org:4465?tls=required",
            "mail.example.org",
            4465,
            TlsMode::Implicit,
        ),
        (
            "SMTP://b\u{fc}cher.example",
            "xn--bcher-kva.example",
            25,
            TlsMode::Opportunistic,
        ),
    ];
    for (text, host, port, tls) in cases {
        let url: SmtpUrl = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(
            (url.host().as_str(), url.port(), url.tls()),
            (host, port, tls),
            "{text}"
        );
    }
}

#[test]
fn url_credentials_are_decoded_and_never_shown() {
    let url: SmtpUrl = "smtp://me%40example.org:s%2Fcr%C3%A9t%3A%23@h.example"
        .parse()
        .unwrap();
    assert_eq!(url.user(), Some("me@example.org"));
    assert_eq!(url.password().unwrap().expose_secret(), "s/cr\u{e9}t:#");
    let pool = SmtpPool::with_roots(
        url.clone(),
        1,
        hello(),
        SmtpLimits::default(),
        &[certificate()],
    );
    for shown in [format!("{url:?}"), format!("{:?}", pool.unwrap())] {
        assert!(shown.contains("h.example"), "{shown}");
        assert!(
            !shown.contains("cr\u{e9}t") && !shown.contains("cr%C3"),
            "{shown}"
        );
    }
}

#[test]
fn url_faults_are_named_without_the_password() {
    let long_enough_to_find = "hunter2secret";
    let cases = [
        ("", None),
        ("mail.example.org:25", Some(SmtpUrlError::Scheme)),
        (
            "http://u:hunter2secret@h.example",
            Some(SmtpUrlError::Scheme),
        ),
        ("smtp://", Some(SmtpUrlError::Host)),
        ("smtp:h.example", Some(SmtpUrlError::Host)),
        ("smtp://u:hunter2secret@", Some(SmtpUrlError::Host)),
        ("smtp://u:hunter2secret@a%00b", Some(SmtpUrlError::Host)),
        (
            "smtp://u:hunter2secret@h.example:0",
            Some(SmtpUrlError::Port),
        ),
        ("smtp://u:hunter2secret@h.example:99999", None),
        ("smtp://u:hunter2secret#x@h.example", None),
        (
            "smtp://u:hunter2secret@h.example/inbox",
            Some(SmtpUrlError::Path),
        ),
        ("smtp://h.example#hunter2secret", Some(SmtpUrlError::Path)),
        ("smtp://u@h.example", Some(SmtpUrlError::HalfLogin)),
        (
            "smtp://:hunter2secret@h.example",
            Some(SmtpUrlError::HalfLogin),
        ),
        (
            "smtp://u%00:hunter2secret@h.example",
            Some(SmtpUrlError::LoginCharacters),
        ),
        (
            "smtp://u:hunter2secret%FF@h.example",
            Some(SmtpUrlError::LoginCharacters),
        ),
        (
            "smtp://u:hunter2secret@h.example?tls=yes",
            Some(SmtpUrlError::Tls),
        ),
        (
            "smtp://u:hunter2secret@h.example?tls=",
            Some(SmtpUrlError::Tls),
        ),
        (
            "smtps://u:hunter2secret@h.example?tls=none",
            Some(SmtpUrlError::Tls),
        ),
        (
            "smtp://u:hunter2secret@h.example?starttls=1",
            Some(SmtpUrlError::Parameter),
        ),
        (
            "smtp://h.example?tls=none&tls=required",
            Some(SmtpUrlError::Parameter),
        ),
        (
            "smtp://u:hunter2secret@h.example?tls=none",
            Some(SmtpUrlError::LoginInClear),
        ),
    ];
    for (text, fault) in cases {
        let error = text.parse::<SmtpUrl>().expect_err(text);
        match fault {
            Some(fault) => assert_eq!(error, fault, "{text}"),
            None => assert!(matches!(error, SmtpUrlError::Syntax(_)), "{text}: {error}"),
        }
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains(long_enough_to_find), "{shown}");
        }
    }
}

#[test]
fn credentials_need_encryption_except_on_this_machine() {
    for (host, this_machine) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("[::1]", true),
        ("[::ffff:127.0.0.1]", true),
        ("mail.example.org", false),
        ("localhost.example.org", false),
        ("10.0.0.1", false),
        ("0.0.0.0", false),
        ("[2001:db8::1]", false),
    ] {
        let url: SmtpUrl = format!("smtp://u:p@{host}").parse().unwrap();
        assert!(url.permits_credentials(true), "{host}");
        assert_eq!(url.permits_credentials(false), this_machine, "{host}");
    }
}

// --- a message on its way ---------------------------------------------------------------------

#[tokio::test]
async fn delivers_the_message_byte_for_byte() {
    let sink = SmtpSink::start();
    let reply = accepted(send(&pool(&sink), "a@example.org").await);
    assert_eq!(
        reply,
        Acceptance {
            code: 250,
            enhanced_status: Some("2.0.0".into()),
            text: "Ok: queued for a@example.org".into(),
        }
    );
    let messages = sink.wait_for(1, SOON).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].from, "enlist@example.org");
    assert_eq!(messages[0].rcpt, ["a@example.org"]);
    assert_eq!(messages[0].data, MESSAGE);
    assert!(!messages[0].tls);
    assert_eq!(messages[0].authenticated_as, None);
    let commands: Vec<String> = sink.commands().into_iter().map(|(_, line)| line).collect();
    let expected = [
        "EHLO enlist.test",
        "MAIL FROM:<enlist@example.org>",
        "RCPT TO:<a@example.org>",
        "DATA",
    ];
    assert_eq!(commands, expected);
}

#[tokio::test]
async fn content_that_could_be_read_in_two_ways_is_refused() {
    let sink = SmtpSink::start();
    let pool = pool(&sink);
    for message in [
        &b"Subject: x\r\n\r\nbare\n.\r\nMAIL FROM:<x@example.org>\r\n"[..],
        b"bare\rreturn\r\n",
        b"at the end\r",
        b"\nat the start\r\n",
        b"not \xe9ncoded\r\n",
    ] {
        let failure = given_up(pool.send(&to("a@example.org"), message).await);
        assert_eq!((failure.code, failure.handed_over), (None, false));
        assert!(failure.reason.contains("ASCII") || failure.reason.contains("CRLF"));
    }
    assert_eq!(sink.connections(), 0);
    // Not even an unfinished last line hurts.
    accepted(
        pool.send(&to("a@example.org"), b"Subject: x\r\n\r\nend")
            .await,
    );
    assert_eq!(sink.messages()[0].data, b"Subject: x\r\n\r\nend\r\n");
}

#[tokio::test]
async fn non_ascii_addresses_need_smtputf8() {
    let sink = SmtpSink::start();
    let pool_without = pool(&sink);
    let failure = given_up(send(&pool_without, "j\u{fc}rgen@example.org").await);
    assert!(failure.reason.contains("SMTPUTF8"), "{}", failure.reason);
    assert_eq!(sink.count("MAIL"), 0);
    sends_in_step(&pool_without, &sink, "a@example.org").await;
    assert_eq!(sink.connections(), 1);

    let sink = SmtpSink::start_with(Options {
        smtputf8: true,
        eight_bit_mime: true,
        ..Options::default()
    });
    let pool = pool(&sink);
    sends_in_step(&pool, &sink, "j\u{fc}rgen@example.org").await;
    assert_eq!(sink.count("MAIL FROM:<enlist@example.org> SMTPUTF8"), 1);
    sends_in_step(&pool, &sink, "a@example.org").await;
    assert_eq!(sink.count("MAIL FROM:<enlist@example.org> SMTPUTF8"), 1);
}

// --- what the server says -----------------------------------------------------------------------

#[tokio::test]
async fn refusals_of_the_message_are_told_apart_and_keep_the_connection() {
    let sink = SmtpSink::start();
    sink.on_rcpt(|address| match address.split('@').next() {
        Some("nobody") => Some("550 5.1.1 No such user".into()),
        Some("full") => Some("452 4.2.2 Mailbox full".into()),
        _ => None,
    });
    let pool = pool(&sink);
    let failure = given_up(send(&pool, "nobody@example.org").await);
    let expected = Failure {
        code: Some(550),
        enhanced_status: Some("5.1.1".into()),
        reason: "RCPT TO: 550 5.1.1 No such user".into(),
        handed_over: false,
        about: About::Recipient,
        stage: enlist::mail::smtp::Stage::Rcpt,
        remedy: "there is no such mailbox: check the address, and on the mail server whether it knows the user",
    };
    assert_eq!(failure, expected);
    sends_in_step(&pool, &sink, "a@example.org").await;
    let failure = retry(send(&pool, "full@example.org").await);
    assert_eq!(failure.code, Some(452));
    assert_eq!(failure.enhanced_status.as_deref(), Some("4.2.2"));
    sends_in_step(&pool, &sink, "b@example.org").await;

    for (stage, reply, permanent) in [
        (Stage::Mail, "451 4.7.1 Greylisted", false),
        // About the sender, and so about all messages.
        (Stage::Mail, "550 5.7.1 Sender refused", false),
        (Stage::Data, "451 4.3.0 Not now", false),
        (Stage::Data, "554 5.5.1 No valid recipients", true),
        (Stage::Final, "451 4.3.0 Try later", false),
        (Stage::Final, "552 5.3.4 Message too big", true),
        // Without an enhanced status, or with one of another class, that is just text.
        (Stage::Final, "554 Spam", true),
        (Stage::Final, "554 4.7.1 Spam", true),
    ] {
        sink.next_replies(stage, [reply]);
        let delivery = send(&pool, "c@example.org").await;
        let failure = match permanent {
            true => given_up(delivery),
            false => retry(delivery),
        };
        assert!(failure.reason.ends_with(reply), "{}", failure.reason);
        assert_eq!(failure.code, reply[..3].parse().ok());
        let status = reply[4..].split(' ').next().unwrap();
        let status = (status.contains('.') && status[..1] == reply[..1]).then(|| status.to_owned());
        assert_eq!(failure.enhanced_status, status);
        assert!(!failure.handed_over, "the server has answered");
        sends_in_step(&pool, &sink, "d@example.org").await;
    }
    assert_eq!(sink.connections(), 1);
    assert_eq!(sink.count("RSET"), 10);
}

#[tokio::test]
async fn one_refused_recipient_refuses_the_message_for_all() {
    let sink = SmtpSink::start();
    sink.on_rcpt(|address| address.starts_with("nobody").then(|| "550 5.1.1 No".into()));
    let addresses = ["a@example.org", "nobody@example.org", "b@example.org"];
    let addresses = addresses.map(|address| address.parse().unwrap()).to_vec();
    let envelope = Envelope::new(None, addresses).unwrap();
    let pool = pool(&sink);
    given_up(pool.send(&envelope, MESSAGE).await);
    assert_eq!((sink.messages().len(), sink.count("DATA")), (0, 0));
    sends_in_step(&pool, &sink, "a@example.org").await;

    let addresses = ["a@example.org", "b@example.org"];
    let addresses = addresses.map(|address| address.parse().unwrap()).to_vec();
    let envelope = Envelope::new(None, addresses).unwrap();
    accepted(pool.send(&envelope, MESSAGE).await);
    let messages = sink.messages();
    assert_eq!(messages[1].rcpt, ["a@example.org", "b@example.org"]);
    assert_eq!(messages[1].from, "");
}

/// What follows a refusal on the wire: nothing where commands go one by one, DATA where they were sent at once.
#[tokio::test]
async fn commands_go_at_once_only_where_the_server_offers_it() {
    for one_by_one in [true, false] {
        let sink = SmtpSink::start_with(Options {
            one_by_one,
            ..Options::default()
        });
        let pool = pool(&sink);
        for (stage, reply) in [
            (Stage::Mail, "550 5.7.1 Sender refused"),
            (Stage::Rcpt, "550 5.1.1 No such user"),
        ] {
            sink.next_replies(stage, [reply]);
            let delivery = send(&pool, "nobody@example.org").await;
            let failure = match stage {
                Stage::Mail => retry(delivery),
                _ => given_up(delivery),
            };
            assert!(failure.reason.ends_with(reply), "{}", failure.reason);
            sends_in_step(&pool, &sink, "a@example.org").await;
        }
        let datas = if one_by_one { 2 } else { 4 };
        assert_eq!((sink.connections(), sink.count("DATA")), (1, datas));
    }
}

#[tokio::test]
async fn a_refused_recipient_gets_nothing_even_if_the_server_asks_for_it() {
    let sink = SmtpSink::start_with(Options {
        asks_anyway: true,
        ..Options::default()
    });
    sink.on_rcpt(|address| address.starts_with("nobody").then(|| "550 5.1.1 No".into()));
    let pool = pool(&sink);
    sink.next_replies(Stage::Final, ["554 5.5.1 No valid recipients"]);
    let failure = given_up(send(&pool, "nobody@example.org").await);
    assert_eq!((failure.code, failure.handed_over), (Some(550), false));
    sends_in_step(&pool, &sink, "a@example.org").await;
    assert_eq!(sink.connections(), 1);
    // One that is content with nothing cannot be trusted with more.
    let failure = given_up(send(&pool, "nobody@example.org").await);
    assert!(!failure.handed_over);
    assert_eq!(sink.messages().last().unwrap().data, b"");
    sends_in_step(&pool, &sink, "b@example.org").await;
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn all_lines_of_a_reply_are_told_in_one() {
    let sink = SmtpSink::start();
    let pool = pool(&sink);
    let lines = "550-5.7.25 The address does not\r\n550-5.7.25 have a PTR record.\r\n\
                 550 5.7.25 See https://example.org/a";
    sink.next_replies(Stage::Rcpt, [lines]);
    let failure = retry(send(&pool, "a@example.org").await);
    assert_eq!(failure.enhanced_status.as_deref(), Some("5.7.25"));
    assert_eq!(
        failure.reason,
        "RCPT TO: 550 5.7.25 The address does not have a PTR record. See https://example.org/a"
    );
    sink.next_replies(
        Stage::Final,
        ["250-2.6.0 Queued\r\n250-2.6.0 as 17\r\n250 at\tonce"],
    );
    let reply = accepted(send(&pool, "a@example.org").await);
    assert_eq!(reply.enhanced_status.as_deref(), Some("2.6.0"));
    assert_eq!(reply.text, "Queued as 17 at once");

    let control = format!("550 5.0.0 \u{1b}[31m\u{7}red\u{2028}{}", "x".repeat(900));
    sink.next_replies(Stage::Final, [control.as_str()]);
    let reason = given_up(send(&pool, "a@example.org").await).reason;
    assert!(
        reason.starts_with("end of message: 550 5.0.0 [31m red xxx"),
        "{reason}"
    );
    assert!(!reason.contains(|c: char| c.is_control() || c == '\u{2028}'));
    sends_in_step(&pool, &sink, "a@example.org").await;
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn what_the_server_refuses_before_mail_is_not_the_messages_fault() {
    for (stage, reply) in [
        (Stage::Greeting, "421 4.3.2 Too busy"),
        (Stage::Greeting, "554 5.3.2 No service here"),
        (Stage::Ehlo, "550 5.7.1 You are not welcome"),
        (Stage::Ehlo, "421 4.3.2 Too busy"),
        (Stage::StartTls, "454 4.7.0 TLS not available"),
        (Stage::StartTls, "554 5.7.0 TLS is broken"),
        (Stage::Auth, "535 5.7.8 Not today"),
        (Stage::Auth, "454 4.7.0 Temporary failure"),
        // About the session, although it comes at MAIL.
        (Stage::Mail, "530 5.7.0 Must issue a STARTTLS command first"),
        (Stage::Mail, "503 5.5.1 AUTH first"),
    ] {
        let sink = SmtpSink::start_with(Options {
            starttls: true,
            login: Some(("me", "secret")),
            ..Options::default()
        });
        let pool = pool_of(
            &url(&sink, "me:secret@", "127.0.0.1", ""),
            1,
            SmtpLimits::default(),
        );
        sink.next_replies(stage, [reply]);
        let failure = retry(send(&pool, "a@example.org").await);
        assert_eq!(failure.code, reply[..3].parse().ok(), "{reply}");
        assert!(failure.reason.ends_with(reply), "{}", failure.reason);
        assert!(!failure.handed_over);
        sends_in_step(&pool, &sink, "a@example.org").await;
        assert_eq!(sink.connections(), 2, "{reply}");
    }
}

#[tokio::test]
async fn a_421_closes_the_connection_at_any_stage() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Final] {
        let sink = SmtpSink::start();
        let pool = pool(&sink);
        sink.next_replies(stage, ["421 4.3.2 Shutting down"]);
        let failure = retry(send(&pool, "a@example.org").await);
        assert_eq!((failure.code, failure.handed_over), (Some(421), false));
        let closed = |sink: &SmtpSink| sink.open_connections() == 0;
        sink.wait_until("it is closed", SOON, closed).await;
        sends_in_step(&pool, &sink, "b@example.org").await;
        assert_eq!(sink.connections(), 2, "{stage:?}");
    }
}

#[tokio::test]
async fn nonsense_and_broken_connections_are_retried() {
    use Stage::*;
    for stage in [Greeting, Ehlo, Mail, Rcpt, Data, Final] {
        for nonsense in [
            None,
            Some("what?"),
            Some("25"),
            Some("250-a\r\n354 b"),
            Some("\u{0}"),
        ] {
            let sink = SmtpSink::start();
            let pool = pool(&sink);
            match nonsense {
                Some(text) => sink.next_replies(stage, [text]),
                None => sink.close_at(stage),
            };
            let failure = retry(send(&pool, "a@example.org").await);
            assert_eq!(failure.code, None, "{stage:?} {nonsense:?}");
            assert_eq!(
                failure.handed_over,
                stage == Final,
                "{stage:?} {nonsense:?}"
            );
            sends_in_step(&pool, &sink, "b@example.org").await;
            assert_eq!(sink.connections(), 2, "{stage:?} {nonsense:?}");
        }
    }
}

#[tokio::test]
async fn nobody_there_is_retried() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let pool = pool_of(&format!("smtp://{address}"), 1, SmtpLimits::default());
    let failure = retry(send(&pool, "a@example.org").await);
    let beginning = format!("connecting to {address}: Connection refused");
    assert!(failure.reason.starts_with(&beginning), "{}", failure.reason);
    assert_eq!((failure.code, failure.handed_over), (None, false));

    // RFC 6761, section 6.4: a name that nobody has.
    let pool = pool_of("smtp://no-such-host.invalid:25", 1, SmtpLimits::default());
    let failure = retry(send(&pool, "a@example.org").await);
    assert!(
        failure
            .reason
            .starts_with("connecting to no-such-host.invalid:25: ")
    );
}

#[tokio::test]
async fn a_drop_after_data_leaves_it_open_whether_the_message_was_taken() {
    let sink = SmtpSink::start();
    sink.drop_after_data(2, true).drop_after_data(1, false);
    let pool = pool(&sink);
    for _ in 0..3 {
        let failure = retry(send(&pool, "a@example.org").await);
        assert!(failure.handed_over);
        assert!(
            failure.reason.starts_with("end of message: "),
            "{}",
            failure.reason
        );
    }
    assert_eq!(sink.messages().len(), 2);
    sends_in_step(&pool, &sink, "a@example.org").await;
    assert_eq!(sink.connections(), 4);
}

// --- time limits and cancellation ------------------------------------------------------------------

fn short_limits() -> SmtpLimits {
    SmtpLimits {
        command: SHORT,
        body: SHORT,
        final_dot: SHORT,
        ..SmtpLimits::default()
    }
}

#[tokio::test]
async fn every_stage_has_its_time_limit() {
    use Stage::*;
    let mut stages = JoinSet::new();
    for (stage, name) in [
        (Greeting, "greeting and EHLO"),
        (Ehlo, "greeting and EHLO"),
        (StartTls, "STARTTLS"),
        (Auth, "AUTH"),
        (Mail, "MAIL FROM"),
        (Rcpt, "RCPT TO"),
        (Data, "DATA"),
        (Final, "end of message"),
    ] {
        stages.spawn(async move {
            let sink = SmtpSink::start_with(Options {
                starttls: true,
                login: Some(("me", "secret")),
                ..Options::default()
            });
            sink.hang_at(stage);
            let mut limits = SmtpLimits::default();
            match stage {
                Final => limits.final_dot = SHORT,
                _ => limits.command = SHORT,
            }
            let pool = pool_of(&url(&sink, "me:secret@", "127.0.0.1", ""), 1, limits);
            let start = Instant::now();
            let failure = retry(send(&pool, "a@example.org").await);
            assert!(start.elapsed() >= SHORT && start.elapsed() < SOON);
            assert_eq!(
                failure.reason,
                format!("{name}: no answer within {SHORT:?}")
            );
            assert_eq!((failure.code, failure.handed_over), (None, stage == Final));
            let closed = |sink: &SmtpSink| sink.open_connections() == 0;
            sink.wait_until("it is closed", SOON, closed).await;
        });
    }
    stages.join_all().await;
}

#[tokio::test]
async fn connecting_has_its_time_limit() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // A queue of connections that nobody accepts: when it is full, further ones get no answer.
    let mut queue = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let limits = SmtpLimits {
        connect: SHORT,
        ..SmtpLimits::default()
    };
    let pool = pool_of(&format!("smtp://{address}"), 1, limits);
    let failure = retry(send(&pool, "a@example.org").await);
    let expected = format!("connecting to {address}: no answer within {SHORT:?}");
    assert_eq!((failure.reason, failure.handed_over), (expected, false));
}

#[tokio::test]
async fn a_server_that_does_not_take_the_body_is_not_said_to_have_it() {
    let sink = SmtpSink::start();
    sink.hang_before_content();
    let pool = pool_of(&sink.url(), 1, short_limits());
    // More than the sockets' buffers hold.
    let message = b"0123456789abcdef0123456789abcdef\r\n".repeat(1 << 20);
    let failure = retry(pool.send(&to("a@example.org"), &message).await);
    assert_eq!(failure.reason, "message content: no answer within 500ms");
    assert!(!failure.handed_over);
    sends_in_step(&pool, &sink, "b@example.org").await;
}

#[tokio::test]
async fn a_slow_answer_to_the_dot_is_not_held_against_the_other_limits() {
    let sink = SmtpSink::start();
    sink.delay(Stage::Final, 2 * SHORT);
    let limits = SmtpLimits {
        final_dot: SOON,
        ..short_limits()
    };
    let pool = pool_of(&sink.url(), 1, limits);
    sends_in_step(&pool, &sink, "a@example.org").await;
}

/// Polls `future` at most `polls` times, then drops it.
async fn cancelled_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_cancelled_send_never_leaves_a_connection_one_reply_behind() {
    let sink = SmtpSink::start_with(Options {
        starttls: true,
        login: Some(("me", "secret")),
        ..Options::default()
    });
    let pool = pool_of(
        &url(&sink, "me:secret@", "127.0.0.1", ""),
        1,
        SmtpLimits::default(),
    );
    let (mut cancelled, mut finished) = (0, 0);
    for polls in 1..200 {
        // Half of them on a new connection, half on a kept one.
        if polls % 2 == 0 {
            sink.close_idle().await;
        }
        let victim = format!("victim{polls}@example.org");
        match cancelled_after(polls / 4, send(&pool, &victim)).await {
            None => cancelled += 1,
            Some(delivery) => {
                finished += 1;
                assert_eq!(accepted(delivery).text, format!("Ok: queued for {victim}"));
            }
        }
        // A cancelled one may still arrive, after the next one: so look for it.
        let next = format!("next{polls}@example.org");
        let reply = accepted(send(&pool, &next).await);
        assert_eq!(reply.text, format!("Ok: queued for {next}"));
        assert!(
            sink.messages()
                .iter()
                .any(|message| message.rcpt == [next.as_str()])
        );
    }
    assert!(cancelled > 20 && finished > 20, "{cancelled} {finished}");
}

#[tokio::test]
async fn a_send_cancelled_amid_data_closes_its_connection() {
    for stage in [Stage::Mail, Stage::Data, Stage::Final] {
        let sink = SmtpSink::start();
        let pool = pool(&sink);
        sends_in_step(&pool, &sink, "a@example.org").await;
        sink.hang_at(stage);
        let victim = {
            let pool = pool.clone();
            tokio::spawn(async move { send(&pool, "victim@example.org").await })
        };
        let hangs = |sink: &SmtpSink| sink.hung() == 1;
        sink.wait_until("the victim hangs", SOON, hangs).await;
        victim.abort();
        assert!(victim.await.unwrap_err().is_cancelled());
        sends_in_step(&pool, &sink, "b@example.org").await;
        assert_eq!(sink.connections(), 2);
        let closed = |sink: &SmtpSink| sink.open_connections() == 1;
        sink.wait_until("the victim's connection is closed", SOON, closed)
            .await;
    }
}

#[tokio::test]
async fn an_unasked_reply_is_never_taken_for_an_answer() {
    let sink = SmtpSink::start();
    let pool = pool(&sink);
    sink.next_replies(Stage::Final, ["250 2.0.0 Ok\r\n250 2.0.0 once more"]);
    assert_eq!(accepted(send(&pool, "a@example.org").await).text, "Ok");
    sends_in_step(&pool, &sink, "b@example.org").await;
    assert_eq!(sink.connections(), 2);

    // In the middle of a transaction it shows at DATA at the latest: 354 belongs there.
    for stage in [Stage::Ehlo, Stage::Mail, Stage::Rcpt] {
        sink.close_idle().await;
        let usual = "250 Ok\r\n250 once more";
        sink.next_replies(stage, [usual]);
        let failure = retry(send(&pool, "c@example.org").await);
        assert!(failure.reason.contains("out of step"), "{}", failure.reason);
        assert!(!failure.handed_over);
        sends_in_step(&pool, &sink, "d@example.org").await;
    }
}

// --- the pool ----------------------------------------------------------------------------------------

#[tokio::test]
async fn a_connection_is_reused_until_it_has_served_its_time() {
    let sink = SmtpSink::start();
    let limits = SmtpLimits {
        messages_per_connection: 10,
        ..SmtpLimits::default()
    };
    let pool = pool_of(&sink.url(), 1, limits);
    for number in 0..25 {
        sends_in_step(&pool, &sink, &format!("user{number}@example.org")).await;
    }
    let on = |connection| {
        sink.messages()
            .iter()
            .filter(|m| m.connection == connection)
            .count()
    };
    assert_eq!((on(1), on(2), on(3)), (10, 10, 5));
    assert_eq!((sink.connections(), sink.peak_connections()), (3, 1));
    assert_eq!(sink.count("QUIT"), 2);
}

#[tokio::test]
async fn idle_connections_are_closed_without_being_asked() {
    let sink = SmtpSink::start();
    let limits = SmtpLimits {
        idle: SHORT,
        ..SmtpLimits::default()
    };
    let pool = pool_of(&sink.url(), 4, limits);
    for round in 1..=2 {
        sends_in_step(&pool, &sink, "a@example.org").await;
        let left = |sink: &SmtpSink| sink.open_connections() == 0;
        sink.wait_until("the idle connection is closed", SOON, left)
            .await;
        assert_eq!((sink.connections(), sink.count("QUIT")), (round, round));
    }
}

#[tokio::test]
async fn the_one_used_last_is_used_next() {
    let sink = SmtpSink::start();
    sink.delay(Stage::Final, Duration::from_millis(50));
    let pool = pool_of(&sink.url(), 3, SmtpLimits::default());
    let (first, second) = tokio::join!(send(&pool, "a@example.org"), send(&pool, "b@example.org"));
    accepted(first);
    accepted(second);
    assert_eq!(sink.connections(), 2);
    for number in 0..4 {
        sends_in_step(&pool, &sink, &format!("user{number}@example.org")).await;
    }
    let messages = sink.messages();
    let last: Vec<usize> = messages[2..].iter().map(|m| m.connection).collect();
    assert!(
        last.iter().all(|connection| *connection == last[0]),
        "{last:?}"
    );
    assert_eq!(sink.connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_connections_than_allowed() {
    let sink = SmtpSink::start();
    sink.on_rcpt(|address| address.starts_with("nobody").then(|| "550 5.1.1 No".into()));
    let limits = SmtpLimits {
        messages_per_connection: 3,
        ..SmtpLimits::default()
    };
    let pool = pool_of(&sink.url(), 4, limits);
    sink.delay(Stage::Final, Duration::from_millis(5));
    let mut sends = JoinSet::new();
    for number in 0..50 {
        let pool = pool.clone();
        sends.spawn(async move {
            let name = if number % 10 == 0 { "nobody" } else { "user" };
            let address = format!("{name}{number}@example.org");
            (send(&pool, &address).await, address)
        });
    }
    let mut refused = 0;
    for (delivery, address) in sends.join_all().await {
        match delivery {
            Delivery::Accepted(reply) => assert!(reply.text.ends_with(&address)),
            other => {
                refused += 1;
                assert_eq!(given_up(other).code, Some(550));
            }
        }
    }
    assert_eq!((refused, sink.messages().len()), (5, 45));
    assert_eq!(sink.peak_connections(), 4);
}

#[tokio::test]
async fn a_stale_connection_is_replaced_without_a_word() {
    // Closed while it was kept.
    let sink = SmtpSink::start();
    let pool = pool(&sink);
    sends_in_step(&pool, &sink, "a@example.org").await;
    sink.close_idle().await;
    sends_in_step(&pool, &sink, "b@example.org").await;
    assert_eq!(sink.connections(), 2);
    // Closed at the very moment of its use, with and without a word.
    sink.close_at(Stage::Mail);
    sends_in_step(&pool, &sink, "c@example.org").await;
    assert_eq!(sink.connections(), 3);
    sink.next_replies(Stage::Mail, ["421 4.4.2 Idle for too long"]);
    sends_in_step(&pool, &sink, "d@example.org").await;
    assert_eq!(sink.connections(), 4);
    // The same at the RSET after a refused message.
    for reply in ["421 4.4.2 Idle for too long", "500 5.5.2 What is RSET?"] {
        sink.next_replies(Stage::Rcpt, ["550 5.1.1 No"]);
        given_up(send(&pool, "e@example.org").await);
        sink.next_replies(Stage::Rset, [reply]);
        sends_in_step(&pool, &sink, "f@example.org").await;
    }
    assert_eq!(sink.connections(), 6);
    // Once only: the new one is not stale, whatever it says.
    sink.close_at(Stage::Mail).close_at(Stage::Mail);
    retry(send(&pool, "g@example.org").await);
    assert_eq!(sink.connections(), 7);
    // Nor is a kept one that fails later on.
    sends_in_step(&pool, &sink, "h@example.org").await;
    sink.close_at(Stage::Rcpt);
    retry(send(&pool, "i@example.org").await);
    assert_eq!(sink.connections(), 8);
}

#[tokio::test]
async fn close_takes_leave_and_ends_the_pool() {
    let sink = SmtpSink::start();
    sink.delay(Stage::Final, SHORT);
    let pool = pool_of(&sink.url(), 3, SmtpLimits::default());
    let (first, second) = tokio::join!(send(&pool, "a@example.org"), send(&pool, "b@example.org"));
    accepted(first);
    accepted(second);
    let running = {
        let pool = pool.clone();
        tokio::spawn(async move { send(&pool, "c@example.org").await })
    };
    let started = |sink: &SmtpSink| sink.count("DATA") == 3;
    sink.wait_until("the third is under way", SOON, started)
        .await;
    pool.close().await;
    assert_eq!(sink.count("QUIT"), 1, "the one that was not in use");
    accepted(running.await.unwrap());
    let left = |sink: &SmtpSink| sink.open_connections() == 0;
    sink.wait_until("all are closed", SOON, left).await;
    assert_eq!(sink.count("QUIT"), 2);
    let failure = retry(send(&pool, "d@example.org").await);
    assert!(failure.reason.contains("shut down"), "{}", failure.reason);
}

#[tokio::test]
async fn close_does_not_wait_for_a_server_that_says_nothing() {
    let sink = SmtpSink::start();
    let pool = pool(&sink);
    sends_in_step(&pool, &sink, "a@example.org").await;
    sink.hang_at(Stage::Quit);
    let start = Instant::now();
    pool.close().await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(sink.count("QUIT"), 1);
}

// --- what servers offer ----------------------------------------------------------------------------

#[tokio::test]
async fn a_mail_that_is_too_large_is_not_uploaded() {
    let sink = SmtpSink::start_with(Options {
        size: Some(40),
        ..Options::default()
    });
    let pool = pool(&sink);
    let failure = given_up(send(&pool, "a@example.org").await);
    assert_eq!(
        failure.reason,
        "the mail has 50 bytes, and the mail server takes at most 40 bytes (SIZE)"
    );
    assert_eq!((failure.about, sink.count("MAIL")), (About::Message, 0));
    let small = b"Subject: x\r\n\r\nHello\r\n";
    accepted(pool.send(&to("a@example.org"), small).await);
    assert_eq!(sink.count("MAIL FROM:<enlist@example.org> SIZE=21"), 1);
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn reports_are_asked_for_without_the_mail_in_them() {
    let sink = SmtpSink::start_with(Options {
        dsn: true,
        ..Options::default()
    });
    let delivery = pool(&sink)
        .send_known(&to("a@example.org"), Some("token"), MESSAGE)
        .await;
    accepted(delivery);
    let mail = "MAIL FROM:<enlist@example.org> RET=HDRS ENVID=token";
    assert_eq!(sink.count(mail), 1, "{:?}", sink.commands());
}

#[tokio::test]
async fn a_server_that_does_not_know_ehlo_is_greeted_in_the_old_way() {
    for reply in ["500 What?", "502 5.5.1 Not implemented", "503", "504 No"] {
        let sink = SmtpSink::start();
        sink.next_replies(Stage::Ehlo, [reply]);
        sends_in_step(&pool(&sink), &sink, "a@example.org").await;
        assert_eq!((sink.count("HELO enlist.test"), sink.connections()), (1, 1));
    }
    // Encryption is not given up for it.
    let sink = with_starttls();
    let root = sink.certificate();
    let strict = trusting(&url(&sink, "", "127.0.0.1", "?tls=required"), &[root]);
    sink.next_replies(Stage::Ehlo, ["502 No"]);
    let failure = retry(send(&strict, "a@example.org").await);
    assert!(
        failure.reason.starts_with("STARTTLS: "),
        "{}",
        failure.reason
    );
}

#[tokio::test]
async fn headers_beyond_ascii_go_where_they_are_understood() {
    let message = "To: <jürgen@example.org>\r\n\r\nHello\r\n".as_bytes();
    let sink = SmtpSink::start();
    let failure = given_up(pool(&sink).send(&to("jürgen@example.org"), message).await);
    assert!(failure.reason.contains("SMTPUTF8"), "{}", failure.reason);
    let sink = SmtpSink::start_with(Options {
        smtputf8: true,
        eight_bit_mime: true,
        ..Options::default()
    });
    accepted(pool(&sink).send(&to("jürgen@example.org"), message).await);
    assert_eq!(sink.messages()[0].data, message);
    let mail = "MAIL FROM:<enlist@example.org> SMTPUTF8 BODY=8BITMIME";
    assert_eq!(sink.count(mail), 1, "{:?}", sink.commands());
}

#[tokio::test]
async fn a_server_that_hangs_up_in_the_middle_of_a_mail_is_heard() {
    let sink = SmtpSink::start();
    sink.next_replies(Stage::Data, ["354 Go on\r\n552 5.3.4 Too much"]);
    let failure = given_up(send(&pool(&sink), "a@example.org").await);
    assert_eq!(failure.enhanced_status.as_deref(), Some("5.3.4"));
}

#[tokio::test]
async fn a_connection_that_has_had_its_messages_is_replaced_without_a_word() {
    let sink = SmtpSink::start();
    let pool = pool(&sink);
    for (stage, reply) in [
        (Stage::Mail, "421 too many messages in this connection"),
        (
            Stage::Rcpt,
            "421 4.7.0 too many messages in this connection",
        ),
        (Stage::Mail, "451 Mails per session limit"),
        (Stage::Final, "421 4.4.2 Bye"),
    ] {
        sends_in_step(&pool, &sink, "a@example.org").await;
        let connections = sink.connections();
        sink.next_replies(stage, [reply]);
        sends_in_step(&pool, &sink, "b@example.org").await;
        assert_eq!(sink.connections(), connections + 1, "{reply}");
    }
}

#[tokio::test]
async fn kept_connections_beyond_what_the_server_takes_are_closed() {
    let sink = SmtpSink::start();
    sink.delay(Stage::Final, SHORT);
    let pool = pool_of(&sink.url(), 3, SmtpLimits::default());
    tokio::join!(
        send(&pool, "a@example.org"),
        send(&pool, "b@example.org"),
        send(&pool, "c@example.org")
    );
    assert_eq!(sink.open_connections(), 3);
    pool.shrink(1);
    let left = |sink: &SmtpSink| sink.open_connections() == 1;
    sink.wait_until("one is left", SOON, left).await;
    assert_eq!(sink.count("QUIT"), 2);
    sends_in_step(&pool, &sink, "d@example.org").await;
    assert_eq!(sink.connections(), 3);
}

// --- TLS -------------------------------------------------------------------------------------------

fn with_starttls() -> SmtpSink {
    SmtpSink::start_with(Options {
        starttls: true,
        ..Options::default()
    })
}

fn certificate() -> CertificateDer<'static> {
    rcgen::generate_simple_self_signed(vec!["other.test".into()])
        .unwrap()
        .cert
        .der()
        .clone()
}

#[tokio::test]
async fn opportunistic_encrypts_when_it_can() {
    let sink = with_starttls();
    let pool_tls = pool(&sink);
    sends_in_step(&pool_tls, &sink, "a@example.org").await;
    sends_in_step(&pool_tls, &sink, "b@example.org").await;
    assert!(sink.messages().iter().all(|message| message.tls));
    assert_eq!(
        (
            sink.connections(),
            sink.count("STARTTLS"),
            sink.count("EHLO")
        ),
        (1, 1, 2)
    );

    let plain = pool_of(
        &url(&sink, "", "127.0.0.1", "?tls=none"),
        1,
        SmtpLimits::default(),
    );
    sends_in_step(&plain, &sink, "c@example.org").await;
    assert!(!sink.messages()[2].tls);
    assert_eq!(sink.count("STARTTLS"), 1);

    let sink = SmtpSink::start();
    sends_in_step(&pool(&sink), &sink, "a@example.org").await;
    assert!(!sink.messages()[0].tls);
}

#[tokio::test]
async fn a_broken_handshake_is_retried_and_not_sent_in_clear() {
    let sink = with_starttls();
    let pool = pool(&sink);
    // Offered and confirmed, but what follows is not TLS.
    sink.next_replies(Stage::StartTls, ["220 2.0.0 Go ahead\r\nnot TLS at all"]);
    let failure = retry(send(&pool, "a@example.org").await);
    assert!(
        failure.reason.starts_with("STARTTLS: "),
        "{}",
        failure.reason
    );
    assert_eq!((sink.count("MAIL"), sink.messages().len()), (0, 0));
}

#[tokio::test]
async fn plaintext_after_the_go_ahead_is_not_read_as_encrypted() {
    let sink = with_starttls();
    // An attacker on the way adds the answer to the EHLO that is to come encrypted.
    let injected = "220 2.0.0 Go ahead\r\n250-evil.test\r\n250 SMTPUTF8";
    sink.next_replies(Stage::StartTls, [injected]);
    let root = sink.certificate();
    let pool = trusting(&url(&sink, "", "127.0.0.1", "?tls=required"), &[root]);
    let failure = retry(send(&pool, "j\u{fc}rgen@example.org").await);
    assert!(
        failure.reason.starts_with("STARTTLS: "),
        "{}",
        failure.reason
    );
    assert_eq!(sink.count("MAIL"), 0);
}

#[tokio::test]
async fn required_means_required() {
    let sink = SmtpSink::start();
    let strict = trusting(
        &url(&sink, "", "127.0.0.1", "?tls=required"),
        &[sink.certificate()],
    );
    let failure = retry(send(&strict, "a@example.org").await);
    assert_eq!(
        failure.reason,
        "STARTTLS: the server does not offer it, and tls=required is set"
    );
    assert_eq!(sink.count("MAIL"), 0);

    let sink = with_starttls();
    let strict = trusting(
        &url(&sink, "", "127.0.0.1", "?tls=required"),
        &[sink.certificate()],
    );
    sends_in_step(&strict, &sink, "a@example.org").await;
    assert!(sink.messages()[0].tls);
    let strict = trusting(
        &url(&sink, "", "localhost", "?tls=required"),
        &[sink.certificate()],
    );
    sends_in_step(&strict, &sink, "a@example.org").await;
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_where_it_is_checked() {
    for implicit_tls in [false, true] {
        for certificate_for in [None, Some("mail.example.org")] {
            let sink = SmtpSink::start_with(Options {
                starttls: !implicit_tls,
                implicit_tls,
                certificate_for,
                ..Options::default()
            });
            // Signed by nobody we know, or by somebody we know for another name.
            let root = match certificate_for {
                None => certificate(),
                Some(_) => sink.certificate(),
            };
            let strict = trusting(&url(&sink, "", "127.0.0.1", "?tls=required"), &[root]);
            let failure = retry(send(&strict, "a@example.org").await);
            assert!(failure.reason.contains("certificate"), "{}", failure.reason);
            assert_eq!(sink.count("MAIL"), 0);
        }
    }
}

/// X.509 before version 3 can say of nobody what he may sign, so no library checks it. Where nothing is checked, it encrypts
/// as well as another one.
#[tokio::test]
async fn an_old_certificate_is_taken_only_where_none_is_checked() {
    let sink = SmtpSink::start_with(Options {
        starttls: true,
        old_certificate: true,
        ..Options::default()
    });
    sends_in_step(&pool(&sink), &sink, "a@example.org").await;
    assert!(sink.messages()[0].tls);
    let strict = url(&sink, "", "localhost", "?tls=required");
    let failure = retry(send(&trusting(&strict, &[certificate()]), "a@example.org").await);
    assert!(failure.remedy.contains("version 3"), "{failure:?}");
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn credentials_for_another_host_make_opportunistic_strict() {
    // On most systems this address reaches this machine, but it is none of the loopback ones.
    let sink = SmtpSink::start_with(Options {
        starttls: true,
        login: Some(("me", "secret")),
        ..Options::default()
    });
    let elsewhere = url(&sink, "me:secret@", "0.0.0.0", "");
    let failure = retry(send(&trusting(&elsewhere, &[certificate()]), "a@example.org").await);
    assert!(failure.reason.contains("certificate"), "{}", failure.reason);
    assert_eq!(sink.count("AUTH"), 0);
}

#[tokio::test]
async fn credentials_are_not_sent_in_clear_to_another_host() {
    let sink = SmtpSink::start_with(Options {
        login: Some(("me", "secret")),
        ..Options::default()
    });
    let elsewhere = url(&sink, "me:secret@", "0.0.0.0", "");
    let failure = retry(send(&trusting(&elsewhere, &[certificate()]), "a@example.org").await);
    assert!(
        failure.reason.contains("not sent in clear"),
        "{}",
        failure.reason
    );
    assert_eq!((sink.connections(), sink.count("AUTH")), (1, 0));
}

#[tokio::test]
async fn smtps_from_the_first_byte() {
    let sink = SmtpSink::start_with(Options {
        implicit_tls: true,
        login: Some(("me", "secret")),
        ..Options::default()
    });
    let pool = trusting(
        &url(&sink, "me:secret@", "localhost", ""),
        &[sink.certificate()],
    );
    for number in 0..3 {
        sends_in_step(&pool, &sink, &format!("user{number}@example.org")).await;
    }
    let messages = sink.messages();
    assert!(
        messages
            .iter()
            .all(|m| m.tls && m.authenticated_as.as_deref() == Some("me"))
    );
    assert_eq!(
        (
            sink.connections(),
            sink.count("STARTTLS"),
            sink.count("AUTH")
        ),
        (1, 0, 1)
    );
    sink.close_idle().await;
    sends_in_step(&pool, &sink, "after@example.org").await;
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn smtps_to_a_server_that_does_not_speak_tls() {
    let sink = SmtpSink::start();
    let address = format!("smtps://127.0.0.1:{}", sink.port());
    let failure = retry(send(&trusting(&address, &[certificate()]), "a@example.org").await);
    assert!(
        failure.reason.starts_with("TLS handshake: "),
        "{}",
        failure.reason
    );
    // And one that says nothing at all.
    let silent = SmtpSink::start();
    silent.hang_at(Stage::Greeting);
    let address = format!("smtps://127.0.0.1:{}", silent.port());
    let pool = SmtpPool::with_roots(
        address.parse().unwrap(),
        1,
        hello(),
        short_limits(),
        &[certificate()],
    );
    let failure = retry(send(&pool.unwrap(), "a@example.org").await);
    assert_eq!(failure.reason, "TLS handshake: no answer within 500ms");
}

#[test]
fn a_root_that_is_no_certificate_is_an_error_at_start() {
    for address in ["smtps://h.example", "smtp://h.example?tls=required"] {
        let rubbish = CertificateDer::from(b"rubbish".to_vec());
        let url: SmtpUrl = address.parse().unwrap();
        let pool = SmtpPool::with_roots(url, 1, hello(), SmtpLimits::default(), &[rubbish]);
        assert!(matches!(pool, Err(SmtpSetupError::Tls(_))), "{address}");
    }
}

// --- AUTH ------------------------------------------------------------------------------------------

#[tokio::test]
async fn auth_plain_and_login_with_and_without_tls() {
    for starttls in [false, true] {
        for only_auth_login in [false, true] {
            let sink = SmtpSink::start_with(Options {
                starttls,
                only_auth_login,
                login: Some(("me@example.org", "p/w:\u{e9}")),
                ..Options::default()
            });
            let address = url(&sink, "me%40example.org:p%2Fw%3A%C3%A9@", "127.0.0.1", "");
            let pool = pool_of(&address, 1, SmtpLimits::default());
            sends_in_step(&pool, &sink, "a@example.org").await;
            sends_in_step(&pool, &sink, "b@example.org").await;
            let message = &sink.messages()[1];
            assert_eq!(message.authenticated_as.as_deref(), Some("me@example.org"));
            assert_eq!((message.tls, message.connection), (starttls, 1));
            let mechanism = if only_auth_login {
                "AUTH LOGIN"
            } else {
                "AUTH PLAIN "
            };
            assert_eq!((sink.count(mechanism), sink.count("AUTH")), (1, 1));
        }
    }
}

#[tokio::test]
async fn bad_credentials_are_retried_and_not_repeated_in_the_reason() {
    let sink = SmtpSink::start_with(Options {
        login: Some(("me", "right")),
        ..Options::default()
    });
    let pool = pool_of(
        &url(&sink, "me:hunter2@", "127.0.0.1", ""),
        1,
        SmtpLimits::default(),
    );
    let failure = retry(send(&pool, "a@example.org").await);
    assert_eq!(failure.code, Some(535));
    assert_eq!(failure.reason, "AUTH: 535 5.7.8 Credentials invalid");
    assert_eq!(failure.enhanced_status.as_deref(), Some("5.7.8"));
    // "\0me\0hunter2" and "hunter2" as they are sent.
    let quoting = "500 5.5.2 What is AUTH PLAIN AG1lAGh1bnRlcjI= or aHVudGVyMg== or hunter2?";
    sink.next_replies(Stage::Auth, [quoting]);
    let failure = retry(send(&pool, "a@example.org").await);
    assert_eq!(
        failure.reason,
        "AUTH: 500 5.5.2 What is AUTH PLAIN *** or *** or ***?"
    );
    // Positive, but not what success looks like (RFC 4954, section 6).
    sink.next_replies(Stage::Auth, ["250 2.0.0 Ok"]);
    let failure = retry(send(&pool, "a@example.org").await);
    assert_eq!(failure.reason, "AUTH: out of step: unexpected reply 250");
    assert_eq!(sink.count("MAIL"), 0);

    // Credentials, but a server that wants none of them.
    let open = SmtpSink::start();
    let pool = pool_of(
        &url(&open, "me:hunter2@", "127.0.0.1", ""),
        1,
        SmtpLimits::default(),
    );
    let failure = retry(send(&pool, "a@example.org").await);
    assert!(failure.reason.starts_with("AUTH: "), "{}", failure.reason);
}

#[tokio::test]
async fn a_server_that_wants_credentials_we_lack_is_not_the_messages_fault() {
    let sink = SmtpSink::start_with(Options {
        login: Some(("me", "secret")),
        ..Options::default()
    });
    let failure = retry(send(&pool(&sink), "a@example.org").await);
    assert_eq!(failure.code, Some(530));
}

// --- many at once ----------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_go_through_kept_connections() {
    let sink = SmtpSink::start();
    let pool = pool_of(&sink.url(), 8, SmtpLimits::default());
    let message: Arc<[u8]> = b"0123456789abcdef0123456789abcdef\r\n".repeat(300).into();
    let mut senders = JoinSet::new();
    for sender in 0..8 {
        let (pool, message) = (pool.clone(), Arc::clone(&message));
        senders.spawn(async move {
            for number in 0..250 {
                let envelope = to(&format!("user{sender}.{number}@example.org"));
                accepted(pool.send(&envelope, &message).await);
            }
        });
    }
    senders.join_all().await;
    let messages = sink.messages();
    assert_eq!(messages.len(), 2000);
    assert!(messages.iter().all(|received| received.data == *message));
    assert!(sink.connections() <= 28 && sink.peak_connections() <= 8);
}
