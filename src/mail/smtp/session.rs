//! One connection, and one message over it after the other.

use std::time::Duration;

use lettre::address::{Address, Envelope};
use lettre::transport::smtp::commands::{Mail, Rcpt};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};
use tokio::time::timeout;

use super::{
    about::{About, about},
    content::Content,
    delivery::Acceptance,
    dialogue::Dialogue,
    fault::{Fault, Stage, expect, is_done},
    limits::SmtpLimits,
    offer::Offer,
    trace::Trace,
};

/// How long a polite `QUIT` may take. Its answer decides nothing.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// An open connection, greeted and authenticated.
pub(super) struct Session {
    dialogue: Dialogue,
    offer: Offer,
    /// For the log.
    pub(super) number: u64,
    /// Messages tried so far: above zero, the connection has been kept.
    pub(super) messages: u32,
    /// A refused message may still be open on the server: RSET comes before the next one.
    unfinished: bool,
    /// An answer is still to come that nobody waits for any more.
    out_of_step: bool,
}

/// How a transaction ended without acceptance.
pub(super) struct Ended {
    pub(super) stage: Stage,
    pub(super) fault: Fault,
    pub(super) handed_over: bool,
    /// Whether the connection had been used before.
    reused: bool,
}

impl Ended {
    /// Whether a kept connection turned out to have had its time, and the message was not looked at: dead before
    /// anything was said, or ended by the server, as many do after so many messages.
    pub(super) fn is_stale(&self) -> bool {
        self.reused
            && match (&self.stage, &self.fault) {
                (Stage::Reset | Stage::Mail, Fault::Broken(_))
                | (Stage::Reset, Fault::Reply(_)) => true,
                (stage, fault @ Fault::Reply(_)) => about(*stage, fault) == About::Connection,
                _ => false,
            }
    }
}

fn at(stage: Stage) -> impl Fn(Fault) -> (Stage, Fault) {
    move |fault| (stage, fault)
}

fn is_data_wanted(code: u16) -> bool {
    code == 354
}

impl Session {
    pub(super) fn new(dialogue: Dialogue, offer: Offer, number: u64) -> Self {
        Self {
            dialogue,
            offer,
            number,
            messages: 0,
            unfinished: false,
            out_of_step: false,
        }
    }

    /// Whether every command has had its answer, so that the connection can take another message.
    pub(super) fn is_in_step(&self) -> bool {
        !self.out_of_step
    }

