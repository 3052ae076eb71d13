use serde_json::Value as Json;

use super::*;
use crate::{mail::qr, model::wire};

const CHECKSUM: &str = "gJD2YwtOiWJHkSMkkIfLRlj-quNqG1fb6v100QmzM9w";
const TOKEN_TEXT: &str = "AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";
const LINK: &str =
    "https://enroll.example.com/enroll/AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";

fn parse(body: Json) -> Result<QrPayload, Vec<(String, &'static str)>> {
    wire::parse(body).map_err(|faults| {
        let mut places: Vec<_> = faults
            .into_iter()
            .map(|fault| (fault.pointer, fault.code))
            .collect();
        places.sort_unstable();
        places
    })
}

fn dpc() -> Json {
    json!({
        "kind": "android_dpc",
        "component_name": "com.example.dpc/.AdminReceiver",
        "download_location": "https://dl.example.com/dpc.apk?v=3",
        "signature_checksum": CHECKSUM,
    })
}

fn with(mut body: Json, name: &str, value: impl Into<Json>) -> Json {
    body[name] = value.into();
    body
}

fn says(body: Json) -> Json {
    let payload = parse(body).unwrap();
    serde_json::from_str(&payload.says(TOKEN_TEXT, LINK)).unwrap()
}

#[test]
fn a_link_is_the_default() {
    assert_eq!(QrPayload::default(), QrPayload::EnrollmentUrl);
    let parsed = parse(json!({"kind": "enrollment_url"})).unwrap();
    assert_eq!(parsed, QrPayload::EnrollmentUrl);
    assert_eq!(parsed.says(TOKEN_TEXT, LINK), LINK);
}

#[test]
fn android_reads_googles_names() {
    assert_eq!(
        says(dpc()),
        json!({
            "android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME": "com.example.dpc/.AdminReceiver",
            "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": "https://dl.example.com/dpc.apk?v=3",
            "android.app.extra.PROVISIONING_DEVICE_ADMIN_SIGNATURE_CHECKSUM": CHECKSUM,
            "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE": {"enrollment_token": TOKEN_TEXT},
        })
    );
    let mut full = with(
        dpc(),
        "extras",
        json!({"server": "https://mdm.example.com", "login": "t:{token}"}),
    );
    full["leave_all_system_apps_enabled"] = true.into();
    full["skip_encryption"] = false.into();
    full["package_checksum"] = full["signature_checksum"].take();
    full.as_object_mut().unwrap().remove("signature_checksum");
    assert_eq!(
        says(full),
        json!({
            "android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME": "com.example.dpc/.AdminReceiver",
            "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": "https://dl.example.com/dpc.apk?v=3",
            "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_CHECKSUM": CHECKSUM,
            "android.app.extra.PROVISIONING_LEAVE_ALL_SYSTEM_APPS_ENABLED": true,
            "android.app.extra.PROVISIONING_SKIP_ENCRYPTION": false,
            "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE": {
                "enrollment_token": TOKEN_TEXT, "server": "https://mdm.example.com", "login": format!("t:{TOKEN_TEXT}"),
            },
        })
    );
}

#[test]
fn the_management_api_gets_the_administrators_token_and_a_preview_does_not() {
    let body = json!({"kind": "android_amapi", "enrollment_token": "UWKCXOKTMRSHCXRZXCBG"});
    let bundle = |told: &Json| {
        told["android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE"]
            ["com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN"]
            .clone()
    };
    let told = says(body.clone());
    assert_eq!(bundle(&told), "UWKCXOKTMRSHCXRZXCBG");
    assert_eq!(
        told["android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME"],
        "com.google.android.apps.work.clouddpc/.receivers.CloudDeviceAdminReceiver"
    );
    assert_eq!(told.as_object().unwrap().len(), 4);
    // Google's own values pass the checks that an administrator's have to pass.
    assert!(ComponentName::parse(AMAPI_COMPONENT).is_ok());
    assert!(DownloadLocation::parse(AMAPI_DOWNLOAD).is_ok());
    assert!(Checksum::parse(AMAPI_CHECKSUM).is_ok());
    let payload = parse(body).unwrap();
    let sample: Json = serde_json::from_str(&payload.says(token::SAMPLE, LINK)).unwrap();
    assert_eq!(bundle(&sample), token::SAMPLE);
    assert!(!format!("{payload:?}").contains("UWKC"));
}

