//! The same values give the same objects, by each Helm, and pass its own checks.

use anyhow::{Context, Result, ensure};
use rollcall_e2e::tools;

use super::rendered::{NAMESPACE, chart, files, helm, render_file};

#[test]
fn helm_says_its_whole_version() -> Result<()> {
    let three = helm(&tools::helm()?, &["version", "--short"], "")?;
    let four = helm(&tools::helm4()?, &["version", "--short"], "")?;
    ensure!(three.starts_with("v3.22.") && four.starts_with("v4."), "{three}{four}");
    Ok(())
}

#[test]
fn lint_has_nothing_to_say() -> Result<()> {
    let chart = chart();
    for program in [tools::helm()?, tools::helm4()?] {
        for file in files()? {
            let words = ["lint", "--strict", "--quiet", "--namespace", NAMESPACE, "--values"].map(str::to_owned);
            let paths = [file.display().to_string(), chart.display().to_string()];
            let words: Vec<&str> = words.iter().chain(&paths).map(String::as_str).collect();
            helm(&program, &words, "").with_context(|| file.display().to_string())?;
        }
    }
    Ok(())
}

#[test]
fn rendered_twice_it_is_the_same_and_by_helm_4_too() -> Result<()> {
    let (three, four) = (tools::helm()?, tools::helm4()?);
    for file in files()? {
        let once = render_file(&three, &file)?;
        ensure!(once == render_file(&three, &file)?, "{} renders differently each time", file.display());
        let by_four = render_file(&four, &file)?;
        ensure!(once.objects.len() == by_four.objects.len(), "{:?} and {:?}", once.names(), by_four.names());
        let missing = once.objects.iter().find(|object| !by_four.objects.contains(object));
        ensure!(missing.is_none(), "{}: Helm 4 renders otherwise than {missing:#?}", file.display());
    }
    Ok(())
}