    /// Whether the server has neither spoken nor closed since the last message.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.dialogue.is_quiet()
    }

    /// One mail transaction (RFC 5321, section 3.3), stage by stage.
    pub(super) async fn transact(
        &mut self,
        envelope: &Envelope,
        id: Option<&str>,
        content: &Content,
        limits: &SmtpLimits,
        trace: &mut Trace<'_>,
    ) -> Result<Acceptance, Ended> {
        let reused = self.messages > 0;
        self.messages += 1;
        self.stages(envelope, id, content, limits, trace)
            .await
            .map_err(|(stage, fault)| {
                self.out_of_step |=
                    !fault.leaves_in_step() || about(stage, &fault) == About::Connection;
                Ended {
                    handed_over: stage == Stage::FinalDot && fault.leaves_unknown(),
                    stage,
                    fault,
                    reused,
                }
            })
    }

    async fn stages(
        &mut self,
        envelope: &Envelope,
        id: Option<&str>,
        content: &Content,
        limits: &SmtpLimits,
        trace: &mut Trace<'_>,
    ) -> Result<Acceptance, (Stage, Fault)> {
        if self.unfinished {
            let answer = self.dialogue.command("RSET\r\n", limits.command).await;
            answer
                .and_then(|reply| expect(reply, is_done))
                .map_err(at(Stage::Reset))?;
        }
        self.unfinished = false;
        let parameters = self
            .parameters(envelope, id, content)
            .map_err(at(Stage::Check))?;
        // From here to the acceptance, whatever ends the transaction leaves it open.
        self.unfinished = true;
        let mail = Mail::new(envelope.from().cloned(), parameters);
        match envelope.to() {
            // Of several, some may be refused after DATA was taken for the others: then one by one.
            [recipient] if self.offer.pipelining => {
                self.announce_at_once(&mail, recipient, limits.command, trace)
                    .await?;
            }
            recipients => {
                self.announce(&mail, recipients, limits.command, trace)
                    .await?;
            }
        }
        trace.begin(Stage::Body);
        let written = self.dialogue.content(content.as_str(), limits.body).await;
        if let Err(fault) = written {
            // Whatever the server said: half a mail is on the wire.
            self.out_of_step = true;
            return Err((Stage::Body, fault));
        }
        trace.begin(Stage::FinalDot);
        let reply = self.dialogue.reply(limits.final_dot).await;
        let reply = reply
            .and_then(|reply| expect(reply, is_done))
            .map_err(at(Stage::FinalDot))?;
        self.unfinished = false;
        trace.accepted(|| reply.shown());
        let (enhanced_status, text) = reply.split();
        Ok(Acceptance {
            code: reply.code,
            enhanced_status,
            text,
        })
    }

    /// What is said with MAIL, if the server takes such a mail at all.
    fn parameters(
        &self,
        envelope: &Envelope,
        id: Option<&str>,
        content: &Content,
    ) -> Result<Vec<MailParameter>, Fault> {
        let mut parameters = Vec::new();
        let mut addresses = envelope.from().into_iter().chain(envelope.to());
        if !content.is_ascii() || !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii())
        {
            if !self.offer.smtputf8 {
                return Err(Fault::Local(
                    "the address is not ASCII, and the mail server does not offer SMTPUTF8: the user \
                     needs another address, or the service another mail server"
                        .to_owned(),
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !content.is_ascii() {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let size = content.size();
        if let Some(most) = self.offer.size.filter(|most| size > *most) {
            return Err(Fault::TooLarge { size, most });
        }
        if self.offer.asks_size {
            parameters.push(MailParameter::Size(size));
        }
        if let Some(id) = id.filter(|_| self.offer.dsn) {
            let other = |keyword: &str, value: &str| MailParameter::Other {
                keyword: keyword.to_owned(),
                value: Some(value.to_owned()),
            };
            // A report that holds the whole mail would carry its PIN through the world a second time.
            parameters.push(other("RET", "HDRS"));
            parameters.push(other("ENVID", id));
        }
        Ok(parameters)
    }

    /// MAIL, RCPT and DATA, each after the answer to the one before.
    async fn announce(
        &mut self,
        mail: &Mail,
        recipients: &[Address],
        limit: Duration,
        trace: &mut Trace<'_>,
    ) -> Result<(), (Stage, Fault)> {
        let dialogue = &mut self.dialogue;
        trace.begin(Stage::Mail);
        let answer = dialogue.command(&mail.to_string(), limit).await;
        let answer = answer.and_then(|reply| expect(reply, is_done));
        answer.map_err(at(Stage::Mail))?;
        trace.sender();
        trace.begin(Stage::Rcpt);
        for recipient in recipients {
            let rcpt = Rcpt::new(recipient.clone(), Vec::new()).to_string();
            let answer = dialogue.command(&rcpt, limit).await;
            let answer = answer.and_then(|reply| expect(reply, is_done));
            answer.map_err(at(Stage::Rcpt))?;
            trace.recipient();
        }
        trace.begin(Stage::Data);
        let answer = dialogue.command("DATA\r\n", limit).await;
        let answer = answer.and_then(|reply| expect(reply, is_data_wanted));
        answer.map(drop).map_err(at(Stage::Data))
    }

    /// The same in one go: three answers for one wait (RFC 2920).
    ///
    /// The first refusal decides, and the answers after it are read all the same, so that the next message finds the
    /// connection in step. A server may ask for the content although it refused the recipient (section 3.1): it
    /// gets none.
    async fn announce_at_once(
        &mut self,
        mail: &Mail,
        recipient: &Address,
        limit: Duration,
        trace: &mut Trace<'_>,
    ) -> Result<(), (Stage, Fault)> {
        let dialogue = &mut self.dialogue;
        trace.begin(Stage::Mail);
        let rcpt = Rcpt::new(recipient.clone(), Vec::new());
        let mail = dialogue
            .command(&format!("{mail}{rcpt}DATA\r\n"), limit)
            .await;
        let mail = refusal(mail.and_then(|reply| expect(reply, is_done)));
        let mail = mail.map_err(at(Stage::Mail))?;
        if mail.is_none() {
            trace.sender();
            trace.begin(Stage::Rcpt);
        }
        let rcpt = dialogue.reply(limit).await;
        let refused = match (refusal(rcpt.and_then(|reply| expect(reply, is_done))), mail) {
            (Ok(rcpt), None) => rcpt.map(at(Stage::Rcpt)),
            (Ok(_), Some(fault)) => Some((Stage::Mail, fault)),
            (Err(fault), None) => return Err((Stage::Rcpt, fault)),
            // What was refused before says more than that the server hung up then.
            (Err(_), Some(fault)) => {
                self.out_of_step = true;
                return Err((Stage::Mail, fault));
            }
        };
        if refused.is_none() {
            trace.recipient();
            trace.begin(Stage::Data);
        }
        let data = dialogue.reply(limit).await;
        let data = refusal(data.and_then(|reply| expect(reply, is_data_wanted)));
        match (refused, data) {
            (None, Ok(None)) => Ok(()),
            (None, Ok(Some(fault)) | Err(fault)) => Err((Stage::Data, fault)),
            (Some(refused), Ok(Some(_))) => Err(refused),
            (Some(refused), Err(_)) => {
                self.out_of_step = true;
                Err(refused)
            }
            (Some(refused), Ok(None)) => {
                // One that is content with nothing is not trusted with more.
                let nothing = dialogue.command(".\r\n", limit).await;
                self.out_of_step = !matches!(nothing, Ok(reply) if reply.code >= 400);
                Err(refused)
            }
        }
    }

    pub(super) async fn quit(mut self) {
        // Whether it was heard does not matter: the connection is closed in any case.
        let _ = timeout(QUIT_LIMIT, self.dialogue.command("QUIT\r\n", QUIT_LIMIT)).await;
    }
}

/// One answer of several: whether the server refused. What leaves no more answers to wait for is an error.
fn refusal<T>(answer: Result<T, Fault>) -> Result<Option<Fault>, Fault> {
    match answer {
        Ok(_) => Ok(None),
        Err(Fault::Reply(reply)) if reply.code != 421 => Ok(Some(Fault::Reply(reply))),
        Err(fault) => Err(fault),
    }
}