#[test]
fn a_profile_may_take_the_token() {
    let apple = |url: &str| parse(json!({"kind": "apple_url", "url": url}));
    let payload = apple("https://mdm.example.com/profile?t={token}&x={token}").unwrap();
    assert_eq!(
        payload.says("abc", LINK),
        "https://mdm.example.com/profile?t=abc&x=abc"
    );
    for wrong in [
        "http://mdm.example.com/p",
        "mdm.example.com/p",
        "https://",
        "https://a:b@mdm.example.com/",
        "",
        "https://{token}.example.com/",
        "https://mdm.example.com/{user}",
        "https://mdm.example.com/{token",
        "https://mdm.example.com/a b",
        "https://mdm.example.com/\"",
        "javascript:alert(1)",
    ] {
        assert_eq!(
            apple(wrong).unwrap_err(),
            [("/url".to_owned(), "invalid_url")],
            "{wrong}"
        );
    }
}

#[test]
fn every_fault_is_named() {
    let places = |list: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
        list.iter()
            .map(|(place, code)| ((*place).to_owned(), *code))
            .collect()
    };
    for (body, expected) in [
        (json!({}), &[("/kind", "required")][..]),
        (json!({"kind": "png"}), &[("/kind", "unknown_value")]),
        (json!({"kind": 1}), &[("/kind", "wrong_type")]),
        (json!("enrollment_url"), &[("", "wrong_type")]),
        (
            json!({"kind": "enrollment_url", "url": "x"}),
            &[("/url", "unknown_field")],
        ),
        (
            json!({"kind": "android_dpc"}),
            &[
                ("/component_name", "required"),
                ("/download_location", "required"),
            ],
        ),
        (
            json!({
                "kind": "android_dpc", "component_name": "AdminReceiver", "download_location": "http://x.example/a.apk",
                "signature_checksum": "abc", "skip_encryption": "yes", "colour": 1,
            }),
            &[
                ("/colour", "unknown_field"),
                ("/component_name", "invalid_component_name"),
                ("/download_location", "invalid_url"),
                ("/signature_checksum", "invalid_checksum"),
                ("/skip_encryption", "wrong_type"),
            ],
        ),
        (
            with(dpc(), "signature_checksum", Json::Null),
            &[("/signature_checksum", "required")],
        ),
        (
            with(dpc(), "package_checksum", CHECKSUM),
            &[("/package_checksum", "one_of_two")],
        ),
        (
            with(
                dpc(),
                "extras",
                json!({"a b": "x", "enrollment_token": "x", "fine": "x"}),
            ),
            &[
                ("/extras/a b", "invalid_name"),
                ("/extras/enrollment_token", "reserved"),
            ],
        ),
        (
            with(dpc(), "extras", json!({"a": 1, "b": "x\ny"})),
            &[
                ("/extras/a", "wrong_type"),
                ("/extras/b", "control_character"),
            ],
        ),
        (
            json!({"kind": "android_amapi", "enrollment_token": "a b"}),
            &[("/enrollment_token", "invalid_token")],
        ),
        (
            json!({"kind": "android_amapi", "enrollment_token": " "}),
            &[("/enrollment_token", "empty")],
        ),
        (json!({"kind": "apple_url"}), &[("/url", "required")]),
    ] {
        assert_eq!(parse(body.clone()).unwrap_err(), places(expected), "{body}");
    }
    let many: serde_json::Map<String, Json> =
        (0..21).map(|n| (format!("k{n}"), "x".into())).collect();
    assert_eq!(
        parse(with(dpc(), "extras", many)).unwrap_err(),
        places(&[("/extras", "too_many")])
    );
}

