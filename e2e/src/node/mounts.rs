//! What the namespaces see of the machine's files: all of them, but for the places that a node writes to.

use std::path::Path;

use anyhow::{Context, Result};

use super::cgroups::Layout;
use super::space::Space;

/// Hidden by empty folders: what is written there stays in the namespaces.
pub(super) const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// What the kubelet insists on. These concern the whole machine, so it must not set them: it is shown files instead.
const SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Mounts everything for the control plane.
pub(super) fn set_up_control(space: &Space, layout: &Layout) -> Result<()> {
    own_kernel_views(space, layout)?;
    HIDDEN.iter().try_for_each(|folder| mount(space, &["-t", "tmpfs", "tmpfs", folder]))
}

/// Mounts everything for a node whose state is in `folder`.
pub(super) fn set_up_node(space: &Space, layout: &Layout, folder: &Path) -> Result<()> {
    own_kernel_views(space, layout)?;
    for (name, value) in SYSCTLS {
        let file = folder.join(name.replace('/', "."));
        std::fs::write(&file, value).with_context(|| format!("writing {}", file.display()))?;
        bind(space, &file, &format!("/proc/sys/{name}"))?;
    }
    // The control plane's are empty but would be shared.
    mount(space, &["-t", "tmpfs", "tmpfs", "/run"])?;
    mount(space, &["-t", "tmpfs", "tmpfs", "/var/lib"])?;
    for (name, at) in [("kubelet", "/var/lib/kubelet"), ("log", "/var/log")] {
        let own = folder.join(name);
        std::fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
        let inside = space.file(at);
        std::fs::create_dir_all(&inside).with_context(|| format!("making {at} in the namespaces"))?;
        bind(space, &own, at)?;
    }
    // What the kubelet mounts, containers must see, and what volume drivers mount, the kubelet.
    mount(space, &["--make-rshared", "/"])
}

/// `/sys` of the own network, and of the own control groups.
fn own_kernel_views(space: &Space, layout: &Layout) -> Result<()> {
    mount(space, &["-t", "sysfs", "sysfs", "/sys"])?;
    for words in layout.mounts() {
        mount(space, &words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Whether the kernel stacks read-only layers and a writable one in this folder, so that containers need no copies.
pub(super) fn has_overlays(space: &Space, folder: &Path) -> bool {
    let test = folder.join("overlay-test");
    let paths = ["lower", "upper", "work", "merged"].map(|name| test.join(name));
    if paths.iter().any(|path| std::fs::create_dir_all(path).is_err()) {
        return false;
    }
    let [lower, upper, work, merged] = paths.map(|path| path.display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let works = mount(space, &["-t", "overlay", "-o", &options, "overlay", &merged]).is_ok();
    if works {
        // Left behind, it would end with the namespaces.
        let _ = space.run(&["umount", &merged]);
    }
    let _ = std::fs::remove_dir_all(&test);
    works
}

fn bind(space: &Space, from: &Path, to: &str) -> Result<()> {
    mount(space, &["--bind", &from.display().to_string(), to])
}

fn mount(space: &Space, args: &[&str]) -> Result<()> {
    space.run(&[&["mount"], args].concat()).map(drop)
}
