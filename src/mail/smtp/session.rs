//! One connection, and one message over it after the other.

use std::time::Duration;

use lettre::address::{Address, Envelope};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::time::{sleep, timeout};

use super::{
    content::Content,
    delivery::Reply,
    fault::{Fault, Stage, expect, in_time, join_lines, one_line, split_status},
    limits::SmtpLimits,
    wire::Wire,
};

/// How long a polite `QUIT` may take. Its answer decides nothing.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// An open connection, greeted and authenticated.
pub(super) struct Session {
    pub(super) smtp: AsyncSmtpConnection,
    pub(super) wire: Wire,
    /// Whether the server takes several commands at once (RFC 2920).
    pub(super) pipelines: bool,
    /// Whether the server keeps envelope ids for its reports (RFC 3461).
    pub(super) reports: bool,
    /// For the log.
    pub(super) number: u64,
    /// Messages tried so far: above zero, the connection has been kept.
    pub(super) messages: u32,
    /// A refused message may still be open on the server: RSET comes before the next one.
    pub(super) unfinished: bool,
}

/// How a transaction ended without acceptance.
pub(super) struct Ended {
    pub(super) stage: Stage,
    pub(super) fault: Fault,
    pub(super) handed_over: bool,
    /// Whether the connection had been used before.
    pub(super) reused: bool,
}

impl Ended {
    /// Whether a kept connection turned out to be dead before anything of this message was done.
    pub(super) fn is_stale(&self) -> bool {
        self.reused
            && match (self.stage, &self.fault) {
                (Stage::Reset | Stage::Mail, Fault::Broken(_)) => true,
                (Stage::Reset, Fault::Reply { .. }) => true,
                (Stage::Mail, Fault::Reply { code, .. }) => *code == 421,
                _ => false,
            }
    }
}

impl Session {
    /// One mail transaction (RFC 5321, section 3.3), stage by stage.
    pub(super) async fn transact(
        &mut self,
        envelope: &Envelope,
        id: Option<&str>,
        content: &Content,
        limits: &SmtpLimits,
    ) -> Result<Reply, Ended> {
        let reused = self.messages > 0;
        self.messages += 1;
        self.stages(envelope, id, content, limits)
            .await
            .map_err(|(stage, fault)| Ended {
                handed_over: stage == Stage::FinalDot && fault.leaves_unknown(),
                stage,
                fault,
                reused,
            })
    }

