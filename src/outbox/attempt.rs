//! One try: makes the mail, hands it to the mail server, and says how that ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use lettre::Address;
use tracing::Instrument;

use super::{
    backoff::{next_try, soon},
    message::{About, Claimed, Unsent},
    pace::Heard,
    parcel::{Packer, Parcel, addressee},
    queries::Settled,
};
use crate::{
    clock::Clock,
    mail::{
        letter::Writer,
        smtp::{About as Whom, Delivery, Failure, SmtpPool, TOO_LARGE},
    },
    metrics::{Handed, Metrics},
    model::{
        invitation::{MessageState, Method, State},
        said::{for_log, masked},
    },
    secrets::keys::KeyRing,
};

/// Broken connections after which a message waits like another one.
const MOST_SOON: i16 = 3;

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
    /// How it ends where it turns out that the server refuses everybody's mail: it is tried again.
    pub kept: Option<Settled>,
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
                    is_refusal: true,
                    counter,
                })
            });
        self.metrics.tried(tried.settled.state.as_str());
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
            is_refusal: true,
            counter: claimed.counter(),
        };
        if let About::Invitation(invited) = &claimed.about {
            if invited.is_canceled {
                return unasked(ended(MessageState::Suppressed, Unsent::Canceled.as_str()));
            }
            // Whatever else it ended by came first, and stays the reason.
            let state = invited.state.at(invited.expires_at, now);
            match state {
                State::Pending => {}
                State::Expired => return unasked(ended(MessageState::Failed, state.as_str())),
                State::Completed | State::Revoked | State::Superseded => {
                    return unasked(ended(MessageState::Suppressed, state.as_str()));
                }
            }
            // A newer instance wrote the setting, and can read what the QR code is to say.
            if invited.method == Method::Qr && invited.registration.is_none() {
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
            return unasked(ended(MessageState::Failed, Unsent::NoEmail.as_str()));
        };
        if claimed.is_suppressed {
            return unasked(ended(
                MessageState::Suppressed,
                Unsent::EmailSuppressed.as_str(),
            ));
        }
        let packer = Packer {
            keys: &self.keys,
            writer: &self.writer,
            bounces: self.bounces.as_ref(),
        };
        // A tenth of a millisecond, with a QR code two: less than handing it to another thread is worth.
        let mail = catch_unwind(AssertUnwindSafe(|| packer.pack(&claimed, &to, now)));
        // A message that cannot be made is set aside with the reason: trying again would not help, and nobody waits.
        let parcel = match mail {
            Ok(Ok(mail)) => mail,
            Ok(Err(reason)) => {
                tracing::error!(reason, "a message cannot be made");
                return unasked(ended(MessageState::Failed, &reason));
            }
            Err(_) => {
                tracing::error!("making a message panicked");
                return unasked(ended(
                    MessageState::Failed,
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
                tracing::info!(
                    server = self.smtp.server(),
                    code = reply.code,
                    attempts = claimed.attempts,
                    "accepted"
                );
                Tried {
                    heard: Heard::Accepted,
                    kept: None,
                    settled: Settled {
                        smtp_code: i16::try_from(reply.code).ok(),
                        enhanced_status: reply.enhanced_status,
                        handed_over_at: Some(self.clock.now()),
                        ..ended(MessageState::Accepted, &masked(&reply.text))
                    },
                }
            }
            Delivery::GiveUp(failure) => {
                tracing::warn!(
                    server = self.smtp.server(),
                    about = failure.about.as_str(),
                    reason = for_log(&failure.reason),
                    remedy = failure.remedy,
                    "refused for good"
                );
                let at = again_at(&claimed, self.clock.now());
                let kept = at.map(|at| Settled {
                    due_at: at,
                    ..ended(MessageState::Deferred, &failure.shown())
                });
                let settled = ended(MessageState::Failed, &failure.shown());
                self.refused(settled, kept, failure, &to.email)
            }
            Delivery::Retry(failure) => {
                let at = again_at(&claimed, self.clock.now());
                let at = at.map(|at| sooner(at, &failure, &claimed, self.clock.now()));
                tracing::warn!(
                    server = self.smtp.server(),
                    about = failure.about.as_str(),
                    reason = for_log(&failure.reason),
                    remedy = failure.remedy,
                    again_at = at.map(|at| at.to_rfc3339()),
                    "not accepted for now"
                );
                let settled = Settled {
                    due_at: at.unwrap_or(now),
                    ..ended(state_for(at), &failure.shown())
                };
                self.refused(settled, None, failure, &to.email)
            }
        }
    }

    fn refused(
        &self,
        settled: Settled,
        kept: Option<Settled>,
        failure: Failure,
        to: &str,
    ) -> Tried {
        self.metrics.refused(failure.about.as_str());
        let heard = heard(&failure, to);
        let with_reply = |settled| Settled {
            smtp_code: failure.code.and_then(|code| i16::try_from(code).ok()),
            enhanced_status: failure.enhanced_status.clone(),
            handed_over_at: failure.handed_over.then(|| self.clock.now()),
            is_refusal: failure.about != Whom::Pace,
            ..settled
        };
        Tried {
            kept: kept
                .filter(|_| matches!(heard, Heard::Rejected(_)))
                .map(with_reply),
            heard,
            settled: with_reply(settled),
        }
    }
}

/// What a failure says of the mail server.
fn heard(failure: &Failure, to: &str) -> Heard {
    let status = failure.enhanced_status.as_deref().unwrap_or_default();
    let is_for_good = failure.code.is_some_and(|code| code >= 500);
    match failure.about {
        // As one that we may not write to, or that is too large: it may be true of everybody.
        Whom::Recipient if is_for_good && status.starts_with("5.7.") => {
            Heard::Rejected(to.to_owned())
        }
        Whom::Message if is_for_good || status == TOO_LARGE => Heard::Rejected(to.to_owned()),
        // We refused it ourselves.
        Whom::Message if failure.code.is_none() => Heard::Nothing,
        Whom::Recipient | Whom::Message => Heard::Answered,
        Whom::Unsure => Heard::Unsure(to.to_owned()),
        Whom::Pace => Heard::WantsLess,
        Whom::Sender => Heard::Refused(to.to_owned()),
        Whom::Connection => Heard::Broken,
        Whom::Away => Heard::Away,
    }
}

/// An end for which the mail server was not asked.
fn unasked(settled: Settled) -> Tried {
    Tried {
        settled,
        heard: Heard::Nothing,
        kept: None,
    }
}

/// When a message is tried again if this try fails now; `None`: no more.
fn again_at(claimed: &Claimed, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // This one counts, too.
    let refusals = u32::try_from(claimed.refusals).unwrap_or(0);
    next_try(
        claimed.id,
        refusals.saturating_add(1),
        claimed.queued_at,
        good_until(claimed),
        now,
    )
}

/// A message that met a server with too many connections, or the end of one, was hardly looked at: it need not wait as
/// one that was refused does. The pace sees to it that the server gets less.
fn sooner(
    at: DateTime<Utc>,
    failure: &Failure,
    claimed: &Claimed,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    match failure.about {
        Whom::Pace => at.min(now + soon(claimed.id)),
        Whom::Connection if failure.code.is_some() && claimed.refusals < MOST_SOON => {
            at.min(now + soon(claimed.id))
        }
        _ => at,
    }
}

fn state_for(again_at: Option<DateTime<Utc>>) -> MessageState {
    if again_at.is_some() {
        MessageState::Deferred
    } else {
        MessageState::Failed
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
