//! The laboratory: may this machine run interop tests, and where do their files go.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::container::{self, Rootfs};
use super::namespace::{self, Lan, Namespace};
use super::{announce, or_skip, try_run};

/// The mark of everything a test makes outside its own process: namespaces, containers, directories.
const PREFIX: &str = "herald";

/// One test's laboratory. Others may be open beside it, unless it wants the machine for itself: [`Self::open_alone`].
#[derive(Debug)]
pub struct Lab {
    name: String,
    directory: PathBuf,
    rootfs: RouterRootfs,
    _place: File,
}

/// Whether other laboratories may be open on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    Welcome,
    /// The test measures times, or how many requests fail meanwhile.
    Unwanted,
}

/// The root file systems that the routers run in.
#[derive(Clone, Debug)]
struct RouterRootfs {
    frr: Rootfs,
    bird: Rootfs,
    gobgp: Rootfs,
}

impl Lab {
    /// Opens a laboratory, or says why this machine has none: then the test is skipped, or fails if `HERALD_TESTS_NO_SKIP=1`.
    pub fn open(test: &str) -> Option<Self> {
        Self::open_in(test, Company::Welcome)
    }

    /// As [`Self::open`], for who measures times: waits until no other laboratory is open, and no other opens until this one closes.
    pub fn open_alone(test: &str) -> Option<Self> {
        Self::open_in(test, Company::Unwanted)
    }

    fn open_in(test: &str, company: Company) -> Option<Self> {
        or_skip(test, Self::try_open(company))
    }

    fn try_open(company: Company) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("not root".into());
        }
        let place = take_place(company)?;

        static READY: OnceLock<Result<RouterRootfs, String>> = OnceLock::new();
        let check = || {
            sweep();
            check_machine()
        };
        let rootfs = READY.get_or_init(check).clone()?;

        static OPENED: AtomicU32 = AtomicU32::new(0);
        let name = owned_name(&OPENED.fetch_add(1, Ordering::Relaxed).to_string());
        let directory = std::env::temp_dir().join(format!("{name}-files"));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)
            .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        Ok(Self {
            name,
            directory,
            rootfs,
            _place: place,
        })
    }

    /// A directory of this test's own, made when first asked for. It is removed at the end, unless the test failed.
    pub fn directory(&self, label: &str) -> PathBuf {
        let directory = self.directory.join(label);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    /// A network namespace.
    pub fn namespace(&self, label: &str) -> Namespace {
        Namespace::create(&format!("{}-{label}", self.name)).unwrap()
    }

    /// An Ethernet segment: a bridge in a namespace of its own.
    pub fn lan(&self, label: &str) -> Lan {
        Lan::new(self.namespace(label))
    }

    /// The root file system that FRR runs in.
    pub fn frr(&self) -> &Rootfs {
        &self.rootfs.frr
    }

    /// The root file system that BIRD runs in.
    pub fn bird(&self) -> &Rootfs {
        &self.rootfs.bird
    }

    /// The root file system that GoBGP runs in.
    pub fn gobgp(&self) -> &Rootfs {
        &self.rootfs.gobgp
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            announce(&format!(
                "the files of the failed test are in {}",
                self.directory.display()
            ));
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// `herald-PID-LABEL`: the process that owns a thing is part of the thing's name, so that leftovers can be told from what is in use. What
/// belongs to a laboratory has the laboratory's number for a label, and its own behind that.
pub fn owned_name(label: &str) -> String {
    format!("{PREFIX}-{}-{label}", std::process::id())
}

/// Whether a name is that of a thing whose owner is gone.
fn is_leftover(name: &str) -> bool {
    let owner = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.split('-').next());
    let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok()) else {
        return false;
    };
    !Path::new(&format!("/proc/{owner}")).exists()
}

/// Removes what killed tests left behind.
fn sweep() {
    for name in container::names()
        .into_iter()
        .filter(|name| is_leftover(name))
    {
        container::remove(&name);
    }
    for name in namespace::names()
        .into_iter()
        .filter(|name| is_leftover(name))
    {
        namespace::remove(&name);
    }
    for entry in fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry.file_name().to_str().is_some_and(is_leftover) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Waits for a place on this machine, among others or alone. It is given up when the file is closed.
fn take_place(company: Company) -> Result<File, String> {
    let lock = |path: &str, operation| {
        let file = File::create(path).map_err(|error| format!("cannot create {path}: {error}"))?;
        flock(&file, operation).map_err(|error| format!("cannot lock {path}: {error}"))?;
        Ok::<_, String>(file)
    };
    // Who waits to be alone stands in the door: nobody enters before.
    let _door = lock("/run/lock/herald-tests.door", FlockOperation::LockExclusive)?;
    let operation = match company {
        Company::Welcome => FlockOperation::LockShared,
        Company::Unwanted => FlockOperation::LockExclusive,
    };
    lock("/run/lock/herald-tests.lock", operation)
}

/// Tries once, for real, each thing the tests need of the machine.
fn check_machine() -> Result<RouterRootfs, String> {
    let hint = "run scripts/test, which installs what is missing";
    for (program, argument) in [
        ("ip", "-V"),
        ("nft", "--version"),
        ("nsenter", "--version"),
        ("runc", "--version"),
        ("podman", "--version"),
    ] {
        try_run(Command::new(program).arg(argument)).map_err(|error| format!("{error}; {hint}"))?;
    }
    let find = |name| Rootfs::find(name).map_err(|error| format!("{error}; {hint}"));
    let rootfs = RouterRootfs {
        frr: find("frr")?,
        bird: find("bird")?,
        gobgp: find("gobgp")?,
    };
    let probe = Namespace::create(&owned_name("probe"))
        .map_err(|error| format!("no network namespaces here: {error}"))?;
    container::probe(&rootfs.frr, &probe)
        .map_err(|error| format!("podman cannot run a container here: {error}"))?;
    Ok(rootfs)
}
