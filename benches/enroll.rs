//! Redeeming PINs against the same writes by pgbench in the same run, and how long it takes to be refused:
//! `cargo bench --bench enroll`.
//!
//! The ceiling runs the service's own writes, prepared, over as many connections: the try is counted, the user
//! holds one device more, the device and the enrollment are there, the invitation is done with.

mod support;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use enlist::secrets::{keys::KeyRing, pin::Pin};
use support::{Bench, CONNECTIONS, KEYS, Load, Service, request};
use uuid::Uuid;

/// Users with a pending PIN: the first half for the service, the second for pgbench, a part for each of its
/// connections.
const USERS: u64 = 320_000;
/// How often each kind of refusal is timed.
const REFUSALS: u64 = 300;

fn main() {
    let seconds = std::env::var("SECONDS_EACH").map_or(8, |text| text.parse().expect("a number"));
    let bench = Bench::start(seconds);
    bench.sql(&fill());
    let keys = KeyRing::parse(KEYS).expect("a key");
    bench.head();
    let service = Service::start(&bench.url);
    let number = AtomicU64::new(0);
    let ours = service.load(seconds, || {
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number < USERS / 2, "there are not enough users");
        let pin = Pin::derive(keys.signing(), id(number), 0, 8);
        enroll(
            &service,
            "user",
            number,
            &format!(r#""pin": "{}""#, pin.expose()),
        )
    });
    bench.row("redeem a PIN", &ours, bench.pgbench(&redeem()));
    refusals(&bench, &service);
}

/// A user, the user's invitation and batch have one id, which says their number.
fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

/// The same in SQL.
const ID: &str = "('01930000-0000-7000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid";

fn enroll(service: &Service, name: &str, number: u64, proof: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"username": "{name}{number}@example.com", {proof}, "device": {{"serial_number": "SN{number:010}", "platform": "ios", "model": "iPhone 17", "os_version": "26.1"}}}}"#
    );
    request("POST", "/enrollments", &service.key, &body)
}

/// Users who each have one pending invitation with a PIN.
fn fill() -> String {
    let (id_sql, batch) = (ID.replace(":n::bigint", "n"), id(0));
    format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT {id_sql}, 'user' || n || '@example.com', 'user' || n || '@example.com', 'First', 'Last', 'First Last', true, 'local', '{{}}', now(), now()
         FROM generate_series(1, {USERS}) n;
         INSERT INTO batches (id, created_at, created_by, recipient_count, skipped_count)
         VALUES ('{batch}', now(), 'bench', {USERS}, 0);
         INSERT INTO invitations (id, batch_id, user_id, method, state, device_ownership, locale, key_id, counter, pin_length,
            pin_lifetime_days, pin_issued_at, created_at, expires_at, resend_count)
         SELECT {id_sql}, '{batch}', {id_sql}, 'pin', 'pending', 'user_owned', 'en', 'k1', 0, 8, 1, now(), now(), now() + interval '7 days', 0
         FROM generate_series(1, {USERS}) n;
         UPDATE user_activity SET last_invited_at = now(), latest_invitation_id = user_id;
         -- Not those that are still empty: the planner would take them for empty until autovacuum came by.
         VACUUM ANALYZE users, user_activity, batches, invitations;
         CHECKPOINT;"
    )
}

/// The writes of a redemption, each connection through users of its own.
fn redeem() -> String {
    let half = USERS / 2;
    let each = half / CONNECTIONS as u64;
    format!(
        "\\set i :i + 1
\\set n {half} + :client_id * {each} + :i
BEGIN;
INSERT INTO guesses AS g (subject, tries, looked_at, updated_at) VALUES ({ID}, 1, true, now())
ON CONFLICT (subject) DO UPDATE SET tries = g.tries + 1;
UPDATE invitations SET pin_tries = pin_tries + 1 WHERE id = {ID};
UPDATE user_activity SET device_count = device_count + 1 WHERE user_id = {ID};
UPDATE invitations SET state = 'completed', ended_at = now(), pin_tries = 0 WHERE id = {ID};
INSERT INTO devices (id, user_id, serial_number, platform, model, os_version, supervised, user_enrollment, ownership_requested,
    ownership, ownership_reason, enrolled_at, updated_at)
VALUES ({ID}, {ID}, 'SN' || :n::bigint, 'ios', 'iPhone 17', '26.1', false, false, 'user_owned', 'user_owned', 'setting', now(), now());
INSERT INTO enrollments (id, user_id, invitation_id, device_id, method, ownership_requested, ownership, ownership_reason,
    confirmation_email, enrolled_at)
VALUES ({ID}, {ID}, {ID}, {ID}, 'pin', 'user_owned', 'user_owned', 'setting', false, now());
UPDATE guesses SET tries = tries - 1 WHERE subject = {ID};
COMMIT;"
    )
}

/// How long a refusal takes, by what was wrong: one after the other, in turns, so that whatever else the machine
/// does meets all alike.
fn refusals(bench: &Bench, service: &Service) {
    bench.sql("UPDATE users SET password_hash = '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
        WHERE id > '01930000-0000-7000-8000-000000000000' AND username LIKE 'user%9@example.com';");
    let pin = r#""pin": "00000000""#;
    let password = r#""password": "no password""#;
    let both = r#""pin": "00000000", "password": "no password""#;
    let mut kinds = [
        ("wrong PIN", pin, false, Vec::new()),
        ("PIN of nobody", pin, true, Vec::new()),
        ("wrong password", password, false, Vec::new()),
        ("password of nobody", password, true, Vec::new()),
        ("both wrong", both, false, Vec::new()),
        ("both of nobody", both, true, Vec::new()),
    ];
    for round in 0..REFUSALS {
        for (index, (_, proof, nobody, took)) in kinds.iter_mut().enumerate() {
            // Each a name of its own: nobody is locked.
            let number = USERS - (round * 6 + index as u64) * 10 - 1;
            let name = if *nobody { "nobo" } else { "user" };
            let asked = enroll(service, name, number, proof);
            let begun = Instant::now();
            let answer = service.ask(&asked);
            took.push(begun.elapsed());
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        }
    }
    println!("\n| refused, ms | p10 | p50 | p90 |\n|---|---:|---:|---:|");
    for (name, _, _, took) in kinds {
        let load = Load::of(took, Duration::from_secs(1));
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} |",
            load.percentile(0.1),
            load.percentile(0.5),
            load.percentile(0.9)
        );
    }
}
