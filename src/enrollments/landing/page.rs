//! What the landing page says: which of its parts, for which invitation and which device. Pure.

use super::facts::{Device, Ended, Ways};
use crate::model::{invitation::Method, qr_payload::QrPayload};

/// A link to where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    pub href: String,
    /// Whether it is what the reader came for, or another way.
    pub is_main: bool,
}

/// The parts of a page. Texts are messages of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub title: &'static str,
    /// What it is about.
    pub lead: &'static str,
    /// Whether it is for one person, whose name and time it shows.
    pub is_personal: bool,
    /// What a QR code on it says.
    pub picture: Option<String>,
    pub button: Option<Button>,
    pub steps: Vec<&'static str>,
    /// What else may help.
    pub notes: Vec<&'static str>,
}

const APPLE: [&str; 3] = [
    "step-apple-allow",
    "step-apple-settings",
    "step-apple-install",
];
const ANDROID: [&str; 2] = ["page-step-android-app", "page-step-android-follow"];
const SCAN: [&str; 3] = ["step-scan", "step-scan-open", "step-follow"];

/// What the user is asked for on the way, and has in the message.
const fn credential(method: Method) -> &'static str {
    match method {
        Method::Pin => "page-step-pin",
        Method::Password => "page-step-password",
        Method::PinAndPassword => "page-step-pin-and-password",
        Method::Qr => "page-step-code",
    }
}

/// The page of an invitation that enrolls, opened with this token at this link.
pub fn live(method: Method, ways: &Ways, device: Device, token: &str, link: &str) -> Page {
    // Only the method `qr` enrolls with the token; for the others the picture brings this page to a phone.
    let link_only = QrPayload::EnrollmentUrl;
    let payload = match method {
        Method::Qr => &ways.qr_payload,
        _ => &link_only,
    };
    let mut page = Page {
        title: "title",
        is_personal: true,
        notes: vec!["page-private"],
        ..Page::default()
    };
    let picture = || Some(payload.says(token, link));
    let on_to = ways.mdm_url.as_ref().map(|url| url.with(token));
    let other_way = |href| Button {
        href,
        is_main: false,
    };
    match payload {
        QrPayload::AndroidDpc(_) | QrPayload::AndroidAmapi(_) => {
            page.lead = "page-lead-setup";
            page.picture = picture();
            page.button = on_to.map(other_way);
            page.steps = vec![
                "step-setup-start",
                "step-setup-tap",
                "step-setup-scan",
                "step-follow",
            ];
            if device == Device::Android {
                page.notes.insert(0, "page-setup-other");
            }
            return page;
        }
        QrPayload::AppleUrl(apple) => {
            let href = apple.url.with(token);
            page.steps = vec![];
            match device {
                Device::Apple => {
                    page.lead = "page-lead-phone";
                    page.button = Some(Button {
                        href,
                        is_main: true,
                    });
                    page.steps.push("page-step-tap");
                }
                Device::Android | Device::Other => {
                    page.lead = "page-lead-apple";
                    page.picture = picture();
                    // A Mac installs it too; Android does not.
                    page.button = (device == Device::Other).then(|| other_way(href));
                    page.steps.extend(["step-scan", "step-scan-open"]);
                }
            }
            page.steps.extend(APPLE);
            return page;
        }
        QrPayload::EnrollmentUrl => {}
    }
    if device == Device::Other {
        page.lead = "page-lead-other";
        page.picture = picture();
        page.button = on_to.map(other_way);
        page.steps = SCAN.to_vec();
        return page;
    }
    page.lead = "page-lead-phone";
    page.steps = on_a_phone(
        device,
        on_to.is_some(),
        credential(method),
        method != Method::Qr,
    );
    page.button = on_to.map(|href| Button {
        href,
        is_main: true,
    });
    page
}

/// The steps on the device that is to be enrolled. A code is not asked for behind a button: its link
/// has the token.
fn on_a_phone(
    device: Device,
    has_button: bool,
    credential: &'static str,
    is_typed: bool,
) -> Vec<&'static str> {
    if !has_button {
        return vec!["page-step-open", credential, "step-follow"];
    }
    let mut steps = vec!["page-step-tap"];
    if is_typed {
        steps.push(credential);
    }
    match device {
        Device::Apple => steps.extend(APPLE),
        Device::Android | Device::Other => steps.extend(ANDROID),
    }
    steps
}

/// The page without a token: mails with a PIN or for a password lead here. `on_to` is where everybody
/// may go on.
pub fn general(device: Device, on_to: Option<String>, link: &str) -> Page {
    let mut page = Page {
        title: "title",
        lead: "page-lead-general",
        notes: vec!["page-general-code", "page-general-none"],
        ..Page::default()
    };
    let is_main = device != Device::Other;
    if is_main {
        page.steps = on_a_phone(device, on_to.is_some(), "page-step-any", true);
    } else {
        page.picture = Some(link.to_owned());
        page.steps = vec!["page-step-here", "page-step-any", "step-follow"];
    }
    page.button = on_to.map(|href| Button { href, is_main });
    page
}