#[test]
fn component_names_are_told_from_others() {
    for right in [
        "com.example/.A",
        "com.example.dpc/com.example.dpc.Admin$Receiver",
        "a.b_c1/._X",
    ] {
        assert!(ComponentName::parse(right).is_ok(), "{right}");
    }
    for wrong in [
        "com.example",
        "com.example/",
        "example/.A",
        "com..x/.A",
        "com.example/.A/.B",
        "1a.b/.C",
        "a.b/..C",
        "a.b/.C d",
    ] {
        assert!(ComponentName::parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(
        ComponentName::parse(&format!("a.{}/.A", "b".repeat(255)))
            .unwrap_err()
            .code,
        "too_long"
    );
}

#[test]
fn checksums_are_of_32_bytes() {
    for wrong in [
        "",
        &CHECKSUM[1..],
        &format!("{CHECKSUM}="),
        &format!("{CHECKSUM}A"),
        &CHECKSUM.replace('-', "+"),
        // The same 32 bytes in hexadecimal.
        "8090f6630b4e8962479123249087cb4658feaae36a1b57dbeafd74d109b333dc",
    ] {
        assert!(Checksum::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_stored_reads_back() {
    for body in [
        json!({"kind": "enrollment_url"}),
        dpc(),
        with(
            with(dpc(), "extras", json!({"server": "Zoë \"x\""})),
            "skip_encryption",
            true,
        ),
        json!({"kind": "android_amapi", "enrollment_token": "abc", "leave_all_system_apps_enabled": false}),
        json!({"kind": "apple_url", "url": "https://mdm.example.com/{token}"}),
    ] {
        let payload = parse(body.clone()).unwrap();
        let shown = serde_json::to_value(&payload).unwrap();
        assert_eq!(shown, body);
        assert_eq!(parse(shown).unwrap(), payload);
    }
}

/// What is taken fits, and is read back by a camera; what does not fit is refused beforehand.
#[test]
fn the_largest_fit_into_a_picture() {
    let longest = "t".repeat(LONGEST_TOKEN);
    let sized = |length: usize| {
        let extras: serde_json::Map<String, Json> = (0..5)
            .map(|n| {
                (
                    format!("k{n}"),
                    "a1-Z ".repeat(100)[..if n == 0 { length } else { 350 }]
                        .to_owned()
                        .into(),
                )
            })
            .collect();
        parse(with(dpc(), "extras", extras))
    };
    let most = (0..500)
        .rev()
        .find(|length| sized(*length).is_ok())
        .unwrap();
    assert_eq!(sized(most + 1).unwrap_err(), [(String::new(), "too_long")]);
    let text = sized(most).unwrap().says(&longest, LINK);
    assert!(
        (MOST_BYTES - 1..=MOST_BYTES).contains(&text.len()),
        "{}",
        text.len()
    );
    assert_eq!(qr::tests::scan_png(&qr::png(&text).unwrap().bytes), text);
}

#[test]
fn who_has_no_token_is_led_to_the_same_address_without_it() {
    for (with, without) in [
        ("https://m.example/start", Some("https://m.example/start")),
        ("https://m.example/e/{token}", Some("https://m.example/e/")),
        ("https://m.example/e?t={token}", Some("https://m.example/e")),
        (
            "https://m.example/e?a=1&t={token}&b=2#top",
            Some("https://m.example/e?a=1&b=2#top"),
        ),
        ("https://m.example/e#{token}", Some("https://m.example/e")),
        ("https://m.example/{token}/start", None),
        ("https://m.example/e?t=x{token}", None),
        ("https://m.example/e#t={token}", None),
    ] {
        let url = TokenUrl::parse(with).unwrap();
        assert_eq!(url.without_token().as_deref(), without, "{with}");
    }
}
