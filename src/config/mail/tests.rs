use std::io::Write;

use tempfile::NamedTempFile;
use tokio_rustls::rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{ServerName, UnixTime, pem::PemObject},
};

use super::*;

fn args() -> MailArgs {
    MailArgs {
        smtp_url: Some("smtp://127.0.0.1:1025".into()),
        ..MailArgs::default()
    }
}

fn told(args: &MailArgs) -> Result<Mail, String> {
    let mut wrong = ConfigErrors::default();
    args.check("Example Ltd", &mut wrong)
        .ok_or_else(|| wrong.to_string())
}

/// B23 and its kind: fit for the wire, or refused with what to write. Readable, and what is on the wire.
#[test]
fn addresses_of_ours_fit_the_wire_or_are_refused() {
    for (given, readable, wire) in [
        // RFC 5890 §2.3.2.1: A-labels are what mail servers of before know.
        (
            "IT <it@bücher.example>",
            "it@bücher.example",
            "it@xn--bcher-kva.example",
        ),
        (
            "IT <it@xn--bcher-kva.example>",
            "it@bücher.example",
            "it@xn--bcher-kva.example",
        ),
        ("it@faß.example", "it@faß.example", "it@xn--fa-hia.example"),
        (
            "it@例え.テスト",
            "it@例え.テスト",
            "it@xn--r8jz45g.xn--zckzah",
        ),
        (
            "Example IT <it@example.com>",
            "it@example.com",
            "it@example.com",
        ),
        (
            "it+enroll@example.com",
            "it+enroll@example.com",
            "it+enroll@example.com",
        ),
        ("enlist@localhost", "enlist@localhost", "enlist@localhost"),
    ] {
        let reply_to = Some(given.to_owned());
        let mail = told(&MailArgs {
            mail_from: reply_to.clone(),
            mail_reply_to: reply_to,
            ..args()
        });
        let mail = mail.unwrap_or_else(|told| panic!("{given}: {told}"));
        for shown in [&mail.from, mail.reply_to.as_ref().unwrap()] {
            assert_eq!(shown.email.to_string(), readable, "{given}");
        }
        assert_eq!(in_ascii_domain(readable).as_deref(), Some(wire), "{given}");
    }
    for (given, words) in [
        // RFC 6531 §3.3: a local part has no other form.
        (
            "IT <zoë@example.com>",
            "holds `ë` before the @: mail servers without SMTPUTF8",
        ),
        (
            "山田@example.com",
            "nothing but ASCII there, such as it@example.com",
        ),
        ("nobody", "such as: Example IT <it@example.com>"),
        // A Message-ID has no room for these (RFC 5322 §3.6.4).
        ("it@[192.0.2.1]", "such as: Example IT <it@example.com>"),
        ("it@☃.example", "holds `☃` behind the @"),
        (
            "\"it team\"@example.com",
            "such as: Example IT <it@example.com>",
        ),
    ] {
        for (variable, args) in [
            (
                MAIL_FROM,
                MailArgs {
                    mail_from: Some(given.to_owned()),
                    ..args()
                },
            ),
            (
                MAIL_REPLY_TO,
                MailArgs {
                    mail_reply_to: Some(given.to_owned()),
                    ..args()
                },
            ),
        ] {
            let told = told(&args).err().unwrap();
            assert!(
                told.starts_with(variable) && told.contains(words),
                "{given}: {told}"
            );
        }
    }
}

#[test]
fn where_mails_come_back_to_has_room_for_a_token() {
    let bounces = |given: &str| {
        told(&MailArgs {
            mail_bounces: Some(given.to_owned()),
            ..args()
        })
        .map(|mail| mail.bounces.unwrap().to_string())
    };
    for (given, wire) in [
        ("bounces@bücher.example", "bounces@xn--bcher-kva.example"),
        ("bounces@example.com", "bounces@example.com"),
        ("fifteen.letters@example.com", "fifteen.letters@example.com"),
    ] {
        assert_eq!(bounces(given).as_deref(), Ok(wire));
    }
    let long = format!(
        "bounces@{}.example",
        ["x".repeat(63), "y".repeat(63), "z".repeat(63)].join(".")
    );
    for (given, words) in [
        ("zoë@example.com", "holds `ë` before the @"),
        (
            "sixteen-letters1@example.com",
            "at most 15 characters before the @",
        ),
        (&long, "at most 205 characters in A-labels"),
        ("bounces", "has no @"),
    ] {
        let told = bounces(given).unwrap_err();
        assert!(
            told.starts_with(MAIL_BOUNCES) && told.contains(words),
            "{given}: {told}"
        );
    }
}

