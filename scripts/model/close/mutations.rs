// SPDX-License-Identifier: GPL-2.0

//! Breaks of the close boundary: of the kernel's text, and of what stands in for C.

use super::mutations::*;

pub const CLOSE: &[Mutation] = &[
    // Ties.
    mutation(
        "watch_off_the_file_before_its_entry",
        "kevent/source/file",
        "unsafe { self.leave() };
                // SAFETY: As above. Whether the file lives matters to who takes turns.
                unsafe { self.del() };",
        "unsafe { self.del() };
                unsafe { self.leave() };",
        "remove_and_close",
        RACE,
    ),
    mutation(
        "entry_left_on_its_queue",
        "kevent/source/file",
        "unsafe { self.leave() };
                // SAFETY: As above. Whether the file lives matters to who takes turns.",
        "",
        "remove_and_close",
        RACE,
    ),
    mutation(
        "watch_off_the_file_before_changed_entries",
        "kevent/source/file",
        "let member = exchange(&rare, None);
        // SAFETY: `control` is held.
        let lives = unsafe { self.del() };",
        "let lives = unsafe { self.del() };
        let member = exchange(&rare, None);",
        "modified_and_close",
        RACE,
    ),
    mutation(
        "closed_without_control",
        "kevent/source/file",
        "queue.control.lock().forget(&queue, handle, &watch);",
        "crate::kevent::queue::Control::default().forget(&queue, handle, &watch);",
        "remove_and_close",
        RACE,
    ),
    mutation(
        "released_without_control",
        "kevent/queue",
        "let mut control = self.control.lock();
        let places",
        "let mut control = Control::default();
        let places",
        "release_and_close",
        RACE,
    ),
    mutation(
        "forgotten_without_a_look_at_the_tie",
        "kevent/queue",
        ".is_some_and(|tied| tied.with(|tied| core::ptr::addr_eq(tied, Arc::as_ptr(tie))));",
        ".is_some();",
        "remove_and_add",
        "lost",
    ),
    mutation(
        "kept_ties_left_at_release",
        "kevent/queue",
        "let _spare = inner.events.table().empty(handle);",
        "let _spare = None::<Tied>;",
        "remove_and_close",
        "leaked",
    ),
    mutation(
        "list_without_a_reference",
        "fs/watch",
        "let owned = Arc::into_raw(this);",
        "let owned = Arc::as_ptr(&this);",
        "remove_and_close",
        "freed: FileWatch",
    ),
    mutation(
        "reference_of_the_list_kept",
        "fs/watch",
        "if was_on_list {",
        "if false {",
        "remove_and_close",
        "leaked",
    ),
    // Entries, and wait queues that go away.
    mutation(
        "entry_taken_off_without_the_lock",
        "sync/wait",
        "unsafe { bindings::remove_wait_queue(head.as_ptr(), self.0.get()) };",
        "unsafe { bindings::list_del_init(&raw mut (*self.0.get()).entry) };",
        "remove_and_close",
        RACE,
    ),
    mutation(
        "entry_taken_off_outside_of_rcu",
        "sync/wait",
        "let _guard = rcu::read_lock();",
        "",
        "pollfree_and_remove",
        RACE,
    ),
    mutation(
        "queue_freed_without_a_grace_period",
        "close/wait",
        "heap::free_rcu(head);",
        "heap::free(head);",
        "pollfree_and_remove",
        RACE,
    ),
    mutation(
        "pollfree_stores_relaxed",
        "sync/wait",
        "null_mut(), Release) };",
        "null_mut(), Relaxed) };",
        "pollfree_and_remove",
        RACE,
    ),
    mutation(
        "first_look_for_pollfree_relaxed",
        "sync/wait",
        "if Self::head(self.private().load(Acquire)).is_none() {",
        "if Self::head(self.private().load(Relaxed)).is_none() {",
        "litmus::pollfree",
        RACE,
    ),
    mutation(
        "second_look_for_pollfree_relaxed",
        "sync/wait",
        "if let Some(head) = Self::head(self.private().load(Acquire)) {",
        "if let Some(head) = Self::head(self.private().load(Relaxed)) {",
        "litmus::pollfree",
        RACE,
    ),
    mutation(
        "pollfree_stores_before_the_entry_is_off",
        "sync/wait",
        "unsafe { bindings::list_del_init(&raw mut (*entry).entry) };",
        "unsafe { atomic_store::<*mut c_void, _>(&raw mut (*entry).private, null_mut(), Release) };
        unsafe { bindings::list_del_init(&raw mut (*entry).entry) };",
        "pollfree_and_remove",
        RACE,
    ),
    mutation(
        "set_aside_relaxed",
        "sync/wait",
        "self.private().store(marked, Release);",
        "self.private().store(marked, Relaxed);",
        "litmus::aside",
        RACE,
    ),
    mutation(
        "aside_looks_relaxed",
        "sync/wait",
        "let private = self.private().load(Acquire);",
        "let private = self.private().load(Relaxed);",
        "litmus::aside",
        RACE,
    ),
    // Watches of files.
    mutation(
        "watch_unlinked_without_the_lock",
        "close/eventpoll",
        "    let guard = file::of(file).f_lock.lock();
    let to_free = file_watch_unlink(file, watch);
    drop(guard);",
        "    let to_free = file_watch_unlink(file, watch);",
        "two_watches",
        RACE,
    ),
    mutation(
        "watch_unlinked_without_a_pin",
        "close/eventpoll",
        "    if !file::of(file).get() {
        return false;
    }
    let guard = file::of(file).f_lock.lock();
    let to_free = file_watch_unlink(file, watch);
    drop(guard);
    free_ephead(to_free);
    fput(file);",
        "    let guard = file::of(file).f_lock.lock();
    let to_free = file_watch_unlink(file, watch);
    drop(guard);
    free_ephead(to_free);",
        "two_watches",
        "list",
    ),
    mutation(
        "watch_moved_to_a_head_unmarked",
        "close/eventpoll",
        "if !watch.is_null() && f_ep_change(file, watch, F_EP_WATCH, F_EP_WATCH | F_EP_BUSY) {",
        "if !watch.is_null() {",
        "add_and_remove",
        RACE,
    ),
    mutation(
        "watch_popped_without_an_exchange",
        "close/eventpoll",
        "        if !f_ep_change(file, watch, F_EP_WATCH, 0) {
            return null_mut();
        }",
        "        set_f_ep(file, null_mut());",
        "remove_and_close",
        "freed: FileWatch",
    ),
    mutation(
        "watch_removed_with_its_file",
        "close/eventpoll",
        "    (*watch).file.store(null_mut(), Relaxed);
    if f_ep_change(file, watch, F_EP_WATCH, 0) {",
        "    if f_ep_change(file, watch, F_EP_WATCH, 0) {",
        "look_and_remove",
        "wrong",
    ),
    mutation(
        "active_file_not_looked_at_again",
        "close/file",
        "if (*place).load(Relaxed) == file {",
        "if true {",
        "look_and_remove",
        "wrong",
    ),
    mutation(
        "active_file_outside_of_rcu",
        "close/file",
        "    let _guard = rcu::read_lock();
    // __get_file_rcu()",
        "",
        "look_and_close",
        RACE,
    ),
    mutation(
        "file_let_go_before_the_answer",
        "fs/watch",
        "let result = then(ready);
        // SAFETY: It is that reference.
        unsafe { bindings::fput(file) };
        Some(result)",
        "unsafe { bindings::fput(file) };
        Some(then(ready))",
        "look_and_close",
        RACE,
    ),
    mutation(
        "head_freed_by_epoll_under_a_watch",
        "close/eventpoll",
        "if hlist_is_singular_node(node, list) && (is_file_epoll || !ephead_is_watched(head)) {",
        "if hlist_is_singular_node(node, list) {",
        "epoll_beside",
        "freed: the head",
    ),
    mutation(
        "head_freed_under_a_check_of_paths",
        "close/eventpoll",
        "    set_f_ep(file, null_mut());
    if (*head).next.load(Acquire).is_null() {",
        "    set_f_ep(file, null_mut());
    if true {",
        "epoll_path_check",
        RACE,
    ),
    mutation(
        "watched_head_freed_after_a_check_of_paths",
        "close/eventpoll",
        "if !(*head).epitems.is_empty() || ephead_is_watched(head) {",
        "if !(*head).epitems.is_empty() {",
        "epoll_path_check",
        "freed: the head",
    ),
    // What was wrong with epoll by itself: ep_remove() against __fput(), and ep_free() against a
    // walk.
    mutation(
        "cve_2026_46242",
        "close/eventpoll",
        "    let Some(file) = epi_fget(epi) else {
        return;
    };
    ep_remove_file(epi, file);
    ep_remove_epi(items, epi);
    let last = ep_put(ep);
    assert!(!last);
    fput(file);",
        "    ep_remove_file(epi, (*epi).ffd);
    ep_remove_epi(items, epi);
    ep_put(ep);",
        "epoll_del_and_close",
        RACE,
    ),
    mutation(
        "cve_2026_43074",
        "close/eventpoll",
        "    heap::free_rcu(ep);",
        "    heap::free(ep);",
        "epoll_upwards",
        RACE,
    ),
];
