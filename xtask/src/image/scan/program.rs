//! What a program's file says about itself.

use object::elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, read};

use super::super::platform::Arch;
use super::Expected;

/// Why this program cannot run alone in an image, or tells who built it.
pub(super) fn problems(bytes: &[u8], expected: &Expected<'_>) -> Vec<String> {
    let mut problems =
        elf_problems(bytes, expected.arch).unwrap_or_else(|error| vec![format!("it is no ELF: {error}")]);
    let text = String::from_utf8_lossy(bytes);
    for folder in expected.secrets.iter().filter(|folder| folder.components().count() > 2) {
        let folder = folder.to_string_lossy();
        if let Some(at) = text.find(folder.as_ref()) {
            let found: String = text[at..].chars().take(100).take_while(|letter| !letter.is_control()).collect();
            problems.push(format!("it names a folder of the machine that built it: {found:?}; see compile.rs"));
        }
    }
    problems
}

fn elf_problems(bytes: &[u8], arch: Arch) -> read::Result<Vec<String>> {
    let mut problems = Vec::new();
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let machine = match arch {
        Arch::X86 => EM_X86_64,
        Arch::Arm => EM_AARCH64,
    };
    if header.e_machine.get(endian) != machine {
        problems.push("it is for another processor".to_owned());
    }
    for segment in header.program_headers(endian, bytes)? {
        if segment.p_type(endian) == PT_INTERP {
            problems.push("it is linked dynamically: it wants an interpreter that the image has not".to_owned());
        }
        let dynamic = segment.dynamic(endian, bytes)?.unwrap_or_default();
        if dynamic.iter().any(|entry| entry.d_tag(endian) == DT_NEEDED) {
            problems.push("it is linked dynamically: it wants a library that the image has not".to_owned());
        }
    }
    Ok(problems)
}