#[test]
fn the_name_in_ehlo_is_one_that_it_may_be() {
    for (given, said) in [
        // RFC 5321 §4.1.1.1, §4.1.3.
        ("enlist.example.com", "enlist.example.com"),
        ("enlist.example.com.", "enlist.example.com"),
        ("Enlist.Bücher.example", "enlist.xn--bcher-kva.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
        ("[ipv6:::1]", "[IPv6:::1]"),
        ("localhost", "localhost"),
    ] {
        let mail = told(&MailArgs {
            smtp_helo: Some(given.to_owned()),
            ..args()
        });
        let mail = mail.unwrap_or_else(|told| panic!("{given}: {told}"));
        assert_eq!(mail.hello.to_string(), said);
    }
    for given in [
        "",
        "192.0.2.1",
        "2001:db8::1",
        "[2001:db8::1]",
        "[192.0.2]",
        "[enlist.example.com]",
        "my_host.example.com",
        "-x.example.com",
        "two words",
        "a.example\r\nRSET",
        "a..example",
        "https://a.example",
    ] {
        let told = told(&MailArgs {
            smtp_helo: Some(given.to_owned()),
            ..args()
        });
        let told = told.err().unwrap_or_else(|| panic!("{given} is taken"));
        assert!(
            told.starts_with(SMTP_HELO) && told.contains("such as enlist.example.com"),
            "{told}"
        );
    }
    let from = mailbox("it@bücher.example").unwrap();
    for (machine, said) in [
        ("enlist.example.com", "enlist.example.com"),
        ("enlist", "xn--bcher-kva.example"),
        ("localhost.localdomain", "xn--bcher-kva.example"),
        ("my_host.example.com", "xn--bcher-kva.example"),
    ] {
        let name = own_name(ClientId::Domain(machine.to_owned()), &from);
        assert_eq!(name.to_string(), said, "{machine}");
    }
    let nameless = own_name(ClientId::Ipv4([127, 0, 0, 1].into()), &from);
    assert_eq!(nameless.to_string(), "xn--bcher-kva.example");
}

/// Made once with OpenSSL: a certificate that signs itself, without extensions.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBMTCB2QIUF2dMRW3crJvToAkorkzVWBaxy5UwCgYIKoZIzj0EAwIwGzEZMBcG
A1UEAwwQbWFpbC5leGFtcGxlLmNvbTAgFw0yNjExMjgwMTEyMzJaGA8yMTI2MTEw
NDAxMTIzMlowGzEZMBcGA1UEAwwQbWFpbC5leGFtcGxlLmNvbTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABHw3ujR3IuGHzTjzh7IzMxsjebgAox1FyaV2vrKVJFrE
O4Fl1ufcJZPBB+Xj1Uwg8HlQSVufBY2lJS2IRYNrH64wCgYIKoZIzj0EAwIDRwAw
RAIgYT4aV/cUMdIouaLm/pNTaURrisPB0+94WTNpBQM3P7QCICLsftYZyxNrtvpq
upNYnpUC/o47Mpc7VJaCwvqFiFVi
-----END CERTIFICATE-----
";

fn pem(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

#[test]
fn authorities_are_read_at_the_start() {
    let one = || {
        let made = rcgen::generate_simple_self_signed(["mail.example.com".to_owned()]).unwrap();
        made.cert.pem()
    };
    let with = |url: &str, content: &[u8]| {
        let file = pem(content);
        told(&MailArgs {
            smtp_url: Some(url.into()),
            smtp_ca: Some(file.path().to_owned()),
            ..args()
        })
    };
    let checked = "smtp://mail.example.com?tls=required";
    let two = format!("# ours\n{}\n{}", one(), one());
    for url in [
        checked,
        "smtps://mail.example.com",
        "smtp://me:secret@mail.example.com",
        "smtp://127.0.0.1?tls=required",
    ] {
        let mail = with(url, two.as_bytes()).unwrap_or_else(|told| panic!("{url}: {told}"));
        assert_eq!((mail.authorities.len(), mail.warnings.len()), (2, 0));
    }
    // RFC 5280 §4.1.2.1; only an authority is read in this form.
    let old = with(checked, format!("{two}{VERSION_1}").as_bytes()).unwrap();
    assert_eq!(old.authorities.len(), 3);
    assert!(old.warnings[0].starts_with("ENLIST_SMTP_CA: certificate 3 is not X.509 version 3"));

    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = one().replace("-----END CERTIFICATE-----", "");
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (content, words) in [
        (format!("{}{broken}", one()), "certificate 2 cannot be used"),
        (cut, "is not whole PEM"),
        (key, "holds no certificate between"),
        (String::new(), "holds no certificate between"),
    ] {
        let told = with(checked, content.as_bytes()).err().unwrap();
        assert!(
            told.starts_with("ENLIST_SMTP_CA /") && told.contains(words),
            "{told}"
        );
    }
    let missing = told(&MailArgs {
        smtp_ca: Some("/does/not/exist.pem".into()),
        ..args()
    });
    assert!(
        missing
            .err()
            .unwrap()
            .starts_with("ENLIST_SMTP_CA /does/not/exist.pem: No such file")
    );
    // Nobody is to believe that it is checked.
    for url in [
        "smtp://mail.example.com",
        "smtp://mail.example.com?tls=none",
        "smtp://me:secret@localhost",
    ] {
        let told = with(url, two.as_bytes()).err().unwrap();
        assert!(
            told.contains("certificate is not checked; add ?tls=required"),
            "{url}: {told}"
        );
    }
}

/// What `docs/operating.md` says of a server whose own certificate is in ENLIST_SMTP_CA.
#[test]
fn a_certificate_that_signs_itself_is_taken_as_it_is_named() {
    let made = |is_authority: bool| {
        let mut params = rcgen::CertificateParams::new(["mail.example.com".to_owned()]).unwrap();
        if is_authority {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    };
    let old = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    for (certificate, name, refused) in [
        (made(false), "mail.example.com", None),
        (made(false), "192.0.2.1", Some("NotValidForName")),
        (made(true), "mail.example.com", Some("CaUsedAsEndEntity")),
        (old, "mail.example.com", Some("UnsupportedCertVersion")),
    ] {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(
            roots.into(),
            ring::default_provider().into(),
        );
        let name = ServerName::try_from(name).unwrap();
        let told = verifier
            .build()
            .unwrap()
            .verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())
            .map(|_| ())
            .map_err(|error| format!("{error:?}"));
        match refused {
            None => assert_eq!(told, Ok(())),
            Some(word) => assert!(told.as_ref().unwrap_err().contains(word), "{told:?}"),
        }
    }
}