    async fn stages(
        &mut self,
        envelope: &Envelope,
        id: Option<&str>,
        content: &Content,
        limits: &SmtpLimits,
    ) -> Result<Reply, (Stage, Fault)> {
        let limit = limits.command;
        let smtp = &mut self.smtp;

        if self.unfinished {
            in_time(limit, smtp.command(Rset))
                .await
                .and_then(|reply| expect(&reply, is_done))
                .map_err(at(Stage::Reset))?;
        }
        self.unfinished = false;

        let mut parameters = Vec::new();
        let addresses = envelope.from().into_iter().chain(envelope.to());
        if addresses
            .into_iter()
            .any(|a| !AsRef::<str>::as_ref(a).is_ascii())
        {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                let reason = "the address is not ASCII, and the server does not offer SMTPUTF8 \
                              (RFC 6531)";
                return Err((Stage::Check, Fault::Local(reason)));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        // From here to the acceptance, whatever ends the transaction leaves it open.
        self.unfinished = true;
        if let Some(id) = id.filter(|_| self.reports) {
            parameters.push(MailParameter::Other {
                keyword: "ENVID".to_owned(),
                value: Some(id.to_owned()),
            });
        }
        let mail = Mail::new(envelope.from().cloned(), parameters);
        match envelope.to() {
            // Of several, some may be refused after DATA was taken for the others: then one by one.
            [recipient] if self.pipelines => {
                announce_at_once(smtp, &mail, recipient, limit).await?;
            }
            recipients => announce(smtp, &mail, recipients, limit).await?,
        }

        let reply = write_message(smtp, &self.wire, content, limits).await?;
        expect(&reply, is_done).map_err(at(Stage::FinalDot))?;
        self.unfinished = false;
        let code = u16::from(reply.code());
        let (enhanced_status, text) = split_status(code, &join_lines(&reply));
        Ok(Reply {
            code,
            enhanced_status,
            text: one_line(&text),
        })
    }

    pub(super) async fn quit(mut self) {
        // Whether it was heard does not matter: the connection is closed in any case.
        let _ = timeout(QUIT_LIMIT, self.smtp.quit()).await;
    }
}

fn is_done(code: u16) -> bool {
    (200..300).contains(&code)
}

fn is_data_wanted(code: u16) -> bool {
    code == 354
}

fn at(stage: Stage) -> impl Fn(Fault) -> (Stage, Fault) {
    move |fault| (stage, fault)
}

/// Whether the answer to EHLO offers an extension (RFC 5321, section 4.1.1.1).
pub(super) fn offers(answer: &Response, extension: &str) -> bool {
    let mut lines = answer.message().skip(1);
    lines.any(|line| {
        let keyword = line.split(' ').next().unwrap_or_default();
        keyword.eq_ignore_ascii_case(extension)
    })
}

/// MAIL, RCPT and DATA, each after the answer to the one before.
async fn announce(
    smtp: &mut AsyncSmtpConnection,
    mail: &Mail,
    recipients: &[Address],
    limit: Duration,
) -> Result<(), (Stage, Fault)> {
    in_time(limit, smtp.command(mail))
        .await
        .and_then(|reply| expect(&reply, is_done))
        .map_err(at(Stage::Mail))?;
    for recipient in recipients {
        let rcpt = Rcpt::new(recipient.clone(), Vec::new());
        in_time(limit, smtp.command(rcpt))
            .await
            .and_then(|reply| expect(&reply, is_done))
            .map_err(at(Stage::Rcpt))?;
    }
    in_time(limit, smtp.command(Data))
        .await
        .and_then(|reply| expect(&reply, is_data_wanted))
        .map_err(at(Stage::Data))
}

/// The same in one go: three answers for one wait (RFC 2920).
///
/// The first refusal decides, and the answers after it are read all the same, so that the next message finds the
/// connection in step. A server may ask for the content although it refused the recipient (section 3.1): it
/// gets none.
async fn announce_at_once(
    smtp: &mut AsyncSmtpConnection,
    mail: &Mail,
    recipient: &Address,
    limit: Duration,
) -> Result<(), (Stage, Fault)> {
    let rcpt = Rcpt::new(recipient.clone(), Vec::new());
    let all = format!("{mail}{rcpt}{Data}");
    let done = |reply: Response| expect(&reply, is_done);
    let mail = refusal(in_time(limit, smtp.command(all)).await.and_then(done));
    let mail = mail.map_err(at(Stage::Mail))?;
    let rcpt = refusal(in_time(limit, smtp.read_response()).await.and_then(done));
    let rcpt = rcpt.map_err(at(Stage::Rcpt))?;
    let wanted = |reply: Response| expect(&reply, is_data_wanted);
    let data = refusal(in_time(limit, smtp.read_response()).await.and_then(wanted));
    let data = data.map_err(at(Stage::Data))?;
    let refused = mail.map(at(Stage::Mail)).or(rcpt.map(at(Stage::Rcpt)));
    match (refused, data) {
        (None, None) => Ok(()),
        (None, Some(fault)) => Err((Stage::Data, fault)),
        (Some(refused), Some(_)) => Err(refused),
        (Some(refused), None) => {
            let nothing = in_time(limit, smtp.command(".\r\n")).await.and_then(done);
            match refusal(nothing) {
                Ok(Some(_)) => Err(refused),
                Ok(None) => {
                    let reason = "the server took a message whose recipient it had refused";
                    Err((Stage::Data, Fault::Broken(reason.into())))
                }
                Err(fault) => Err((Stage::Data, fault)),
            }
        }
    }
}

/// One answer of several: whether the server refused. What leaves no more answers to wait for is an error.
fn refusal(answer: Result<(), Fault>) -> Result<Option<Fault>, Fault> {
    match answer {
        Ok(()) => Ok(None),
        Err(Fault::Reply { code, text }) if code != 421 => Ok(Some(Fault::Reply { code, text })),
        Err(fault) => Err(fault),
    }
}

/// Writes the content with its final dot and reads the answer: first against the body's time limit, from
/// the moment on at which the dot is out against the dot's.
async fn write_message(
    smtp: &mut AsyncSmtpConnection,
    wire: &Wire,
    content: &Content,
    limits: &SmtpLimits,
) -> Result<Response, (Stage, Fault)> {
    wire.expect_flush();
    let watch = async {
        if timeout(limits.body, wire.flushed()).await.is_err() {
            return limits.body;
        }
        sleep(limits.final_dot).await;
        limits.final_dot
    };
    let result = tokio::select! {
        biased;
        result = smtp.command(content) => result.map_err(Fault::from),
        limit = watch => Err(Fault::Timeout(limit)),
    };
    let stage = if wire.has_flushed() {
        Stage::FinalDot
    } else {
        Stage::Body
    };
    result.map_err(|fault| (stage, fault))
}
