//! One thing after another: the service is always where the model is.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    sql_types::{Array, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use enlist::{
    model::invitation::MessageState,
    outbox::queries::{self, Settled},
};
use proptest::{prelude::*, test_runner::TestRunner};
use reqwest::Method;
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    Mood, Op, Shown, USERS, WATCH, check_invariants, config, op, pin,
    reference::{Held, Model},
};
use crate::support::{app::TestApp, smtp::Ending};

#[test]
fn whatever_is_done_the_service_is_where_the_model_is() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let fresh = || (Instant::now(), runtime.block_on(started()));
    let app = RefCell::new(fresh());
    let case = Cell::new(0);
    let ops = proptest::collection::vec(op(), 1..40);
    let done = TestRunner::new(config(32)).run(&ops, |ops| {
        // Each minute the service marks by itself what has expired; the model wants to say when.
        if app.borrow().0.elapsed() > Duration::from_secs(40) {
            app.replace(fresh());
        }
        case.set(case.get() + 1);
        runtime.block_on(play(&app.borrow().1, case.get(), ops))
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

async fn started() -> TestApp {
    let mut app = TestApp::start().await;
    app.db.execute(WATCH);
    app.leaves_unsent = true;
    app
}

/// How the mail server takes each user's mails now.
type Moods = Arc<Mutex<[Mood; USERS]>>;

fn name(case: u32, user: usize) -> String {
    format!("c{case}u{user}@example.com")
}

/// Makes the mail server do as it is told for each of the case's users.
fn obey(app: &TestApp, moods: &Moods) {
    let of = |moods: &Moods, address: &str| {
        let user = address.split('@').next()?.split('u').nth(1)?;
        Some(moods.lock().unwrap()[user.parse::<usize>().ok()?])
    };
    let early = Arc::clone(moods);
    app.sink.on_rcpt(move |address| match of(&early, address)? {
        Mood::Later => Some("451 4.3.0 Later".into()),
        Mood::Never => Some("550 5.1.1 Never".into()),
        _ => None,
    });
    let late = Arc::clone(moods);
    app.sink
        .on_final(move |received| match of(&late, &received.rcpt[0])? {
            Mood::KeepsSilent => Some(Ending::Drop { keep: true }),
            Mood::Loses => Some(Ending::Drop { keep: false }),
            _ => None,
        });
}

async fn play(app: &TestApp, case: u32, ops: Vec<Op>) -> Result<(), TestCaseError> {
    // What an earlier case has left is nobody's business.
    app.db.execute(
        "UPDATE messages SET state = 'failed' WHERE state IN ('queued', 'sending', 'deferred');
         UPDATE invitations SET state = 'expired', ended_at = created_at WHERE state = 'pending';
         TRUNCATE seen",
    );
    let moods: Moods = Arc::new(Mutex::new([Mood::Takes; USERS]));
    obey(app, &moods);
    let mut ids = Vec::new();
    for user in 0..USERS {
        let id = app.user(json!({"email": name(case, user)})).await;
        ids.push(id.parse::<Uuid>().unwrap());
    }
    let mut player = Player {
        app,
        case,
        ids,
        moods,
        model: Model::new(app.clock.now()),
        held: Vec::new(),
        connection: app.db.connect(),
    };
    for (step, op) in ops.into_iter().enumerate() {
        let told = format!("step {step}: {op:?}");
        player.step(op, &told).await?;
        player.compare(&told)?;
        check_invariants(&mut player.connection)?;
    }
    player.ask().await
}

struct Player<'a> {
    app: &'a TestApp,
    case: u32,
    ids: Vec<Uuid>,
    moods: Moods,
    model: Model,
    held: Vec<Held>,
    connection: PgConnection,
}

impl Player<'_> {
    async fn post(&self, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        let answer = self.app.post(path, body).await;
        (answer.status.as_u16(), answer.json)
    }

    async fn step(&mut self, op: Op, told: &str) -> Result<(), TestCaseError> {
        match op {
            Op::Send { mut to, mailed } => {
                to.sort_unstable();
                to.dedup();
                to.retain(|user| !self.model.users[*user].deleted);
                if to.is_empty() {
                    return Ok(());
                }
                let ids: Vec<Uuid> = to.iter().map(|user| self.ids[*user]).collect();
                let delivery = if mailed { "email" } else { "none" };
                let body = json!({"user_ids": ids, "delivery": delivery});
                let (status, sent) = self.post("/invitations/send", body).await;
                prop_assert_eq!(status, 202, "{} {}", told, sent);
                let batch = sent["batch_id"].as_str().unwrap().parse().unwrap();
                let results = sent["results"].as_array().unwrap();
                let ids = &self.ids;
                self.model.send(&to, mailed, batch, |user| {
                    let of = |result: &&serde_json::Value| {
                        result["user_id"] == json!(ids[user]) && result["outcome"] == "created"
                    };
                    let id = &results.iter().find(of)?["invitation_id"];
                    id.as_str()?.parse().ok()
                });
            }
            Op::Resend { which, new_pin } => {
                let Some((which, id)) = self.invitation(which) else {
                    return Ok(());
                };
                let body = json!({"new_pin": new_pin});
                let (status, json) = self.post(&format!("/invitations/{id}/resend"), body).await;
                prop_assert_eq!(
                    status,
                    self.model.resend(which, new_pin),
                    "{} {}",
                    told,
                    json
                );
            }
            Op::Revoke { which } => {
                let Some((which, id)) = self.invitation(which) else {
                    return Ok(());
                };
                let path = format!("/invitations/{id}/revoke");
                let (status, json) = self.post(&path, json!({})).await;
                prop_assert_eq!(status, self.model.revoke(which), "{} {}", told, json);
            }
            Op::Cancel { which } => {
                let count = self.model.batches.len();
                if count == 0 {
                    return Ok(());
                }
                let which = count - 1 - which % count;
                let path = format!("/batches/{}/cancel", self.model.batches[which].id);
                let (status, json) = self.post(&path, json!({})).await;
                prop_assert_eq!(status, self.model.cancel(which), "{} {}", told, json);
            }
            Op::Enroll { user, device } => {
                let newest = self.model.newest(user);
                let pin = newest.map_or_else(
                    || "12345678".to_owned(),
                    |newest| pin(newest.id, newest.counter),
                );
                let serial = format!("C{}U{user}D{device}", self.case);
                let body = json!({"username": name(self.case, user), "pin": pin,
                    "device": {"serial_number": serial, "platform": "ios"}});
                let (status, json) = self.post("/enrollments", body).await;
                let expected = self.model.enroll(user, device);
                prop_assert!(
                    expected.contains(&status),
                    "{told}: {status} {json}, not {expected:?}"
                );
            }
            Op::Deliver { moods } => {
                *self.moods.lock().unwrap() = moods;
                let tried = self.app.worker.deliver_due().await.unwrap();
                prop_assert_eq!(tried, self.model.deliver(&moods), "{}", told);
            }
            Op::Claim => {
                let now = self.app.clock.now();
                let lease = now + chrono::Duration::seconds(45);
                let known = &self.app.worker.registrations;
                let claimed = queries::claim(&mut self.connection, 100, now, lease, known).unwrap();
                let held = self.model.claim();
                let mut told: Vec<_> = held.iter().map(|held| (held.id, held.attempts)).collect();
                let mut got: Vec<_> = claimed.iter().map(|it| (it.id, it.attempts)).collect();
                told.sort_unstable();
                got.sort_unstable();
                prop_assert_eq!(got, told);
                self.held.extend(held);
            }
            Op::SettleLate => {
                let now = self.app.clock.now();
                let held = std::mem::take(&mut self.held);
                let results: Vec<Settled> = held.iter().map(|held| accepted(held, now)).collect();
                queries::settle(&mut self.connection, &results, now).unwrap();
                self.model.settle_late(&held);
            }
            Op::GiveBack => {
                let held = std::mem::take(&mut self.held);
                let pairs: Vec<_> = held.iter().map(|held| (held.id, held.attempts)).collect();
                let now = self.app.clock.now();
                queries::give_back(&mut self.connection, &pairs, now).unwrap();
                self.model.give_back(&held);
            }
            Op::Wait(time) => {
                self.app.clock.advance(time);
                self.model.now = self.app.clock.now();
            }
            Op::Sweep => {
                enlist::retention::sweep(&self.app.worker.db, &self.app.clock)
                    .await
                    .unwrap();
                self.model.sweep();
            }
            Op::Enable { user, enabled } => {
                let (method, path) = (Method::PATCH, format!("/users/{}", self.ids[user]));
                let answer = self
                    .app
                    .send(method, &path, json!({"enabled": enabled}))
                    .await;
                let expected = self.model.enable(user, enabled);
                prop_assert_eq!(answer.status.as_u16(), expected, "{} {}", told, answer.text);
            }
            Op::Delete { user } => {
                let (method, path) = (Method::DELETE, format!("/users/{}", self.ids[user]));
                let answer = self.app.request(method, &path).send().await.unwrap();
                let expected = self.model.delete(user);
                prop_assert_eq!(answer.status().as_u16(), expected, "{}", told);
            }
        }
        Ok(())
    }

    /// One of the invitations, the newest ones first.
    fn invitation(&self, which: usize) -> Option<(usize, Uuid)> {
        let count = self.model.invitations.len();
        let which = (count.checked_sub(1)?) - which % count;
        Some((which, self.model.invitations[which].id))
    }

    /// What is stored is what the model says.
    fn compare(&mut self, told: &str) -> Result<(), TestCaseError> {
        let ids: Vec<Uuid> = self.model.invitations.iter().map(|it| it.id).collect();
        let invitations: Vec<InvitationRow> = diesel::sql_query(
            "SELECT id, state, counter, resend_count, pin_issued_at FROM invitations WHERE id = ANY ($1) ORDER BY id",
        )
        .bind::<Array<SqlUuid>, _>(&ids)
        .load(&mut self.connection)
        .unwrap();
        let messages: Vec<MessageRow> = diesel::sql_query(
            "SELECT id, invitation_id, state, attempts, due_at FROM messages WHERE invitation_id = ANY ($1) ORDER BY id",
        )
        .bind::<Array<SqlUuid>, _>(&ids)
        .load(&mut self.connection)
        .unwrap();
        let shown: Vec<Shown> = invitations
            .into_iter()
            .map(|row| {
                let of = || {
                    messages
                        .iter()
                        .filter(|message| message.invitation_id == row.id)
                };
                let ids: Vec<Uuid> = of().map(|message| message.id).collect();
                self.model.learn(row.id, &ids);
                Shown {
                    invitation: row.id,
                    state: row.state,
                    counter: row.counter,
                    resend_count: row.resend_count,
                    pin_issued_at: row.pin_issued_at,
                    messages: of()
                        .map(|message| {
                            let open = ["queued", "sending", "deferred"];
                            let is_open = open.contains(&&*message.state);
                            let due = is_open.then_some(message.due_at);
                            (message.state.clone(), message.attempts, due)
                        })
                        .collect(),
                }
            })
            .collect();
        prop_assert_eq!(shown, self.model.shown(), "{}", told);
        Ok(())
    }

    /// What is told is what the model says, too.
    async fn ask(&self) -> Result<(), TestCaseError> {
        for invitation in &self.model.invitations {
            let answer = self
                .app
                .get(&format!("/invitations/{}", invitation.id))
                .await;
            let state = invitation.state(self.model.now);
            prop_assert_eq!(&answer.json["state"], state, "{}", answer.text);
        }
        for batch in &self.model.batches {
            let answer = self.app.get(&format!("/batches/{}", batch.id)).await;
            let counts = &answer.json["counts"];
            let told = ["queued", "accepted", "deferred", "failed", "suppressed"]
                .map(|state| counts[state].as_u64().unwrap() as usize);
            prop_assert_eq!(told, self.model.counts(batch), "{}", answer.text);
            prop_assert_eq!(&counts["skipped"], batch.skipped, "{}", answer.text);
        }
        Ok(())
    }
}

fn accepted(held: &Held, now: DateTime<Utc>) -> Settled {
    Settled {
        is_refusal: true,
        id: held.id,
        attempts: held.attempts,
        state: MessageState::Accepted,
        due_at: now,
        smtp_code: Some(250),
        enhanced_status: None,
        reason: None,
        handed_over_at: Some(now),
        counter: Some(held.counter),
    }
}

#[derive(QueryableByName)]
struct InvitationRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Int4)]
    counter: i32,
    #[diesel(sql_type = Int4)]
    resend_count: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pin_issued_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct MessageRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    invitation_id: Uuid,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Int4)]
    attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    due_at: DateTime<Utc>,
}
