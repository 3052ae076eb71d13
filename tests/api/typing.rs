//! What people, devices and directories really write: names, PINs and serial numbers in other forms. The inputs in
//! `tests/cases/` are those of public reports.

use serde_json::{Value, json};

use crate::{
    enrollments::{enroll, guest, invite},
    support::app::TestApp,
};

fn case(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A PIN with each digit in another script.
fn in_script(pin: &str, zero: char) -> String {
    pin.chars()
        .map(|c| char::from_u32(u32::from(zero) + c.to_digit(10).unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn a_pin_in_the_digits_of_any_script_enrolls() {
    let app = TestApp::start().await;
    for (index, zero) in ['٠', '۰', '०', '０', '๐'].into_iter().enumerate() {
        let name = format!("reader{index}");
        let guest = guest(&app, &name, json!({})).await;
        let mut body = case(include_str!("../cases/B16.json"));
        body["username"] = format!("{name}@example.com").into();
        body["pin"] = in_script(&guest.pin, zero).into();
        body["device"]["device_id"] = format!("digits-{index}").into();
        let answer = enroll(&app, body).await;
        assert_eq!(answer.status, 201, "{zero}: {}", answer.text);
    }
}

/// What can be no PIN is no try: it is refused alike for names that are known and for those that are not.
#[tokio::test]
async fn what_can_be_no_pin_is_no_try() {
    let app = TestApp::start().await;
    let guest = guest(&app, "typist", json!({})).await;
    for pin in ["123", "1234567890123", "my pin", "4821,7730", "....", ""] {
        let mut answers = Vec::new();
        for name in ["typist@example.com", "nobody@example.com"] {
            let body = json!({"username": name, "pin": pin, "device": {"device_id": "t-1"}});
            let answer = enroll(&app, body).await;
            assert_eq!(answer.status, 422, "{pin}: {}", answer.text);
            assert_eq!(answer.json["errors"][0]["code"], "invalid_pin");
            answers.push(answer.json["errors"].clone());
        }
        assert_eq!(answers[0], answers[1]);
    }
    let typed = format!(" {}-{}\u{200B}. ", &guest.pin[..4], &guest.pin[4..]);
    let body =
        json!({"username": "typist@example.com", "pin": typed, "device": {"device_id": "t-1"}});
    let answer = enroll(&app, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn a_placeholder_is_no_serial_number() {
    let app = TestApp::start().await;
    let first = guest(&app, "first", json!({})).await;
    let second = guest(&app, "second", json!({})).await;
    let filled = |text: &str, name: &str, pin: &str| {
        let mut body = case(text);
        body["username"] = format!("{name}@example.com").into();
        body["pin"] = pin.into();
        body
    };
    let one = filled(include_str!("../cases/B18-1.json"), "first", &first.pin);
    let other = filled(
        include_str!("../cases/B18-2-other-user.json"),
        "second",
        &second.pin,
    );
    let mut devices = Vec::new();
    for body in [one, other] {
        let answer = enroll(&app, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.json["device"]["serial_number"], Value::Null);
        devices.push(answer.json["device"]["id"].clone());
    }
    let next = invite(&app, &first.user, json!({})).await;
    let third = filled(
        include_str!("../cases/B18-3-second-phone.json"),
        "first",
        &next.pin,
    );
    let answer = enroll(&app, third).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    devices.push(answer.json["device"]["id"].clone());
    devices.dedup();
    assert_eq!(devices.len(), 3);

    let next = invite(&app, &second.user, json!({})).await;
    let body = json!({"username": "second@example.com", "pin": next.pin,
        "device": {"serial_number": "To Be Filled By O.E.M.", "device_id": "0"}});
    let answer = enroll(&app, body).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(answer.json["errors"][0]["code"], "unidentified");
}

#[tokio::test]
async fn one_domain_is_one_however_it_is_written() {
    let app = TestApp::start().await;
    let one = app
        .post("/users", case(include_str!("../cases/B20-1.json")))
        .await;
    assert_eq!(one.status, 201, "{}", one.text);
    let other = app
        .post("/users", case(include_str!("../cases/B20-2.json")))
        .await;
    assert_eq!(other.status, 409, "{}", other.text);
    let id = one.json["id"].as_str().unwrap();
    let invited = invite(&app, id, json!({})).await;
    let body = json!({"username": "ONE@XN--BCHER-KVA.example", "pin": invited.pin, "device": {"device_id": "b"}});
    let answer = enroll(&app, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn what_nobody_sees_makes_no_second_user() {
    let app = TestApp::start().await;
    let answer = app
        .post("/users", case(include_str!("../cases/B15-username.json")))
        .await;
    assert_eq!(answer.status, 201, "taken without it: {}", answer.text);
    assert_eq!(answer.json["username"], "hidden.two");
    let again = app.post("/users", json!({"username": "hidden.two"})).await;
    assert_eq!(again.status, 409, "{}", again.text);
    let inside = app
        .post("/users", json!({"username": "hidden\u{200B}two"}))
        .await;
    assert_eq!(inside.status, 422, "{}", inside.text);
    assert!(inside.text.contains("U+200B"), "{}", inside.text);
}
