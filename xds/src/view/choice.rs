//! A choice of services by their labels, in the words of Kubernetes' label selectors.

use std::sync::Arc;

/// Which labels are wanted: all of these hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Choice(Box<[Term]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Term {
    key: Box<str>,
    /// What the value may be; `None` for any.
    values: Option<Box<[Box<str>]>>,
    /// That is what is not wanted: what has no such label is.
    not: bool,
}

/// What a client may say, in bytes and in terms.
const BYTES_MAX: usize = 2_048;
const TERMS_MAX: usize = 64;

// === impl Choice ===

impl Choice {
    /// Reads `team=shop,tier in (a, b),env != dev,!legacy`; nothing at all chooses everything.
    ///
    /// # Errors
    /// When it is something else, in words that say what.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("it has {} bytes, the limit is {BYTES_MAX}", text.len()));
        }
        let terms = split(text).filter(|term| !term.is_empty()).map(Term::read).collect::<Result<Box<[_]>, _>>()?;
        match terms.len() {
            0..=TERMS_MAX => Ok(Self(terms)),
            more => Err(format!("it has {more} terms, the limit is {TERMS_MAX}")),
        }
    }

    /// What fits nothing.
    pub fn nothing() -> Self {
        Self([Term { key: "".into(), values: Some([].into()), not: false }].into())
    }

    /// Whether what has these labels is wanted.
    pub fn fits(&self, labels: &[(Arc<str>, Arc<str>)]) -> bool {
        self.0.iter().all(|term| {
            let value = labels.iter().find(|(key, _)| **key == *term.key).map(|(_, value)| value);
            let is_one = |value: &Arc<str>| {
                term.values.as_ref().is_none_or(|values| values.iter().any(|wanted| **wanted == **value))
            };
            value.is_some_and(is_one) != term.not
        })
    }
}

// === impl Term ===

impl Term {
    fn read(text: &str) -> Result<Self, String> {
        if let Some((key, list)) = text.split_once('(') {
            let list = list.strip_suffix(')').ok_or_else(|| format!("{text:?} lacks its `)`"))?;
            let values = list.split(',').map(|value| self::value(value.trim())).collect::<Result<_, _>>()?;
            let (key, word) = key.trim().rsplit_once(char::is_whitespace).unwrap_or_default();
            let not = match word {
                "in" => false,
                "notin" => true,
                _ => return Err(format!("{text:?} is not of the form `KEY in (A,B)` or `KEY notin (A,B)`")),
            };
            return Ok(Self { key: self::key(key)?, values: Some(values), not });
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Ok(Self { key: self::key(key)?, values: Some([self::value(value.trim())?].into()), not: true });
        }
        if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return Ok(Self { key: self::key(key)?, values: Some([self::value(value.trim())?].into()), not: false });
        }
        let (name, not) = text.strip_prefix('!').map_or((text, false), |name| (name, true));
        Ok(Self { key: key(name)?, values: None, not })
    }
}

/// At the commas that are not within parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    let parts = text.split(move |c: char| {
        within = (within || c == '(') && c != ')';
        c == ',' && !within
    });
    parts.map(str::trim)
}

/// A label's key: letters, digits and `-_./`, and not nothing.
fn key(text: &str) -> Result<Box<str>, String> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.into()),
        false => Err(format!("{text:?} is no key of a label")),
    }
}

/// A label's value, which may be empty.
fn value(text: &str) -> Result<Box<str>, String> {
    match text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        true => Ok(text.into()),
        false => Err(format!("{text:?} is no value of a label")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(choice: &str, labels: &[(&str, &str)]) -> bool {
        let labels: Vec<_> = labels.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect();
        Choice::read(choice).unwrap_or_else(|why| panic!("{choice}: {why}")).fits(&labels)
    }

    #[test]
    fn a_choice_is_read_as_kubernetes_reads_selectors() {
        let shop = [("team", "shop"), ("example.org/tier", "a")];
        for (choice, is_chosen) in [
            ("", true),
            (" , ", true),
            ("team=shop", true),
            ("team == shop", true),
            ("team=bank", false),
            ("team!=bank", true),
            ("team != shop", false),
            ("env!=dev", true),
            ("team", true),
            ("env", false),
            ("!env", true),
            ("!team", false),
            ("team in (shop, bank),example.org/tier in (b)", false),
            ("team in (shop, bank),example.org/tier in (a)", true),
            ("team notin (shop,bank)", false),
            ("env notin (dev)", true),
            ("env in ()", false),
            ("team in (shop),!env,example.org/tier=a", true),
        ] {
            assert_eq!(fits(choice, &shop), is_chosen, "{choice}");
        }
        assert!(fits("empty=", &[("empty", "")]) && !fits("empty=", &[]));
        assert!(!Choice::nothing().fits(&[]) && !Choice::nothing().fits(&[("".into(), "".into())]));
    }

    #[test]
    fn what_is_no_selector_is_told_in_words() {
        let long = "a".repeat(BYTES_MAX + 1);
        let many = vec!["a"; TERMS_MAX + 1].join(",");
        for (text, words) in [
            ("team in (shop", "lacks its"),
            ("team of (shop)", "not of the form"),
            ("in (shop)", "not of the form"),
            ("=shop", "no key"),
            ("te am=shop", "no key"),
            ("team=sh op", "no value"),
            ("!", "no key"),
            (&long, "the limit is 2048"),
            (&many, "the limit is 64"),
        ] {
            let why = Choice::read(text).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
