//! Trying the relay out: the way that mails take, on a connection of its own, watched stage by stage.
//!
//! It waits for no permit of the pool, so it works while all connections are busy or the queue is held; the relay sees
//! one connection more meanwhile.

use std::time::Duration;

use lettre::address::Envelope;
use tokio::time::timeout;

use super::{
    content::Content,
    delivery::{Acceptance, Failure},
    fault::{Fault, Stage},
    pool::SmtpPool,
    trace::{Passed, Trace},
};

impl SmtpPool {
    /// Connects, greets, encrypts and signs in, as before a first mail, and takes leave. `told` hears of every stage that was passed.
    ///
    /// # Errors
    /// Where it ended, and what to do about it; also when all of it takes longer than `limit`.
    pub async fn probe(
        &self,
        limit: Duration,
        told: &mut (dyn FnMut(Passed) + Send),
    ) -> Result<(), Failure> {
        let relay = self.relay();
        let mut trace = Trace::to(told);
        let session = match timeout(limit, relay.open(&mut trace)).await {
            Ok(opened) => opened.map_err(|(stage, fault)| relay.failure(stage, fault, false))?,
            Err(_) => return Err(relay.failure(trace.stage(), Fault::Timeout(limit), false)),
        };
        session.quit().await;
        Ok(())
    }

    /// Sends one message as [`SmtpPool::send_known`] does, and tells `told` of every stage that was passed.
    ///
    /// # Errors
    /// As [`SmtpPool::probe`].
    pub async fn send_watched(
        &self,
        envelope: &Envelope,
        id: &str,
        message: &[u8],
        limit: Duration,
        told: &mut (dyn FnMut(Passed) + Send),
    ) -> Result<Acceptance, Failure> {
        let relay = self.relay();
        let content = Content::of(message).map_err(|reason| {
            relay.failure(Stage::Check, Fault::Local(reason.to_owned()), false)
        })?;
        let mut trace = Trace::to(told);
        let talked = timeout(limit, async {
            let mut session = relay
                .open(&mut trace)
                .await
                .map_err(|(stage, fault)| relay.failure(stage, fault, false))?;
            let outcome = session
                .transact(envelope, Some(id), &content, &relay.limits, &mut trace)
                .await
                .map_err(|end| relay.failure(end.stage, end.fault, end.handed_over));
            Ok((session, outcome))
        })
        .await;
        let (session, outcome) = match talked {
            Ok(talked) => talked?,
            Err(_) => {
                let stage = trace.stage();
                let is_handed_over = stage == Stage::FinalDot;
                return Err(relay.failure(stage, Fault::Timeout(limit), is_handed_over));
            }
        };
        if session.is_in_step() {
            session.quit().await;
        }
        outcome
    }
}
