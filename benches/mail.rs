//! Delivering invitations against the mail server's own ceiling in the same run: `cargo bench --bench mail`.
//!
//! One instance sends 10,000 queued invitations (`QUEUED`) with 8 connections into Postfix's `smtp-sink`, with
//! as many messages already sent (`HISTORY`). The ceiling is Postfix's `smtp-source` into the same sink: messages of
//! the same size over as many kept connections. Beside it stands what making the mails alone takes of one core.

mod support;

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use enlist::{
    clock::Clock,
    mail::{
        branding::Branding,
        catalogue::Lang,
        letter::{Addressee, Letter, Secrets, Thread, Writer},
    },
    model::{invitation::Method, qr_payload::QrPayload},
    secrets::keys::KeyRing,
};
use support::{Bench, KEYS, Service};

/// As many as the service opens by itself.
const SESSIONS: &str = "8";

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (queued, history) = (number("QUEUED", 10_000), number("HISTORY", 10_000));
    let bench = Bench::start(0);
    bench.sql(&users(queued.max(history)));
    bench.sql(&invitations("pin", "accepted", history));
    println!(
        "{queued} queued, {history} sent before\n\n| what | Enlist /s | ceiling /s | ratio | mail KB | made by one core /s | resident MB |\n\
         |---|---:|---:|---:|---:|---:|---:|"
    );
    for method in [Method::Pin, Method::Qr] {
        bench.sql(&invitations(method.as_str(), "queued", queued));
        bench.sql("VACUUM ANALYZE; CHECKPOINT;");
        let sink = Sink::start();
        let service = Service::start_as(&bench.url, "worker", &format!("smtp://{}", sink.address));
        while bench.number(
            "SELECT count(*) FROM messages WHERE state IN ('queued', 'sending', 'deferred')",
        ) > 0.0
        {
            std::thread::sleep(Duration::from_millis(250));
        }
        let sent = format!(
            "FROM invitations WHERE method = '{}' AND last_sent_at IS NOT NULL",
            method.as_str()
        );
        let ours = bench.number(&format!(
            "SELECT count(*) / extract(epoch FROM max(last_sent_at) - min(last_sent_at)) {sent}"
        ));
        let (size, made) = making(method);
        let ceiling = sink.ceiling(queued, size);
        println!(
            "| {} | {ours:.0} | {ceiling:.0} | {:.2} | {:.1} | {made:.0} | {} |",
            method.as_str(),
            ours / ceiling,
            size as f64 / 1_000.0,
            service.peak()
        );
    }
}

/// A user's, the user's invitation's and message's id say their number.
const ID: &str = "lpad(to_hex(n), 12, '0'))::uuid";

fn users(count: u64) -> String {
    format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT ('01930000-0000-7000-8000-' || {ID}, 'user' || n || '@example.com', 'user' || n || '@example.com', 'First', 'Last', 'First Last',
            true, 'local', '{{}}', now(), now()
         FROM generate_series(1, {count}) n;"
    )
}

/// Invitations of so many users with their messages: queued, or sent and done with.
fn invitations(method: &str, state: &str, count: u64) -> String {
    let id = match (method, state) {
        (_, "accepted") => format!("('01930000-0000-7001-8000-' || {ID}"),
        ("pin", _) => format!("('01930000-0000-7002-8000-' || {ID}"),
        _ => format!("('01930000-0000-7003-8000-' || {ID}"),
    };
    let (batch, invited) = (
        Clock::system().new_id(),
        if state == "queued" {
            "pending"
        } else {
            "superseded"
        },
    );
    format!(
        "UPDATE invitations SET state = 'superseded', ended_at = now() WHERE state = 'pending';
         INSERT INTO batches (id, created_at, created_by, recipient_count, skipped_count) VALUES ('{batch}', now(), 'bench', {count}, 0);
         INSERT INTO invitations (id, batch_id, user_id, method, state, device_ownership, locale, key_id, counter, pin_length,
            pin_lifetime_days, created_at, expires_at, ended_at, resend_count)
         SELECT {id}, '{batch}', ('01930000-0000-7000-8000-' || {ID}, '{method}', '{invited}', 'user_owned', 'en', 'k1', 0, 8, 1, now(),
            now() + interval '7 days', CASE WHEN '{invited}' <> 'pending' THEN now() END, 0
         FROM generate_series(1, {count}) n;
         INSERT INTO messages (id, kind, invitation_id, batch_id, state, attempts, due_at, created_at)
         SELECT {id}, 'invitation', {id}, '{batch}', '{state}', 0, now(), now() FROM generate_series(1, {count}) n;"
    )
}

/// How large a mail is in bytes, and how many of them one core makes in a second.
fn making(method: Method) -> (usize, f64) {
    let keys = KeyRing::parse(KEYS).expect("a key");
    let branding = Branding {
        org_name: "Bench".to_owned(),
        support: Some("help@example.com".to_owned()),
        logo: None,
    };
    let from = "Bench <bench@example.com>".parse().expect("a mailbox");
    let writer =
        Writer::new(branding, from, None, "http://localhost:8080".to_owned()).expect("templates");
    let to = Addressee {
        display_name: "First Last".to_owned(),
        username: "user1@example.com".to_owned(),
        email: "user1@example.com".to_owned(),
        time_zone: None,
        lang: Lang::negotiate(Some("en")),
    };
    let clock = Clock::system();
    let (begun, now) = (Instant::now(), clock.now());
    let (mut bytes, mut count) = (0, 0);
    while begun.elapsed() < Duration::from_secs(2) {
        let secrets = Secrets::derive(keys.signing(), clock.new_id(), 0, 8);
        let rendered = writer
            .invitation(&Letter {
                to: &to,
                method,
                secrets: &secrets,
                until: now,
                note: None,
                payload: &QrPayload::EnrollmentUrl,
            })
            .expect("a mail");
        bytes = writer
            .seal(&to, clock.new_id(), Thread::default(), now, &rendered)
            .expect("a mail")
            .formatted()
            .len();
        count += 1;
    }
    (bytes, f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Postfix's `smtp-sink`, killed at the end.
struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sink {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a port");
        let mut sink = postfix("smtp-sink");
        // It will not run as root.
        if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
            sink.args(["-u", "nobody"]);
        }
        let child = sink
            .args([&address.to_string(), "1024"])
            .stdout(Stdio::null())
            .spawn()
            .expect("Postfix's smtp-sink; on Debian it comes with `postfix`");
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address }
    }

    /// Messages a second of this size that `smtp-source` brings in.
    fn ceiling(&self, count: u64, size: usize) -> f64 {
        let begun = Instant::now();
        let done = postfix("smtp-source")
            // Connections are kept.
            .args([
                "-d",
                "-s",
                SESSIONS,
                "-m",
                &count.to_string(),
                "-l",
                &size.to_string(),
            ])
            .args([
                "-f",
                "bench@example.com",
                "-t",
                "user1@example.com",
                &self.address.to_string(),
            ])
            .status()
            .expect("Postfix's smtp-source");
        assert!(done.success());
        count as f64 / begun.elapsed().as_secs_f64()
    }
}

/// A program of Postfix, which only root has on its path.
fn postfix(name: &str) -> Command {
    let path = format!("/usr/sbin/{name}");
    Command::new(if Path::new(&path).exists() {
        path
    } else {
        name.to_owned()
    })
}
