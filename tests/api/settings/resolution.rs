//! Which setting applies to a user.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{applied, group, path_of, put, setting};
use crate::support::app::TestApp;

#[tokio::test]
async fn the_first_custom_setting_that_holds_the_user_applies() {
    let app = TestApp::start().await;
    let users = app.users(4).await;
    let (alpha, beta) = (
        group(&app, "Alpha", &users[..2]).await,
        group(&app, "Beta", &users[..1]).await,
    );
    let by_group = setting(
        &app,
        "registration",
        json!({"name": "By group", "priority": 10, "pin_length": 6, "distribution": {"group_ids": [beta, alpha]}}),
    )
    .await;
    let by_user = setting(
        &app,
        "registration",
        json!({"name": "By user", "priority": 20, "method": "qr", "distribution": {"user_ids": [users[1], users[2]]}}),
    )
    .await;
    setting(
        &app,
        "registration",
        json!({"name": "Nobody's", "priority": 0, "pin_length": 4}),
    )
    .await;
    let confirmation = setting(
        &app,
        "confirmation",
        json!({"name": "On", "enabled": true, "distribution": {"user_ids": [users[3]], "group_ids": [beta]}}),
    )
    .await;

    let first = applied(&app, &users[0]).await;
    assert_eq!(first["registration"]["pin_length"], 6);
    assert_eq!(
        first["registration"]["source"],
        json!({"id": by_group["id"], "name": "By group", "priority": 10, "reason": "group", "group": {"id": alpha, "name": "Alpha"}})
    );
    assert_eq!(first["confirmation"]["source"]["group"]["name"], "Beta");
    assert_eq!(
        first["reminder"],
        json!({"enabled": false, "start_at": null, "end_at": null, "every_days": 3,
            "source": {"id": "default", "name": "Default", "priority": null, "reason": "default", "group": null}})
    );
    let second = applied(&app, &users[1]).await;
    assert_eq!(
        second["registration"]["source"]["id"], by_group["id"],
        "the lower priority applies first"
    );
    let third = applied(&app, &users[2]).await;
    assert_eq!(third["registration"]["method"], "qr");
    assert_eq!(
        third["registration"]["source"],
        json!({"id": by_user["id"], "name": "By user", "priority": 20, "reason": "user", "group": null})
    );
    let fourth = applied(&app, &users[3]).await;
    assert_eq!(fourth["registration"]["source"]["id"], "default");
    assert_eq!(fourth["confirmation"]["source"]["id"], confirmation["id"]);
    assert_eq!(fourth["confirmation"]["enabled"], true);

    // Named and in a group: named is the reason.
    let mut both = by_group.clone();
    both["distribution"]["user_ids"] = json!([users[0]]);
    put(&app, &path_of("registration", &by_group), &both).await;
    let source = &applied(&app, &users[0]).await["registration"]["source"];
    assert_eq!(
        (&source["reason"], &source["group"]),
        (&json!("user"), &Value::Null)
    );

    // Turned around.
    let mut later = by_group.clone();
    later["priority"] = 30.into();
    put(&app, &path_of("registration", &by_group), &later).await;
    assert_eq!(
        applied(&app, &users[1]).await["registration"]["method"],
        "qr"
    );
    // Among equal ones the older.
    later["priority"] = 20.into();
    put(&app, &path_of("registration", &by_group), &later).await;
    assert_eq!(
        applied(&app, &users[1]).await["registration"]["pin_length"],
        6
    );

    app.get(&format!("/users/{}/settings", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
    app.get("/users/x/settings")
        .await
        .is_problem(404, "not_found");
    let answer = app.get(&format!("/users/{}/settings", users[0])).await;
    let again = app
        .request(
            reqwest::Method::GET,
            &format!("/users/{}/settings", users[0]),
        )
        .header("if-none-match", answer.header("etag"));
    assert_eq!(
        again.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );
}

const USERS: usize = 8;
const GROUPS: usize = 4;

/// A custom setting of the model: priority, groups, users. Its PIN length is its place, from 4 on.
type Model = (u32, Vec<usize>, Vec<usize>);

fn world() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<Model>)> {
    let some = |of: usize| prop::collection::vec(0..of, 0..4);
    (
        prop::collection::vec(some(USERS), GROUPS),
        prop::collection::vec((0..4u32, some(GROUPS), some(USERS)), 0..8),
    )
}

/// The rule as PRODUCT §5 says it.
fn expected(groups: &[Vec<usize>], settings: &[Model], user: usize) -> usize {
    let mut holding: Vec<(u32, usize)> = settings
        .iter()
        .enumerate()
        .filter(|(_, (_, by_group, by_user))| {
            by_user.contains(&user) || by_group.iter().any(|group| groups[*group].contains(&user))
        })
        .map(|(place, (priority, ..))| (*priority, place))
        .collect();
    holding.sort_unstable();
    holding.first().map_or(12, |(_, place)| 4 + place)
}

/// Whatever the settings are, one user's settings, a preview of all and what is sent agree with the rule.
#[tokio::test]
async fn the_resolution_is_the_rule() {
    let app = TestApp::start().await;
    let users = app.users(USERS).await;
    let groups: Vec<String> = {
        let mut ids = Vec::new();
        for number in 0..GROUPS {
            ids.push(group(&app, &format!("G{number}"), &[]).await);
        }
        ids
    };
    put(
        &app,
        "/settings/registration/default",
        &json!({"pin_length": 12}),
    )
    .await;
    let mut runner = TestRunner::new(Config::with_cases(1));
    for _ in 0..12 {
        let (members, settings) = world().new_tree(&mut runner).unwrap().current();
        app.db
            .execute("DELETE FROM group_members; DELETE FROM settings WHERE NOT is_default");
        for (id, members) in groups.iter().zip(&members) {
            let add: std::collections::BTreeSet<&String> =
                members.iter().map(|user| &users[*user]).collect();
            app.post(&format!("/groups/{id}/members"), json!({ "add": add }))
                .await;
        }
        for (place, (priority, by_group, by_user)) in settings.iter().enumerate() {
            let distribution = json!({
                "group_ids": by_group.iter().map(|group| &groups[*group]).collect::<Vec<_>>(),
                "user_ids": by_user.iter().map(|user| &users[*user]).collect::<Vec<_>>(),
            });
            setting(
                &app,
                "registration",
                json!({"name": "S", "priority": priority, "pin_length": 4 + place, "distribution": distribution}),
            )
            .await;
        }
        let sent = app
            .invite(json!({"user_ids": users, "delivery": "none"}))
            .await;
        assert_eq!(sent["accepted_count"], USERS);
        for (number, user) in users.iter().enumerate() {
            let length = expected(&members, &settings, number);
            let told = format!("{number} of {members:?} {settings:?}");
            assert_eq!(
                applied(&app, user).await["registration"]["pin_length"],
                length,
                "{told}"
            );
            let kept = app.db.number(&format!(
                "SELECT pin_length FROM invitations WHERE user_id = '{user}' AND state = 'pending'"
            ));
            assert_eq!(kept, i64::try_from(length).unwrap(), "{told}");
            let version = app.db.number(&format!(
                "SELECT (v.body ->> 'pin_length') FROM invitations i JOIN setting_versions v ON v.id = i.registration_id
                 WHERE i.user_id = '{user}' AND i.state = 'pending'"
            ));
            assert_eq!(version, kept, "{told}");
        }
    }
}
