//! Tables of questions and their answers, in which other servers' tests are written anew, as text is read. It knows of nothing but text:
//! the end-to-end tests read the same tables by this file.

/// A question, and what is told of it here.
#[derive(Debug)]
pub(super) struct Case<'t> {
    /// The name.
    pub(super) question: &'t str,
    /// The type, such as `SRV`.
    pub(super) kind: &'t str,
    /// The response code, such as `NXDOMAIN`.
    pub(super) code: &'t str,
    /// None where it is denied.
    pub(super) records: Vec<Record<'t>>,
}

/// A record, and where it is.
#[derive(Debug)]
pub(super) struct Record<'t> {
    pub(super) place: Place,
    /// Type and data, and before that the name if it is another one than the question's.
    pub(super) text: &'t str,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the answer, at the question's name.
    Asked,
    /// In the answer, at another name.
    Other,
    /// Beside the answer.
    Beside,
}

/// The lines of a table that say something.
pub(super) fn lines(table: &str) -> Vec<&str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

// === impl Case ===

impl<'t> Case<'t> {
    /// The one that begins at a line of a table; the indented lines below are its records. An error says which line is none.
    pub(super) fn at(lines: &[&'t str], at: usize) -> Result<Self, String> {
        let line = lines[at];
        let (case, _) = line.split_once(" differs: ").unwrap_or((line, ""));
        let (case, other) = case.split_once(" but ").map_or((case, None), |(case, other)| (case, Some(other)));
        let [question, kind, code] = case.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("no question, type and code: {line}"));
        };
        let code = match other.map(|other| other.split_once(':')) {
            None => code,
            Some(Some((code, why))) if why.len() > 10 => code,
            Some(_) => return Err(format!("without a reason: {line}")),
        };
        let records =
            lines[at + 1..].iter().take_while(|line| line.starts_with(' ')).map(|line| Record::of(line.trim()));
        Ok(Self { question, kind, code, records: records.collect() })
    }
}

// === impl Record ===

impl<'t> Record<'t> {
    fn of(line: &'t str) -> Self {
        let (place, text) = match line.split_at_checked(2) {
            Some(("+ ", text)) => (Place::Beside, text),
            Some(("& ", text)) => (Place::Other, text),
            _ => (Place::Asked, line),
        };
        Self { place, text }
    }
}
