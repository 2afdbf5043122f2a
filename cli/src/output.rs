//! What is printed.

use std::io::Write;

use serde_json::Value;

use crate::args::Output;
use crate::failure::Failure;

/// Prints text.
///
/// # Errors
/// When nobody reads it.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The answer for tools; `None` when people are to read it.
///
/// # Errors
/// When it cannot be written as YAML, which no answer of JSON should be.
pub fn for_tools(answer: &Value, output: Output) -> Result<Option<String>, Failure> {
    match output {
        Output::Json => Ok(Some(format!("{answer:#}\n"))),
        Output::Yaml => {
            let yaml = serde_saphyr::to_string(answer);
            yaml.map(Some).map_err(|error| Failure::Refused(format!("the answer cannot be written as YAML: {error}")))
        }
        Output::Table | Output::Wide => Ok(None),
    }
}
