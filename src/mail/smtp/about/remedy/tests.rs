use super::{super::tests::reply, *};

/// What goes wrong where, and a part of what to do: at least one line for each rule.
const CASES: &str = include_str!("cases.tsv");

fn cases() -> Vec<(Stage, Fault, &'static str)> {
    use Stage::{Auth, Body, Check, Connect, Data, FinalDot, Hello, Mail, Rcpt, StartTls, Tls};
    let stages = [
        Auth, Body, Check, Connect, Data, FinalDot, Hello, Mail, Rcpt, StartTls, Tls,
    ];
    let lines = CASES.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [stage, kind, words, part] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("not four cells: {line}");
            };
            let is_named = |known: &&Stage| format!("{known:?}") == stage;
            let stage = stages.iter().find(is_named).unwrap();
            let fault = match kind {
                "Reply" => Fault::Reply(reply(&words.replace("\\n", "\n"))),
                "Broken" => Fault::Broken(words.to_owned()),
                "Local" => Fault::Local(words.to_owned()),
                _ => Fault::Timeout(std::time::Duration::from_secs(10)),
            };
            (*stage, fault, part)
        })
        .collect()
}

#[test]
fn each_failure_has_something_to_do() {
    for (stage, fault, part) in cases() {
        let told = remedy(stage, &fault, super::super::about(stage, &fault));
        assert!(told.contains(part), "{stage}: {fault:?}: {told}");
    }
}

#[test]
fn every_rule_says_something() {
    let met: Vec<_> = cases()
        .iter()
        .map(|(stage, fault, _)| rule_for(*stage, fault))
        .collect();
    for rules in [SAID, UNSAID] {
        for (index, rule) in rules.iter().enumerate() {
            let is_met = |(of, first): &(&[Rule<&str>], Option<usize>)| {
                std::ptr::eq(*of, rules) && *first == Some(index)
            };
            assert!(
                met.iter().any(is_met),
                "nothing meets {index}: {}",
                rule.then
            );
        }
    }
}

#[test]
fn a_remedy_is_one_short_line() {
    for told in SAID.iter().chain(UNSAID).map(|rule| rule.then) {
        assert!(
            told.len() < 260 && !told.contains('\n') && !told.ends_with('.'),
            "{told}"
        );
    }
}
