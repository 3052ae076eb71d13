//! Who is skipped and why, and what each invitation is.

use super::*;

const FIRST: Which = Which {
    registration: 0,
    confirmation: 0,
};

fn recipient() -> Recipient {
    Recipient {
        user_id: Uuid::nil(),
        has_email: true,
        is_suppressed: false,
        is_mailed_too_often: false,
        enabled: true,
        has_password: true,
        lang: Lang::DEFAULT,
        which: FIRST,
        devices: 0,
    }
}

fn plan(method: Method, delivery: Delivery) -> Plan {
    let overrides = Overrides {
        method: Some(method),
        delivery,
        ..Overrides::default()
    };
    Plan::of(&Rules::default(), &overrides, MailsADay::default())
}

/// A custom registration setting with a QR code and a device, and confirmations by a custom one.
fn two_of_each() -> Rules {
    let qr = Registration {
        method: Method::Qr,
        pin_length: 4,
        device_ownership: Ownership::UserOwned,
        device_limit: Some(2),
        ..Registration::default()
    };
    Rules {
        registrations: vec![
            (Some(Uuid::max()), qr),
            (Some(Uuid::nil()), Registration::default()),
        ],
        confirmations: vec![true, false],
        custom: Vec::new(),
    }
}

const SECOND: Which = Which {
    registration: 1,
    confirmation: 1,
};

#[test]
fn everybody_who_can_be_reached_is_invited() {
    for method in [
        Method::Pin,
        Method::Password,
        Method::PinAndPassword,
        Method::Qr,
    ] {
        let plan = plan(method, Delivery::Email);
        assert_eq!(plan.decide(&recipient()), Decision::Invite);
    }
}

#[test]
fn who_is_skipped_and_why() {
    use Decision::{Invite, Skip};
    let no_email = Recipient {
        has_email: false,
        ..recipient()
    };
    let suppressed = Recipient {
        is_suppressed: true,
        ..recipient()
    };
    let mailed = Recipient {
        is_mailed_too_often: true,
        ..recipient()
    };
    let disabled = Recipient {
        enabled: false,
        has_email: false,
        ..recipient()
    };
    let no_password = Recipient {
        has_password: false,
        ..recipient()
    };
    let (by_mail, by_hand) = (Delivery::Email, Delivery::None);
    for (who, method, delivery, expected) in [
        (&no_email, Method::Pin, by_mail, Skip(SkipReason::NoEmail)),
        (&no_email, Method::Pin, by_hand, Invite),
        (
            &suppressed,
            Method::Pin,
            by_mail,
            Skip(SkipReason::EmailSuppressed),
        ),
        (&suppressed, Method::Pin, by_hand, Invite),
        (
            &mailed,
            Method::Qr,
            by_mail,
            Skip(SkipReason::MailedTooOften),
        ),
        (&mailed, Method::Qr, by_hand, Invite),
        (
            &disabled,
            Method::Pin,
            by_mail,
            Skip(SkipReason::UserDisabled),
        ),
        (
            &disabled,
            Method::Qr,
            by_hand,
            Skip(SkipReason::UserDisabled),
        ),
        (
            &no_password,
            Method::Password,
            by_mail,
            Skip(SkipReason::NoPassword),
        ),
        (
            &no_password,
            Method::PinAndPassword,
            by_hand,
            Skip(SkipReason::NoPassword),
        ),
        (&no_password, Method::Pin, by_mail, Invite),
        (&no_password, Method::Qr, by_mail, Invite),
    ] {
        let decision = plan(method, delivery).decide(who);
        assert_eq!(decision, expected, "{who:?} {method}");
    }
}

#[test]
fn each_recipient_is_invited_as_the_own_setting_says() {
    let plan = Plan::of(&two_of_each(), &Overrides::default(), MailsADay::default());
    assert_eq!(plan.terms(FIRST).method, Method::Qr);
    assert_eq!(plan.terms(FIRST).registration_id, Some(Uuid::max()));
    assert_eq!(plan.terms(SECOND).method, Method::Pin);
    assert_eq!(plan.terms(SECOND).registration.pin_length, 8);
    let overrides = Overrides {
        method: Some(Method::Password),
        device_ownership: Some(Ownership::Undefined),
        ..Overrides::default()
    };
    let plan = Plan::of(&two_of_each(), &overrides, MailsADay::default());
    for (which, pin_length) in [(FIRST, 4), (SECOND, 8)] {
        let terms = plan.terms(which);
        assert_eq!(
            (terms.method, terms.device_ownership),
            (Method::Password, Ownership::Undefined)
        );
        assert_eq!(
            terms.registration.pin_length, pin_length,
            "what is not overridden stays"
        );
    }
}

#[test]
fn who_holds_as_many_devices_as_the_setting_allows_is_skipped() {
    let plan = Plan::of(&two_of_each(), &Overrides::default(), MailsADay::default());
    assert!(plan.limits_devices());
    for (which, devices, is_invited) in [
        (FIRST, 1, true),
        (FIRST, 2, false),
        (FIRST, 3, false),
        (SECOND, 1_000, true),
    ] {
        let decision = plan.decide(&Recipient {
            which,
            devices,
            ..recipient()
        });
        let skipped = Decision::Skip(SkipReason::DeviceLimitReached);
        assert_eq!(
            decision,
            if is_invited {
                Decision::Invite
            } else {
                skipped
            }
        );
    }
}

#[test]
fn choosing_an_owner_for_qr_warns_and_nothing_else_does() {
    for method in [Method::Pin, Method::Qr] {
        for owner in [Ownership::Undefined, Ownership::CompanyOwned] {
            let overrides = Overrides {
                method: Some(method),
                device_ownership: Some(owner),
                ..Overrides::default()
            };
            let plan = Plan::of(&Rules::default(), &overrides, MailsADay::default());
            let warned = !plan.warnings(plan.terms(FIRST)).is_empty();
            assert_eq!(
                warned,
                method == Method::Qr && owner != Ownership::Undefined
            );
        }
    }
}

#[test]
fn notices_are_about_those_who_are_invited() {
    let plan = Plan::of(&two_of_each(), &Overrides::default(), MailsADay::default());
    let codes = |invited: &[Recipient]| -> Vec<&'static str> {
        let mut tally = plan.tally();
        invited
            .iter()
            .for_each(|recipient| tally.add(&plan, recipient));
        let notices = plan.notices(3, &tally);
        notices.iter().map(|notice| notice.code).collect()
    };
    let second = Recipient {
        which: SECOND,
        ..recipient()
    };
    let without_address = Recipient {
        has_email: false,
        ..recipient()
    };
    assert!(codes(&[]).is_empty());
    assert!(codes(std::slice::from_ref(&second)).is_empty());
    assert_eq!(
        codes(&[second, recipient(), recipient()]),
        ["ownership_not_applicable", "confirmation_email"]
    );
    assert_eq!(codes(&[without_address]), ["ownership_not_applicable"]);
    assert_eq!(plan.notices(0, &plan.tally())[0].code, "nobody_matched");
}
