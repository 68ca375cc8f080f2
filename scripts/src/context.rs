//! What every verb needs to know.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cache::{self, Lock};
use crate::tools::Tools;

pub struct Context {
    /// The architecture of the kernel.
    pub arch: Arch,
    /// The top folder of this repository.
    pub repo: PathBuf,
    /// Everything that is downloaded or built goes below this folder. It exists.
    pub cache: PathBuf,
    /// `--linux`: the user's git tree of Linux.
    pub linux: Option<PathBuf>,
    tools: RefCell<Option<Rc<Tools>>>,
    lock: RefCell<Weak<Lock>>,
}

impl Context {
    pub fn new(arch: Arch, linux: Option<PathBuf>) -> Result<Context> {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let repo = repo.context("the crate has no parent folder")?.to_owned();
        if !repo.join("scripts/series").is_dir() {
            bail!("{} is not this repository any more", repo.display());
        }
        let cache = cache::folder(|name| std::env::var_os(name))?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        Ok(Context {
            arch,
            repo,
            cache,
            linux,
            tools: RefCell::default(),
            lock: RefCell::default(),
        })
    }

    /// The same for another architecture. Only one of them may hold the lock.
    pub fn with(&self, arch: Arch) -> Context {
        Context {
            arch,
            repo: self.repo.clone(),
            cache: self.cache.clone(),
            linux: self.linux.clone(),
            tools: RefCell::default(),
            lock: RefCell::default(),
        }
    }

    /// The tools as they are on this machine, searched once. What lacks is `None` there;
    /// [`crate::setup::ensure`] installs it.
    pub fn tools(&self) -> Rc<Tools> {
        if let Some(tools) = &*self.tools.borrow() {
            return tools.clone();
        }
        let tools = Rc::new(Tools::find(self.arch, &self.cache));
        *self.tools.borrow_mut() = Some(tools.clone());
        tools
    }

    /// Forgets what [`Context::tools`] found, after an installation.
    pub fn forget_tools(&self) {
        *self.tools.borrow_mut() = None;
    }

    /// Keeps other runs out of the cache until the last guard is dropped. May be nested.
    pub fn lock(&self) -> Result<Rc<Lock>> {
        if let Some(lock) = self.lock.borrow().upgrade() {
            return Ok(lock);
        }
        let lock = Rc::new(Lock::take(&self.cache)?);
        *self.lock.borrow_mut() = Rc::downgrade(&lock);
        Ok(lock)
    }
}
