//! A strict reader of Prometheus' text format 0.0.4: what it does not know to be allowed, it refuses.

use std::collections::{BTreeMap, BTreeSet};

/// A metric family.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a whole scrape.
///
/// # Errors
/// Says what is wrong, and in which line.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let body = text.strip_suffix('\n').ok_or("the last line has no end")?;
    let mut families = BTreeMap::new();
    let mut current: Option<Family> = None;
    let mut series = BTreeSet::new();
    for line in body.split('\n') {
        read_line(line, &mut families, &mut current, &mut series)
            .map_err(|why| format!("{why}: {line:?}"))?;
    }
    finish(current, &mut families)?;
    Ok(families)
}

fn read_line(
    line: &str,
    families: &mut BTreeMap<String, Family>,
    current: &mut Option<Family>,
    series: &mut BTreeSet<String>,
) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("# HELP ") {
        let (name, help) = rest.split_once(' ').ok_or("HELP without text")?;
        finish(current.take(), families)?;
        let help = unescape(help, false)?;
        *current = Some(Family { name: name.into(), kind: String::new(), help, samples: vec![] });
    } else if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, kind) = rest.split_once(' ').ok_or("TYPE without type")?;
        let family = current.as_mut().filter(|f| f.name == name).ok_or("TYPE without its HELP")?;
        if !family.kind.is_empty() || !["counter", "gauge", "histogram"].contains(&kind) {
            return Err("a second or unknown type".into());
        }
        family.kind = kind.into();
    } else {
        let family = current.as_mut().filter(|f| !f.kind.is_empty()).ok_or("a sample without TYPE")?;
        let sample = read_sample(line)?;
        let allowed: &[&str] =
            if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        let suffix = sample.name.strip_prefix(&family.name).ok_or("a sample of another family")?;
        if !allowed.contains(&suffix) {
            return Err("a name that the type does not have".into());
        }
        let mut labels = sample.labels.clone();
        labels.sort();
        if !series.insert(format!("{} {labels:?}", sample.name)) {
            return Err("the same series twice".into());
        }
        if family.kind == "counter" && (sample.value.is_nan() || sample.value < 0.0) {
            return Err("a counter that cannot have counted".into());
        }
        family.samples.push(sample);
    }
    Ok(())
}

fn finish(family: Option<Family>, families: &mut BTreeMap<String, Family>) -> Result<(), String> {
    let Some(family) = family else { return Ok(()) };
    if family.samples.is_empty() {
        return Err(format!("{} has no samples", family.name));
    }
    if family.kind == "histogram" {
        check_histogram(&family)?;
    }
    let name = family.name.clone();
    match families.insert(name.clone(), family) {
        None => Ok(()),
        Some(_) => Err(format!("{name} stands in two places")),
    }
}

/// Buckets rise in bound and count, and the last one, +Inf, holds all.
fn check_histogram(family: &Family) -> Result<(), String> {
    let name = &family.name;
    let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
    for sample in family.samples.iter().filter(|s| s.name.ends_with("_bucket")) {
        let le = sample.label("le").ok_or_else(|| format!("{name}: a bucket without le"))?;
        let le = if le == "+Inf" { f64::INFINITY } else { number(le)? };
        if le <= bound || sample.value < below {
            return Err(format!("{name}: buckets do not rise"));
        }
        (bound, below) = (le, sample.value);
    }
    let count = family.samples.iter().find(|s| s.name.ends_with("_count")).map(|s| s.value);
    if bound != f64::INFINITY || count != Some(below) {
        return Err(format!("{name}: +Inf is not the count"));
    }
    Ok(())
}

fn read_sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    check_name(name, true)?;
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"").ok_or("a label without a value")?;
            check_name(label, false)?;
            let end = end_of_value(after).ok_or("a value without an end")?;
            if labels.iter().any(|(name, _)| name == label) {
                return Err("a label twice".into());
            }
            labels.push((label.to_owned(), unescape(&after[..end], true)?));
            inside = &after[end + 1..];
            match inside.strip_prefix(',') {
                Some(more) => inside = more,
                None => break,
            }
        }
        rest = inside.strip_prefix('}').ok_or("labels without an end")?;
    }
    let value = number(rest.strip_prefix(' ').ok_or("no blank before the value")?)?;
    Ok(Sample { name: name.into(), labels, value })
}

fn number(text: &str) -> Result<f64, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|_| plain).ok_or_else(|| format!("not a number: {text:?}"))
}

fn check_name(name: &str, colon: bool) -> Result<(), String> {
    let fits = |(n, b): (usize, u8)| {
        b.is_ascii_alphabetic() || b == b'_' || (n > 0 && b.is_ascii_digit()) || (colon && b == b':')
    };
    if !name.is_empty() && name.bytes().enumerate().all(fits) {
        Ok(())
    } else {
        Err(format!("not a name: {name:?}"))
    }
}

/// Where an escaped value's closing quote is.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\\') => plain.push('\\'),
                Some('n') => plain.push('\n'),
                Some('"') if quotes => plain.push('"'),
                _ => return Err("an unknown escape".into()),
            },
            '"' if quotes => return Err("a bare quote".into()),
            c => plain.push(c),
        }
    }
    Ok(plain)
}
