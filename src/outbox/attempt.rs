//! One try: makes the mail, hands it to the mail server, and says how that ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use lettre::{Address, address::Envelope};
use tracing::Instrument;

use super::{
    backoff::next_try,
    message::{About, Claimed, Enrolled, Invited},
    pace::Heard,
    queries::Settled,
};
use crate::{
    clock::Clock,
    mail::{
        catalogue::Lang,
        letter::{Addressee, Letter, Secrets, Thread, Writer},
        message::Rendered,
        smtp::{Delivery, Failure, ServerState, SmtpPool},
    },
    metrics::{Handed, Metrics},
    model::{
        device::Platform,
        invitation::{Method, valid_until},
        ownership::Ownership,
        qr_payload::QrPayload,
        said::{for_log, masked},
    },
    secrets::{keys::KeyRing, return_path},
};

/// What it takes to try. Cheap to clone.
#[derive(Clone)]
pub struct Courier {
    pub clock: Clock,
    pub keys: Arc<KeyRing>,
    pub writer: Arc<Writer>,
    pub smtp: Arc<SmtpPool>,
    /// Where mails come back to, each to an address of its own; `None`: to whom they are from.
    pub bounces: Option<Address>,
    pub metrics: Arc<Metrics>,
}

/// How a try ended, and what it says of the mail server.
pub struct Tried {
    pub settled: Settled,
    pub heard: Heard,
}

/// A mail as it is handed over.
struct Parcel {
    envelope: Envelope,
    /// Proves that a report about it is one.
    token: String,
    bytes: Vec<u8>,
}

impl Courier {
    /// Tries to send a message; whatever happens, there is an end to write down.
    pub(super) async fn deliver(&self, claimed: Claimed) -> Tried {
        let span = match &claimed.about {
            About::Invitation(invited) => tracing::info_span!(
                "message", message_id = %claimed.id, invitation_id = %invited.invitation_id,
                batch_id = invited.batch_id.map(tracing::field::display)
            ),
            About::Enrollment(enrolled) => tracing::info_span!(
                "message", message_id = %claimed.id, enrollment_id = %enrolled.enrollment_id
            ),
        };
        let now = self.clock.now();
        let again_at = again_at(&claimed, now);
        let (id, attempts, counter) = (claimed.id, claimed.attempts, claimed.counter());
        let tried = AssertUnwindSafe(self.try_once(claimed))
            .catch_unwind()
            .instrument(span.clone())
            .await
            .unwrap_or_else(|_| {
                span.in_scope(|| tracing::error!("a delivery panicked"));
                unasked(Settled {
                    id,
                    attempts,
                    state: state_for(again_at),
                    due_at: again_at.unwrap_or(now),
                    smtp_code: None,
                    enhanced_status: None,
                    reason: Some("a fault of ours; the log has more".to_owned()),
                    handed_over_at: None,
                    counter,
                })
            });
        self.metrics.tried(tried.settled.state);
        tried
    }

