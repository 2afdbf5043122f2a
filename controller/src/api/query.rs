//! Parameters of a request: what follows the question mark, and the names in its path.

use std::borrow::Cow;

use super::problem::Problem;

/// Parameters in the order in which they were given; one may be given several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// Parameters at most.
const PARAMETERS_MAX: usize = 64;

// === impl Query ===

impl Query {
    /// Reads `a=1&b=2`, with `%41` and `+` as forms write them.
    ///
    /// # Errors
    /// When there are too many, or one is no UTF-8.
    pub fn read(text: &str) -> Result<Self, Problem> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let mut read = Vec::new();
        for pair in pairs {
            if read.len() == PARAMETERS_MAX {
                let detail = format!("there are more than {PARAMETERS_MAX} parameters; ask in several requests");
                return Err(Problem::bad_request(detail));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (name.replace('+', " "), value.replace('+', " "));
            let both = decoded(&name).zip(decoded(&value)).map(|(name, value)| (name.into_owned(), value.into_owned()));
            let Some(both) = both else {
                return Err(Problem::bad_request(format!(
                    "parameter {name:?} is not UTF-8, or has a % that is no code"
                )));
            };
            read.push(both);
        }
        Ok(Self(read))
    }

    /// Each parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// When it is given more than once.
    pub fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Problem::bad_request(format!("parameter {name} may be given once"))),
        }
    }

    /// Refuses parameters that are none of these.
    ///
    /// # Errors
    /// For the first one that is not known, with those that are.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let Some((unknown, _)) = self.iter().find(|(name, _)| !known.contains(name)) else { return Ok(()) };
        let there_is = match known {
            [] => "this takes none".to_owned(),
            known => format!("there is {}", known.join(", ")),
        };
        Err(Problem::bad_request(format!("unknown parameter {unknown:?}; {there_is}")))
    }
}

/// Percent-decoding (RFC 3986 §2.1); `None` when it is not UTF-8 or a code is broken.
pub(super) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_forms_write_them() {
        let query = Query::read("tag=v%31&tag=a+b&zone=&wait").expect("good");
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["v1", "a b"]);
        assert_eq!((query.one("zone"), query.one("wait"), query.one("x")), (Ok(Some("")), Ok(Some("")), Ok(None)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_words() {
        let said = |text: &str| Query::read(text).expect_err("refused").detail().to_owned();
        assert!(said("tag=%f").contains("\"tag\""), "{}", said("tag=%f"));
        assert!(said("tag=%ff").contains("not UTF-8"));
        assert!(said(&"a=1&".repeat(65)).contains("more than 64"));
        let query = Query::read("tags=v1&tag=a&tag=b").expect("good");
        let unknown = query.only(&["tag", "zone"]).expect_err("refused");
        assert_eq!(unknown.detail(), "unknown parameter \"tags\"; there is tag, zone");
        assert_eq!(query.one("tag").expect_err("refused").detail(), "parameter tag may be given once");
    }
}
