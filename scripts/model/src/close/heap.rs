// SPDX-License-Identifier: GPL-2.0

//! Memory that is poisoned when it is freed, and stays until the end of an execution.
//!
//! Each block has a cell of loom's, which is read by who uses the block and written by who frees
//! it. So a use that comes after the free is found, and one that only might: that nothing orders
//! before it.

use loom::cell::UnsafeCell;
use std::{
    alloc::Layout,
    cell::{
        Cell,
        RefCell, //
    },
    collections::BTreeMap,
    rc::Rc, //
};

/// Whether something may be used.
pub struct Life {
    what: &'static str,
    uses: UnsafeCell<()>,
    over: Cell<bool>,
}

impl Life {
    /// It may.
    pub fn new(what: &'static str) -> Self {
        Life {
            what,
            uses: UnsafeCell::new(()),
            over: Cell::new(false),
        }
    }

    /// Somebody uses it.
    pub fn touch(&self) {
        self.look();
        let _named = Named("used", self.what);
        self.uses.with(|_| ());
    }

    /// Somebody has used it, with an access that orders what comes before it, as a release does.
    pub fn look(&self) {
        assert!(!self.over.get(), "freed: {}", self.what);
    }

    /// Nobody may use it any more.
    pub fn end(&self) {
        assert!(!self.over.replace(true), "freed: {} twice", self.what);
        let _named = Named("freed", self.what);
        self.uses.with_mut(|_| ());
    }

    /// It is something new.
    pub fn renew(&self) {
        assert!(self.over.replace(false));
        self.uses.with_mut(|_| ());
    }
}

/// Says what loom's message is about.
struct Named(&'static str, &'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("when {} was {}", self.1, self.0);
        }
    }
}

struct Block {
    layout: Layout,
    life: Rc<Life>,
}

thread_local! {
    static BLOCKS: RefCell<BTreeMap<usize, Block>> = const { RefCell::new(BTreeMap::new()) };
}

/// Gives back the memory of the last execution, however that ended.
pub fn begin() {
    for (address, block) in BLOCKS.take() {
        // SAFETY: It was allocated so, and nobody has it.
        unsafe { std::alloc::dealloc(address as *mut u8, block.layout) };
    }
}

/// At the end of an execution: nothing is left.
pub fn finish() {
    BLOCKS.with_borrow(|blocks| {
        let left = blocks.values().find(|block| !block.life.over.get());
        let left = left.map(|block| block.life.what);
        assert!(left.is_none(), "leaked: {}", left.unwrap_or_default());
    });
}

/// What a type is called, without its module and parameters.
pub fn name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// As `kmalloc()`.
pub fn alloc<T>(what: &'static str, value: T) -> *mut T {
    let layout = Layout::new::<T>();
    assert!(layout.size() != 0);
    // SAFETY: It has a size.
    let place = unsafe { std::alloc::alloc(layout) }.cast::<T>();
    assert!(!place.is_null());
    // SAFETY: There is room for it.
    unsafe { place.write(value) };
    let life = Rc::new(Life::new(what));
    BLOCKS.with_borrow_mut(|blocks| blocks.insert(place.addr(), Block { layout, life }));
    place
}

fn life(address: usize) -> Option<Rc<Life>> {
    BLOCKS.with_borrow(|blocks| {
        let (begin, block) = blocks.range(..=address).next_back()?;
        (address - begin < block.layout.size()).then(|| block.life.clone())
    })
}

/// Somebody uses what is at `place`.
pub fn touch<T: ?Sized>(place: *const T) {
    if let Some(life) = life(place.cast::<()>().addr()) {
        life.touch();
    }
}

/// Somebody has used it; see [`Life::look()`].
pub fn look<T: ?Sized>(place: *const T) {
    if let Some(life) = life(place.cast::<()>().addr()) {
        life.look();
    }
}

/// As `kfree()`. What is there is not dropped.
pub fn free<T>(place: *const T) {
    life(place.addr()).expect("a block").end();
}

/// As `kfree_rcu()`.
pub fn free_rcu<T: 'static>(place: *const T) {
    touch(place);
    super::rcu::call(move || free(place));
}