    async fn try_once(&self, claimed: Claimed) -> Tried {
        let now = self.clock.now();
        let ended = |state, reason: &str| Settled {
            id: claimed.id,
            attempts: claimed.attempts,
            state,
            due_at: now,
            smtp_code: None,
            enhanced_status: None,
            reason: Some(reason.to_owned()),
            handed_over_at: None,
            counter: claimed.counter(),
        };
        if let About::Invitation(invited) = &claimed.about {
            // Whatever else it ended by came first, and stays the reason.
            let is_over = invited.state == "pending" && invited.expires_at <= now;
            if invited.state == "expired" || is_over {
                return unasked(ended("failed", "expired"));
            }
            if invited.state != "pending" {
                return unasked(ended("suppressed", &invited.state));
            }
            // A newer instance wrote the setting, and can read what the QR code is to say.
            if invited.method == Method::Qr.as_str() && invited.registration.is_none() {
                let again_at = again_at(&claimed, now);
                return unasked(Settled {
                    due_at: again_at.unwrap_or(now),
                    ..ended(
                        state_for(again_at),
                        "the registration setting cannot be read",
                    )
                });
            }
        }
        let Some(to) = addressee(&claimed) else {
            return unasked(ended("failed", "no_email"));
        };
        if claimed.is_suppressed {
            return unasked(ended("suppressed", "email_suppressed"));
        }
        // A tenth of a millisecond, with a QR code two: less than handing it to another thread is worth.
        let mail = catch_unwind(AssertUnwindSafe(|| self.write(&claimed, &to, now)));
        // A message that cannot be made is set aside with the reason: trying again would not help, and nobody waits.
        let parcel = match mail {
            Ok(Ok(mail)) => mail,
            Ok(Err(reason)) => {
                tracing::error!(reason, "a message cannot be made");
                return unasked(ended("failed", &reason));
            }
            Err(_) => {
                tracing::error!("making a message panicked");
                return unasked(ended(
                    "failed",
                    "the message could not be made; the log has more",
                ));
            }
        };
        let begun = Instant::now();
        let Parcel {
            envelope,
            token,
            bytes,
        } = parcel;
        let delivery = self.smtp.send_known(&envelope, Some(&token), &bytes).await;
        let how = match &delivery {
            Delivery::Accepted(_) => Handed::Accepted,
            Delivery::Retry(_) => Handed::Deferred,
            Delivery::GiveUp(_) => Handed::Refused,
        };
        self.metrics.handed(how, begun.elapsed());
        match delivery {
            Delivery::Accepted(reply) => {
                tracing::debug!(code = reply.code, "accepted");
                Tried {
                    heard: Heard::Works,
                    settled: Settled {
                        smtp_code: i16::try_from(reply.code).ok(),
                        enhanced_status: reply.enhanced_status,
                        handed_over_at: Some(self.clock.now()),
                        ..ended("accepted", &masked(&reply.text))
                    },
                }
            }
            Delivery::GiveUp(failure) => {
                tracing::warn!(
                    code = failure.code,
                    status = failure.enhanced_status,
                    "refused for good"
                );
                let settled = ended("failed", &masked(&failure.reason));
                self.refused(settled, failure)
            }
            Delivery::Retry(failure) => {
                let at = again_at(&claimed, self.clock.now());
                // A server's words may hold the address; ours, when no server spoke, do not.
                let reason = failure.code.is_none().then(|| for_log(&failure.reason));
                tracing::warn!(
                    code = failure.code,
                    status = failure.enhanced_status,
                    reason,
                    again_at = at.map(|at| at.to_rfc3339()),
                    "not accepted for now"
                );
                let settled = Settled {
                    due_at: at.unwrap_or(now),
                    ..ended(state_for(at), &masked(&failure.reason))
                };
                self.refused(settled, failure)
            }
        }
    }

    fn refused(&self, settled: Settled, failure: Failure) -> Tried {
        Tried {
            heard: match failure.server {
                ServerState::Fine => Heard::Works,
                ServerState::WantsLess => Heard::WantsLess,
                ServerState::Closing => Heard::Closing,
                ServerState::Away => Heard::Away,
            },
            settled: Settled {
                smtp_code: failure.code.and_then(|code| i16::try_from(code).ok()),
                enhanced_status: failure.enhanced_status,
                handed_over_at: failure.handed_over.then(|| self.clock.now()),
                ..settled
            },
        }
    }

