//! How many invitation mails a user gets in a day, over all ways to send some.

use chrono::Duration;
use enlist::{enrollments::pin_requests::Requested, invitations::plan::MailsADay};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    pin_requests::asked_with,
    support::app::{Answer, Setup, TestApp},
};

const MAILS: &str = "SELECT count(*) FROM messages WHERE kind = 'invitation'";

async fn app_with(most: u32) -> TestApp {
    let mut app = TestApp::start_with(Setup {
        mails_a_day: MailsADay(most.try_into().unwrap()),
        ..Setup::default()
    })
    .await;
    app.leaves_unsent = true;
    app
}

/// Sends; gives the outcome and the reason of the only recipient.
async fn send(app: &TestApp, body: Value) -> (Value, Value, Value) {
    let sent = app.invite(body).await;
    let result = &sent["results"][0];
    (
        result["outcome"].clone(),
        result["reason"].clone(),
        result["invitation_id"].clone(),
    )
}

fn pass(app: &TestApp, seconds: i64) {
    app.clock.advance(Duration::seconds(seconds));
}

/// Twenty by default, and a day later again, whichever way is taken.
#[tokio::test]
async fn a_user_gets_twenty_invitation_mails_a_day() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ada = app.user(json!({"email": "ada@example.com"})).await;
    let bob = app.user(json!({"email": "bob@example.com"})).await;
    let to_ada = json!({"user_ids": [ada]});
    let mut batches = Vec::new();
    for number in 0..10 {
        pass(&app, 60);
        let sent = app.invite(to_ada.clone()).await;
        batches.push(sent["batch_id"].as_str().unwrap().to_owned());
        // However a mail ended, it was one.
        let ended = ["accepted", "failed", "bounced", "suppressed"][number % 4];
        app.db
            .execute(&format!("UPDATE messages SET state = '{ended}'"));
        let id = sent["results"][0]["invitation_id"].as_str().unwrap();
        let again = app
            .post(&format!("/invitations/{id}/resend"), json!({}))
            .await;
        assert_eq!(again.status, 202, "{}", again.text);
        app.db.execute("UPDATE messages SET state = 'failed'");
    }
    assert_eq!(app.db.number(MAILS), 20);
    // What is no invitation mail does not count.
    app.db.execute(
        "INSERT INTO messages (id, kind, invitation_id, state, attempts, due_at, created_at, reminder_on)
         SELECT ('ffff' || right(id::text, 32))::uuid, 'reminder', invitation_id, 'accepted', 1, due_at, created_at,
            '2026-01-01'::date + row_number() OVER ()::integer
         FROM messages",
    );
    pass(&app, 60);

    let preview = app.post("/invitations/preview", to_ada.clone()).await.json;
    assert_eq!(
        preview["summary"]["skipped"],
        json!({"mailed_too_often": 1})
    );
    assert_eq!(preview["recipients"][0]["reason"], "mailed_too_often");
    let (outcome, reason, _) = send(&app, to_ada.clone()).await;
    assert_eq!(
        (outcome, reason),
        (json!("skipped"), json!("mailed_too_often"))
    );
    let latest = app
        .get(&format!("/invitations?user_id={ada}&state=pending"))
        .await
        .json;
    let path = format!(
        "/invitations/{}/resend",
        latest["data"][0]["id"].as_str().unwrap()
    );
    let refused = app.post(&path, json!({})).await;
    refused.is_problem(429, "mailed_too_often");
    // The first of them was made ten minutes ago.
    assert_eq!(refused.header("retry-after"), (86_400 - 600).to_string());
    let batch = format!("/batches/{}/resend", batches.last().unwrap());
    for (path, body) in [("/invitations/resend", to_ada.clone()), (&batch, json!({}))] {
        let many = app.post(path, body).await;
        assert_eq!(
            many.json["results"][0]["reason"], "mailed_too_often",
            "{path}: {}",
            many.text
        );
    }
    assert_eq!(app.db.number(MAILS), 20);

    let (outcome, ..) = send(&app, json!({"user_ids": [bob]})).await;
    assert_eq!(outcome, "created", "it is hers alone");
    let (outcome, ..) = send(&app, json!({"user_ids": [ada], "delivery": "none"})).await;
    assert_eq!(outcome, "created", "nothing is mailed");
    pass(&app, 86_400 - 600 - 1);
    assert_eq!(send(&app, to_ada.clone()).await.0, "skipped");
    pass(&app, 1);
    assert_eq!(send(&app, to_ada).await.0, "created", "as Retry-After said");
}