/// The page of an invitation that enrolls no more.
pub fn ended(why: Ended, allow_pin_request: bool) -> Page {
    let (title, lead, mut notes) = match why {
        Ended::Expired => ("page-expired", "page-expired-why", vec!["page-ask-new"]),
        Ended::PinExpired => (
            "page-pin-expired",
            "page-pin-expired-why",
            vec!["page-ask-pin"],
        ),
        Ended::Completed => (
            "page-completed",
            "page-completed-why",
            vec!["page-completed-more", "page-completed-other"],
        ),
        Ended::Revoked => ("page-revoked", "page-revoked-why", vec!["page-ask-new"]),
        Ended::Superseded => (
            "page-superseded",
            "page-superseded-why",
            vec!["page-ask-again"],
        ),
    };
    if why == Ended::PinExpired && allow_pin_request {
        notes.insert(0, "page-pin-request");
    }
    Page {
        title,
        lead,
        notes,
        ..Page::default()
    }
}

/// The page of whatever no invitation is behind: one for all.
pub fn unknown() -> Page {
    Page {
        title: "page-unknown",
        lead: "page-unknown-why",
        notes: vec!["page-unknown-again", "page-ask-new"],
        ..Page::default()
    }
}

/// The page for when the database is away.
pub fn later() -> Page {
    Page {
        title: "page-later",
        lead: "page-later-why",
        ..Page::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{qr_payload::TokenUrl, wire};

    const TOKEN: &str = "AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";
    const LINK: &str = "https://enroll.example.com/enroll/AZLT";

    fn ways(payload: serde_json::Value, mdm_url: Option<&str>) -> Ways {
        Ways {
            mdm_url: mdm_url.map(|url| TokenUrl::parse(url).unwrap()),
            qr_payload: wire::parse(payload).unwrap(),
            allow_pin_request: true,
        }
    }

    fn link_ways(mdm_url: Option<&str>) -> Ways {
        ways(json!({"kind": "enrollment_url"}), mdm_url)
    }

    const MDM: &str = "https://mdm.example.com/e?t={token}";

    #[test]
    fn a_phone_is_led_on_and_a_computer_shows_the_code() {
        let ways = link_ways(Some(MDM));
        for device in [Device::Apple, Device::Android] {
            let page = live(Method::Qr, &ways, device, TOKEN, LINK);
            let button = page.button.unwrap();
            assert_eq!(button.href, MDM.replace("{token}", TOKEN));
            assert!(button.is_main && page.picture.is_none());
            assert!(!page.steps.contains(&"page-step-code"));
        }
        let page = live(Method::Qr, &ways, Device::Other, TOKEN, LINK);
        assert_eq!(page.picture.as_deref(), Some(LINK));
        // A Mac, or an iPad that passes for one, goes on by itself.
        assert!(page.button.is_some_and(|button| !button.is_main));
    }

    #[test]
    fn without_an_address_the_steps_say_what_to_do() {
        for (method, step) in [
            (Method::Pin, "page-step-pin"),
            (Method::Password, "page-step-password"),
            (Method::PinAndPassword, "page-step-pin-and-password"),
            (Method::Qr, "page-step-code"),
        ] {
            let page = live(method, &link_ways(None), Device::Android, TOKEN, LINK);
            assert_eq!(page.button, None);
            assert_eq!(page.steps, ["page-step-open", step, "step-follow"]);
            let on = live(method, &link_ways(Some(MDM)), Device::Android, TOKEN, LINK);
            assert_eq!(on.steps.contains(&step), method != Method::Qr);
        }
    }

    #[test]
    fn a_set_up_code_is_shown_on_every_screen() {
        let ways = ways(
            json!({"kind": "android_amapi", "enrollment_token": "ABC"}),
            None,
        );
        for device in [Device::Apple, Device::Android, Device::Other] {
            let page = live(Method::Qr, &ways, device, TOKEN, LINK);
            assert!(page.picture.unwrap().contains("\"ABC\""));
            assert_eq!(
                page.notes.contains(&"page-setup-other"),
                device == Device::Android
            );
        }
        // A PIN's link does not carry what only a QR code may say.
        let page = live(Method::Pin, &ways, Device::Other, TOKEN, LINK);
        assert_eq!(page.picture.as_deref(), Some(LINK));
    }

    #[test]
    fn a_profile_is_for_apple_devices() {
        let ways = ways(
            json!({"kind": "apple_url", "url": "https://mdm.example.com/p/{token}"}),
            Some(MDM),
        );
        let profile = format!("https://mdm.example.com/p/{TOKEN}");
        let of = |device| live(Method::Qr, &ways, device, TOKEN, LINK);
        let apple = of(Device::Apple);
        assert_eq!(apple.button.unwrap().href, profile);
        assert_eq!(apple.picture, None);
        let (android, other) = (of(Device::Android), of(Device::Other));
        assert_eq!(android.button, None);
        assert_eq!(android.picture.as_ref(), Some(&profile));
        assert_eq!(other.button.unwrap().href, profile);
        assert_eq!(other.picture.as_ref(), Some(&profile));
    }

    #[test]
    fn every_end_has_its_own_page() {
        let titles: std::collections::BTreeSet<_> = [
            Ended::Expired,
            Ended::PinExpired,
            Ended::Completed,
            Ended::Revoked,
            Ended::Superseded,
        ]
        .map(|why| ended(why, true).title)
        .into();
        assert_eq!(titles.len(), 5);
        let asks = |allowed| {
            ended(Ended::PinExpired, allowed)
                .notes
                .contains(&"page-pin-request")
        };
        assert!(asks(true) && !asks(false));
    }
}
