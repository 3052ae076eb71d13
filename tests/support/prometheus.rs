//! Reads the text format of Prometheus (version 0.0.4) by its rules, and takes nothing that breaks one.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What was scraped: the value of every series, by its name and sorted labels as they are written.
#[derive(Debug)]
pub struct Scrape {
    series: HashMap<String, f64>,
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The labels between braces, and what follows the closing one.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{name}");
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in after.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, '\\' | '"') => value.push(c),
                (true, _) => panic!("an unknown escape in {text}"),
                (false, '\\') => {}
                (false, '"') => {
                    end = Some(at + 1);
                    break;
                }
                (false, _) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        rest = &after[end.expect("the end of a label's value")..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
        let twice = labels.insert(name.to_owned(), value);
        assert!(twice.is_none(), "{name} is there twice in {text}");
    }
}

fn key(name: &str, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

struct Family<'a> {
    name: &'a str,
    kind: &'a str,
}

impl Family<'_> {
    /// Whether a sample of this name belongs here.
    fn has(&self, sample: &str) -> bool {
        match (self.kind, sample.strip_prefix(self.name)) {
            ("histogram", Some(end)) => matches!(end, "_bucket" | "_sum" | "_count"),
            (_, Some(end)) => end.is_empty(),
            (_, None) => false,
        }
    }
}

impl Scrape {
    /// # Panics
    /// When a rule is broken.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n') && !text.contains('\r'));
        let (mut series, mut seen) = (HashMap::new(), HashSet::new());
        let mut help: Option<&str> = None;
        let mut family: Option<Family> = None;
        // For each histogram: its buckets in the order in which they are written.
        let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').expect("a help text");
                assert!(is_name(name) && words.len() > 10, "{line}");
                help = Some(name);
                family = None;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(help, Some(name), "HELP stands before TYPE");
                assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                assert!(seen.insert(name), "{name} is there twice");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                family = Some(Family { name, kind });
            } else {
                let end = line.find(['{', ' ']).expect("a sample");
                let name = &line[..end];
                let of = family.as_ref().expect("a sample stands behind its TYPE");
                assert!(is_name(name) && of.has(name), "{line} in {}", of.name);
                let (mut labels, rest) = match line[end..].strip_prefix('{') {
                    Some(inside) => labels(inside),
                    None => (BTreeMap::new(), &line[end..]),
                };
                let value: f64 = rest.strip_prefix(' ').unwrap().parse().expect("a number");
                assert!(of.kind == "gauge" || value >= 0.0, "{line}");
                let twice = series.insert(key(name, &labels), value);
                assert!(twice.is_none(), "{line} is there twice");
                if name.ends_with("_bucket") && of.kind == "histogram" {
                    let bound: f64 = labels.remove("le").expect("le").parse().unwrap();
                    let whole = key(of.name, &labels);
                    buckets.entry(whole).or_default().push((bound, value));
                }
            }
        }
        for (whole, buckets) in &buckets {
            let grow = |two: &[(f64, f64)]| two[0].0 < two[1].0 && two[0].1 <= two[1].1;
            assert!(buckets.windows(2).all(grow), "{whole}: {buckets:?}");
            let (last, all) = buckets[buckets.len() - 1];
            let count = whole.replacen('{', "_count{", 1);
            assert!(last.is_infinite() && series[&count] == all, "{whole}");
            assert!(series.contains_key(&whole.replacen('{', "_sum{", 1)));
        }
        Self { series }
    }

    /// The value of a series, named as `name{label=value,…}` with its labels sorted.
    pub fn get(&self, series: &str) -> Option<f64> {
        let braced = match series.contains('{') {
            true => series.to_owned(),
            false => format!("{series}{{}}"),
        };
        self.series.get(&braced).copied()
    }

    /// The names of all series with this beginning.
    pub fn beginning_with(&self, start: &str) -> Vec<&str> {
        let names = self.series.keys().map(String::as_str);
        names.filter(|name| name.starts_with(start)).collect()
    }
}