/// Whoever sends and resends at the same moment takes turns.
#[tokio::test(flavor = "multi_thread")]
async fn at_once_they_are_no_more() {
    let app = app_with(2).await;
    let users = app.users(40).await;
    let sent = app.invite(json!({"user_ids": users})).await;
    app.db.execute("UPDATE messages SET state = 'accepted'");
    // Everybody may get one more, and is to get three.
    let resends = sent["results"].as_array().unwrap().iter().map(|result| {
        let id = result["invitation_id"].as_str().unwrap();
        (format!("/invitations/{id}/resend"), json!({}))
    });
    let all = json!({"user_ids": users});
    let mut requests: Vec<(String, Value)> = resends.collect();
    requests.insert(20, ("/invitations/send".to_owned(), all.clone()));
    requests.insert(10, ("/invitations/resend".to_owned(), all));
    let requests = requests
        .into_iter()
        .map(async |(path, body)| app.post(&path, body).await);
    let answers: Vec<Answer> = join_all(requests).await;
    for answer in answers {
        assert!(answer.status.as_u16() < 500, "{}", answer.text);
    }
    let most = "SELECT max(count) FROM (SELECT count(*) FROM messages m JOIN invitations i ON i.id = m.invitation_id GROUP BY i.user_id) c";
    assert_eq!(app.db.number(most), 2);
}

/// A correction goes through, and whoever sends it is told.
#[tokio::test]
async fn a_second_one_within_a_minute_is_told_in_the_preview() {
    let app = app_with(20).await;
    let ada = app.user(json!({"email": "ada@example.com"})).await;
    let body = json!({"user_ids": [ada]});
    let warned = async || {
        let preview = app.post("/invitations/preview", body.clone()).await.json;
        let warnings = preview["recipients"][0]["warnings"].as_array().unwrap();
        warnings.iter().any(|one| one["code"] == "invited_recently")
    };
    assert!(!warned().await);
    send(&app, body.clone()).await;
    pass(&app, 59);
    assert!(warned().await);
    assert_eq!(send(&app, body.clone()).await.0, "created");
    pass(&app, 60);
    assert!(!warned().await);
}

/// What strangers ask for takes nothing away from whoever sends, and goes no further than the day's limit.
#[tokio::test]
async fn pins_on_request_keep_to_the_limit_and_use_up_none_of_it() {
    let app = app_with(2).await;
    let ada = app.user(json!({"email": "ada@example.com"})).await;
    let to_ada = json!({"user_ids": [ada]});
    let asked = || {
        pass(&app, 3_600);
        asked_with(&app, "ada@example.com", 2)
    };
    let accept = || app.db.execute("UPDATE messages SET state = 'accepted'");
    assert_eq!(send(&app, to_ada.clone()).await.0, "created");
    accept();
    let request = app.anonymous(reqwest::Method::POST, "/enrollments/pin-requests");
    let request = request.json(&json!({"username": "ada@example.com"}));
    assert_eq!(request.send().await.unwrap().status(), 202);
    while app.db.number(MAILS) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    accept();
    assert_eq!(asked(), Requested::TooOften);
    // One was sent, so one may be.
    assert_eq!(send(&app, to_ada.clone()).await.0, "created");
    accept();
    assert_eq!(asked(), Requested::TooOften);
    assert_eq!(send(&app, to_ada.clone()).await.1, "mailed_too_often");
    assert_eq!(app.db.number(MAILS), 3);
    // A day after the first of them.
    pass(&app, 86_400 - 2 * 3_600);
    assert_eq!(send(&app, to_ada).await.0, "created");
}
