//! What an operator does about a failure: the first rule that fits says it, else whom it is about. Pure.

mod rules;
#[cfg(test)]
mod tests;
mod unsaid;
mod words;

use super::{
    super::{
        fault::{Fault, Stage, too_large},
        reply::Reply,
    },
    reading::{status_of, words_of},
    rules::Rule,
    whom::About,
};
use rules::SAID;
use unsaid::UNSAID;
use words::{HUNG_UP, SLOWER};

/// What to do where no rule fits.
fn otherwise(about: About) -> &'static str {
    match about {
        About::Recipient => "check the address, and in the mail server's log what it says of it",
        About::Message => "look into the mail server's log for what it objects to in the mail",
        About::Sender => {
            "look into the mail server's log why it takes nothing from this sender or machine"
        }
        About::Pace => SLOWER,
        About::Unsure => "nothing to do: mails are tried again, and the next answers tell",
        About::Connection => {
            "nothing to do if it was once; else look into the mail server's log why it ends conversations"
        }
        About::Away => HUNG_UP,
    }
}

/// The rules that are about such a fault, and the one that fits first.
fn rule_for(stage: Stage, fault: &Fault) -> (&'static [Rule<&'static str>], Option<usize>) {
    let ours = |words: &str| {
        let lines = vec![words.to_owned()];
        (UNSAID, Reply { code: 0, lines })
    };
    let (rules, reply) = match fault {
        Fault::Reply(reply) => (SAID, reply.clone()),
        Fault::Timeout(_) => ours("no answer"),
        Fault::Broken(words) | Fault::Local(words) => ours(words),
        Fault::TooLarge { size, most } => ours(&too_large(*size, *most)),
    };
    let (status, text) = (status_of(&reply), words_of(&reply));
    let first = rules
        .iter()
        .position(|rule| rule.fits(stage, &reply, status, &text));
    (rules, first)
}

/// What an operator does about a failure, in one sentence.
pub(in super::super) fn remedy(stage: Stage, fault: &Fault, about: About) -> &'static str {
    match rule_for(stage, fault) {
        (rules, Some(first)) => rules[first].then,
        (_, None) => otherwise(about),
    }
}
