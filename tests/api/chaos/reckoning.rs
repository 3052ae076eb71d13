//! What there must be at the end of the day.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    sql_types::{Bool, Int4, Text, Uuid as SqlUuid},
};
use mailparse::parse_mail;
use serde_json::Value;
use uuid::Uuid;

use super::{Moods, NOBODY, Town, message_id, number};
use crate::{delivery::parts, model::pin};

/// A result is written within this time of its mail (PRODUCT.md §7): of whoever is killed before, it is sent again.
const WRITTEN_WITHIN: Duration = Duration::from_millis(250);
/// The same on a machine that has much else to do.
const WRITTEN_AT_LAST: Duration = Duration::from_millis(1_500);
/// How long after the database is back the results of the meantime are written.
const WRITTEN_AFTER: Duration = Duration::from_millis(2_500);

#[derive(QueryableByName)]
struct Message {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    invitation_id: Uuid,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Int4)]
    attempts: i32,
    /// The invitation is pending, and its PIN's life has begun.
    #[diesel(sql_type = Bool)]
    lives: bool,
}

/// A copy of a message that a mail server has.
struct Copy {
    instance: usize,
    connected_at: Instant,
    at: Instant,
    answered: bool,
}

/// What each batch says of itself adds up, and is what is true.
pub async fn counts_agree(town: &Town, batches: &[Value]) {
    let client = crate::support::http_client().build().unwrap();
    let (mut accepted, mut failed) = (0, 0);
    for batch in batches {
        let id = batch["batch_id"].as_str().unwrap();
        let path = format!("http://127.0.0.1:{}/batches/{id}", town.instances[0].port);
        let answer = client.get(&path).bearer_auth(&town.key).send().await;
        let shown: Value = answer.unwrap().json().await.unwrap();
        let count = |name: &str| shown["counts"][name].as_u64().unwrap();
        assert_eq!(shown["state"], "done", "{shown}");
        let all = count("accepted") + count("failed") + count("skipped");
        assert_eq!(all, count("recipients"), "{shown}");
        accepted += count("accepted");
        failed += count("failed");
    }
    let undeliverable = town.plan.users / NOBODY;
    assert_eq!(failed, undeliverable as u64);
    assert_eq!(accepted, (town.plan.users - undeliverable) as u64);
}

/// Checks everything, and gives the figures.
pub fn reckon(town: &Town, moods: &Moods) -> String {
    let users = town.plan.users;
    let messages: Vec<Message> = diesel::sql_query(
        "SELECT m.id, m.invitation_id, u.email, m.state, m.attempts,
            i.state = 'pending' AND (i.pin_issued_at IS NOT NULL OR m.state = 'failed') AS lives
         FROM messages m JOIN invitations i ON i.id = m.invitation_id JOIN users u ON u.id = i.user_id",
    )
    .load(&mut PgConnection::establish(&town.url).unwrap())
    .unwrap();
    // Requests were repeated with their keys: nobody was invited twice.
    assert_eq!(messages.len(), users);
    assert_eq!(
        number(&town.url, "SELECT count(*) FROM invitations"),
        Some(users as i64)
    );
    let invited: HashSet<&str> = messages.iter().map(|it| it.email.as_str()).collect();
    assert_eq!(invited.len(), users);

    let by_id: HashMap<String, &Message> =
        messages.iter().map(|it| (it.id.to_string(), it)).collect();
    let mut copies: HashMap<String, Vec<Copy>> = HashMap::new();
    for (index, instance) in town.instances.iter().enumerate() {
        assert!(!instance.said().contains("panicked"), "{}", instance.said());
        for received in instance.sink.messages() {
            let id = message_id(&received);
            let message = by_id[&id];
            assert_eq!(received.rcpt, [message.email.as_str()]);
            let mail = parse_mail(&received.data).unwrap();
            let text = parts(&mail)
                .into_iter()
                .find(|(kind, _)| kind == "text/plain");
            let text = String::from_utf8(text.unwrap().1).unwrap();
            let pin = pin(message.invitation_id, 0);
            assert!(text.contains(&pin), "another PIN in {text}");
            copies.entry(id).or_default().push(Copy {
                instance: index,
                connected_at: received.connected_at,
                at: received.at,
                answered: received.answered,
            });
        }
    }
    for message in &messages {
        let id = message.id.to_string();
        let is_nobody = message.email.starts_with("nobody");
        let (state, has_mail) = (&*message.state, copies.contains_key(&id));
        let expected = if is_nobody {
            ("failed", false)
        } else {
            ("accepted", true)
        };
        assert_eq!((state, has_mail), expected, "{}", message.email);
        assert!(message.lives, "{}", message.email);
        let arrivals = moods.arrivals.get(&id).copied().unwrap_or(0);
        assert!(arrivals <= message.attempts, "{}", message.email);
    }

    let (mut doubles, mut by_silence, mut by_kill, mut late) = (0, 0, 0, 0);
    for copies in copies.values_mut() {
        copies.sort_by_key(|copy| copy.at);
        // Whatever came before the last one was not known to have been taken.
        for copy in &copies[..copies.len() - 1] {
            doubles += 1;
            if !copy.answered {
                by_silence += 1;
            } else if killed_within(town, copy, WRITTEN_WITHIN) {
                by_kill += 1;
            } else if killed_within(town, copy, WRITTEN_AT_LAST) {
                (by_kill, late) = (by_kill + 1, late + 1);
            } else {
                panic!("a mail was sent again though it was known to have been taken");
            }
        }
    }
    let kills: usize = town.instances.iter().map(|it| it.kills.len()).sum();
    let attempts: i32 = messages.iter().map(|it| it.attempts).sum();
    format!(
        "{users} users, {kills} kills, Postgres crashed and was back after {} ms; {attempts} tries, {} answered with 451, {} taken \
         and not told. {} have the mail, {} have no mailbox, {doubles} mails came twice: {by_silence} not told, {by_kill} killed \
         ({late} of them later than 250 ms after the mail).",
        town.away.map_or(0, |(from, to)| (to - from).as_millis()),
        moods.refused,
        moods.silent,
        copies.len(),
        users - copies.len(),
    )
}

/// Whether the sender was killed before it can have written down that this was taken. What was on its way then
/// arrives all the same.
fn killed_within(town: &Town, copy: &Copy, limit: Duration) -> bool {
    let by = copy.at + limit;
    let until = match town.away {
        // Nothing can be written while the database is away.
        Some((from, to)) if by >= from && copy.at <= to + WRITTEN_AFTER => {
            by.max(to + WRITTEN_AFTER)
        }
        _ => by,
    };
    // Who made the connection is the one who was killed next.
    let mut kills = town.instances[copy.instance].kills.iter();
    kills
        .find(|kill| **kill >= copy.connected_at)
        .is_some_and(|kill| *kill <= until)
}