    /// Makes the mail.
    fn write(
        &self,
        claimed: &Claimed,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<Parcel, String> {
        let (rendered, thread) = match &claimed.about {
            About::Invitation(invited) => {
                let thread = Thread {
                    invitation: Some(invited.invitation_id),
                    follows: invited.reminds_of,
                };
                (self.invitation(invited, to, now)?, thread)
            }
            About::Enrollment(enrolled) => (self.confirmation(enrolled, to)?, Thread::default()),
        };
        let mail = self
            .writer
            .seal(to, claimed.id, thread, now, &rendered)
            .map_err(|error| error.to_string())?;
        let token = return_path::mint(self.keys.signing(), claimed.id, &to.email);
        Ok(Parcel {
            envelope: self.envelope(mail.envelope(), &token)?,
            token,
            bytes: mail.formatted(),
        })
    }

    /// Where a mail comes back to tells which one it is.
    fn envelope(&self, plain: &Envelope, token: &str) -> Result<Envelope, String> {
        let Some(bounces) = &self.bounces else {
            return Ok(plain.clone());
        };
        let user = format!("{}+{token}", bounces.user());
        let from = Address::new(user, bounces.domain()).map_err(|error| error.to_string())?;
        Envelope::new(Some(from), plain.to().to_vec()).map_err(|error| error.to_string())
    }

    fn invitation(
        &self,
        invited: &Invited,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<Rendered, String> {
        let method = Method::from_name(&invited.method).ok_or("unknown method")?;
        let key = self
            .keys
            .require(&invited.key_id)
            .map_err(|error| error.to_string())?;
        let secrets = Secrets::derive(
            key,
            invited.invitation_id,
            u32::try_from(invited.counter).map_err(|_| "bad counter")?,
            u8::try_from(invited.pin_length).map_err(|_| "bad PIN length")?,
        );
        let lifetime = u8::try_from(invited.pin_lifetime_days).map_err(|_| "bad PIN lifetime")?;
        let until = valid_until(
            method,
            invited.pin_issued_at.unwrap_or(now),
            lifetime,
            invited.expires_at,
        );
        // A lost answer began the PIN's life, and it ended before the mail was accepted: it begins anew.
        let until = if until <= now {
            valid_until(method, now, lifetime, invited.expires_at)
        } else {
            until
        };
        let link_only = QrPayload::EnrollmentUrl;
        let registration = invited.registration.as_ref();
        let payload = registration.map_or(&link_only, |registration| &registration.qr_payload);
        let letter = Letter {
            to,
            method,
            secrets: &secrets,
            until,
            note: invited.note.as_deref(),
            payload,
        };
        let rendered = if invited.is_reminder {
            self.writer.reminder(&letter)
        } else {
            self.writer.invitation(&letter)
        };
        rendered.map_err(|error| error.to_string())
    }

    fn confirmation(&self, enrolled: &Enrolled, to: &Addressee) -> Result<Rendered, String> {
        let ownership = Ownership::from_name(&enrolled.ownership).ok_or("unknown ownership")?;
        let platform = Platform::from_name(&enrolled.platform).ok_or("unknown platform")?;
        self.writer
            .confirmation(
                to,
                enrolled.model.as_deref().unwrap_or(platform.shown()),
                &enrolled.number,
                ownership,
                enrolled.enrolled_at,
            )
            .map_err(|error| error.to_string())
    }
}

/// An end for which the mail server was not asked.
fn unasked(settled: Settled) -> Tried {
    Tried {
        settled,
        heard: Heard::Nothing,
    }
}

/// When a message is tried again if this try fails now; `None`: no more.
fn again_at(claimed: &Claimed, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // At least one try, whatever is stored.
    let tries = u32::try_from(claimed.attempts).unwrap_or(1).max(1);
    next_try(
        claimed.id,
        tries,
        claimed.queued_at,
        good_until(claimed),
        now,
    )
}

fn state_for(again_at: Option<DateTime<Utc>>) -> &'static str {
    if again_at.is_some() {
        "deferred"
    } else {
        "failed"
    }
}

/// Until when a message is worth sending.
fn good_until(claimed: &Claimed) -> DateTime<Utc> {
    match &claimed.about {
        About::Invitation(invited) => invited.expires_at,
        // As long as any message is tried.
        About::Enrollment(_) => DateTime::<Utc>::MAX_UTC,
    }
}

/// Who a message is to, if the user is still there and has an address.
fn addressee(claimed: &Claimed) -> Option<Addressee> {
    Some(Addressee {
        display_name: claimed.display_name.clone()?,
        username: claimed.username.clone()?,
        email: claimed.email.clone()?,
        time_zone: claimed.time_zone.clone(),
        lang: Lang::negotiate(claimed.locale.as_deref()),
    })
}
