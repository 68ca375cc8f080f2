// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note
// Made by `cargo xtask userspace --update` from linux/kevent.h.

#[repr(C)]
#[derive(Default)]
pub struct __IncompleteArrayField<T>(::core::marker::PhantomData<T>, [T; 0]);
impl<T> __IncompleteArrayField<T> {
    #[inline]
    pub const fn new() -> Self {
        __IncompleteArrayField(::core::marker::PhantomData, [])
    }
    #[inline]
    pub fn as_ptr(&self) -> *const T {
        self as *const _ as *const T
    }
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self as *mut _ as *mut T
    }
    #[inline]
    pub unsafe fn as_slice(&self, len: usize) -> &[T] {
        unsafe { ::core::slice::from_raw_parts(self.as_ptr(), len) }
    }
    #[inline]
    pub unsafe fn as_mut_slice(&mut self, len: usize) -> &mut [T] {
        unsafe { ::core::slice::from_raw_parts_mut(self.as_mut_ptr(), len) }
    }
}
impl<T> ::core::fmt::Debug for __IncompleteArrayField<T> {
    fn fmt(&self, fmt: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        fmt.write_str("__IncompleteArrayField")
    }
}
pub const KEVENT_ABI: u32 = 1;
pub const KEVENT_INIT_CLOEXEC: u32 = 1;
pub const KEVENT_INIT_NONBLOCK: u32 = 2;
pub const KEVENT_INIT_QUERY: u32 = 4;
pub const KEVENT_CTL_ADD: u32 = 0;
pub const KEVENT_CTL_REMOVE: u32 = 1;
pub const KEVENT_CTL_MODIFY: u32 = 2;
pub const KEVENT_CTL_READY: u32 = 3;
pub const KEVENT_CTL_SET: u32 = 4;
pub const KEVENT_BATCH_MAX: u32 = 4096;
pub const KEVENT_RING_MAX: u32 = 65536;
pub const KEVENT_FLAGS_ABSTIME: u32 = 1;
pub const KEVENT_FLAGS_EXT_ARG: u32 = 2;
pub const KEVENT_SOCKET: u32 = 0;
pub const KEVENT_INODE: u32 = 1;
pub const KEVENT_TIMER: u32 = 2;
pub const KEVENT_POLL: u32 = 3;
pub const KEVENT_NAIO: u32 = 4;
pub const KEVENT_AIO: u32 = 5;
pub const KEVENT_PIPE: u32 = 6;
pub const KEVENT_SIGNAL: u32 = 7;
pub const KEVENT_POSIX_TIMER: u32 = 8;
pub const KEVENT_USER: u32 = 9;
pub const KEVENT_REQ_ONESHOT: u32 = 1;
pub const KEVENT_REQ_WAKEUP_ALL: u32 = 2;
pub const KEVENT_REQ_ET: u32 = 4;
pub const KEVENT_REQ_LAST_CHECK: u32 = 8;
pub const KEVENT_REQ_ALWAYS_QUEUE: u32 = 16;
pub const KEVENT_REQ_DISPATCH: u32 = 32;
pub const KEVENT_REQ_EXCLUSIVE: u32 = 64;
pub const KEVENT_TIMER_FIRED: u32 = 1;
pub const KEVENT_TIMER_ABSTIME: u32 = 65536;
pub const KEVENT_TIMER_CLOCK_MASK: u32 = 15728640;
pub const KEVENT_TIMER_MONOTONIC: u32 = 0;
pub const KEVENT_TIMER_REALTIME: u32 = 1048576;
pub const KEVENT_TIMER_BOOTTIME: u32 = 2097152;
pub const KEVENT_TIMER_TAI: u32 = 3145728;
pub const KEVENT_SOCKET_RECV: u32 = 1;
pub const KEVENT_SOCKET_ACCEPT: u32 = 2;
pub const KEVENT_SOCKET_SEND: u32 = 4;
pub const KEVENT_SOCKET_URGENT: u32 = 8;
pub const KEVENT_SOCKET_EOF: u32 = 16;
pub const KEVENT_SOCKET_ERROR: u32 = 32;
pub const KEVENT_SOCKET_HUP: u32 = 64;
pub const KEVENT_SOCKET_MASK: u32 = 127;
pub const KEVENT_RET_BROKEN: u32 = 1;
pub const KEVENT_RET_DONE: u32 = 2;
pub const KEVENT_RET_COPY_FAILED: u32 = 4;
pub const KEVENT_RET_OUTSTANDING: u32 = 8;
pub const KEVENT_RET_RECHECK: u32 = 16;
pub const KEVENT_RET_INJECTED: u32 = 32;
pub const KEVENT_RET_COUNTED: u32 = 64;
pub const KEVENT_RET_TAKEN: u32 = 256;
pub const KEVENT_RET_FINISHED: u32 = 512;
pub const KEVENT_RET_LAP_SHIFT: u32 = 10;
pub const KEVENT_RET_LAP_MASK: u32 = 261120;
pub const KEVENT_RET_OWNER_SHIFT: u32 = 18;
pub const KEVENT_RET_OWNER_MASK: u32 = 4294705152;
pub const KEVENT_OWNER_MAX: u32 = 16383;
pub const KEVENT_DATA_CLOSED: i64 = -9223372036854775808;
pub type __u32 = ::core::ffi::c_uint;
pub type __u64 = ::core::ffi::c_ulonglong;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct ukevent {
    pub id: __u64,
    pub type_: __u32,
    pub event: __u32,
    pub req_flags: __u32,
    pub error: __u32,
    pub data: __u64,
    pub user: __u64,
    pub param: [__u64; 2usize],
    pub __bindgen_anon_1: ukevent__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union ukevent__bindgen_ty_1 {
    pub word: __u64,
    pub __bindgen_anon_1: ukevent__bindgen_ty_1__bindgen_ty_1,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct ukevent__bindgen_ty_1__bindgen_ty_1 {
    pub fired: __u32,
    pub ret_flags: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ukevent__bindgen_ty_1__bindgen_ty_1"]
        [::core::mem::size_of::<ukevent__bindgen_ty_1__bindgen_ty_1>() - 8usize];
    ["Alignment of ukevent__bindgen_ty_1__bindgen_ty_1"]
        [::core::mem::align_of::<ukevent__bindgen_ty_1__bindgen_ty_1>() - 4usize];
    ["Offset of field: ukevent__bindgen_ty_1__bindgen_ty_1::fired"]
        [::core::mem::offset_of!(ukevent__bindgen_ty_1__bindgen_ty_1, fired) - 0usize];
    ["Offset of field: ukevent__bindgen_ty_1__bindgen_ty_1::ret_flags"]
        [::core::mem::offset_of!(ukevent__bindgen_ty_1__bindgen_ty_1, ret_flags) - 4usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ukevent__bindgen_ty_1"][::core::mem::size_of::<ukevent__bindgen_ty_1>() - 8usize];
    ["Alignment of ukevent__bindgen_ty_1"]
        [::core::mem::align_of::<ukevent__bindgen_ty_1>() - 8usize];
    ["Offset of field: ukevent__bindgen_ty_1::word"]
        [::core::mem::offset_of!(ukevent__bindgen_ty_1, word) - 0usize];
};
impl Default for ukevent__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ukevent"][::core::mem::size_of::<ukevent>() - 64usize];
    ["Alignment of ukevent"][::core::mem::align_of::<ukevent>() - 8usize];
    ["Offset of field: ukevent::id"][::core::mem::offset_of!(ukevent, id) - 0usize];
    ["Offset of field: ukevent::type_"][::core::mem::offset_of!(ukevent, type_) - 8usize];
    ["Offset of field: ukevent::event"][::core::mem::offset_of!(ukevent, event) - 12usize];
    ["Offset of field: ukevent::req_flags"][::core::mem::offset_of!(ukevent, req_flags) - 16usize];
    ["Offset of field: ukevent::error"][::core::mem::offset_of!(ukevent, error) - 20usize];
    ["Offset of field: ukevent::data"][::core::mem::offset_of!(ukevent, data) - 24usize];
    ["Offset of field: ukevent::user"][::core::mem::offset_of!(ukevent, user) - 32usize];
    ["Offset of field: ukevent::param"][::core::mem::offset_of!(ukevent, param) - 40usize];
};
impl Default for ukevent {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
pub struct kevent_ring {
    pub __bindgen_anon_1: kevent_ring__bindgen_ty_1,
    pub ring_slots: __u32,
    pub ring_pending: __u32,
    pub reserved: [__u64; 6usize],
    pub shared: [__u64; 8usize],
    pub event: __IncompleteArrayField<ukevent>,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union kevent_ring__bindgen_ty_1 {
    pub ring_position: __u64,
    pub __bindgen_anon_1: kevent_ring__bindgen_ty_1__bindgen_ty_1,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct kevent_ring__bindgen_ty_1__bindgen_ty_1 {
    pub ring_kidx: __u32,
    pub ring_over: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kevent_ring__bindgen_ty_1__bindgen_ty_1"]
        [::core::mem::size_of::<kevent_ring__bindgen_ty_1__bindgen_ty_1>() - 8usize];
    ["Alignment of kevent_ring__bindgen_ty_1__bindgen_ty_1"]
        [::core::mem::align_of::<kevent_ring__bindgen_ty_1__bindgen_ty_1>() - 4usize];
    ["Offset of field: kevent_ring__bindgen_ty_1__bindgen_ty_1::ring_kidx"]
        [::core::mem::offset_of!(kevent_ring__bindgen_ty_1__bindgen_ty_1, ring_kidx) - 0usize];
    ["Offset of field: kevent_ring__bindgen_ty_1__bindgen_ty_1::ring_over"]
        [::core::mem::offset_of!(kevent_ring__bindgen_ty_1__bindgen_ty_1, ring_over) - 4usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kevent_ring__bindgen_ty_1"]
        [::core::mem::size_of::<kevent_ring__bindgen_ty_1>() - 8usize];
    ["Alignment of kevent_ring__bindgen_ty_1"]
        [::core::mem::align_of::<kevent_ring__bindgen_ty_1>() - 8usize];
    ["Offset of field: kevent_ring__bindgen_ty_1::ring_position"]
        [::core::mem::offset_of!(kevent_ring__bindgen_ty_1, ring_position) - 0usize];
};
impl Default for kevent_ring__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kevent_ring"][::core::mem::size_of::<kevent_ring>() - 128usize];
    ["Alignment of kevent_ring"][::core::mem::align_of::<kevent_ring>() - 8usize];
    ["Offset of field: kevent_ring::ring_slots"]
        [::core::mem::offset_of!(kevent_ring, ring_slots) - 8usize];
    ["Offset of field: kevent_ring::ring_pending"]
        [::core::mem::offset_of!(kevent_ring, ring_pending) - 12usize];
    ["Offset of field: kevent_ring::reserved"]
        [::core::mem::offset_of!(kevent_ring, reserved) - 16usize];
    ["Offset of field: kevent_ring::shared"]
        [::core::mem::offset_of!(kevent_ring, shared) - 64usize];
    ["Offset of field: kevent_ring::event"][::core::mem::offset_of!(kevent_ring, event) - 128usize];
};
impl Default for kevent_ring {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct kevent_wait_arg {
    pub timeout: __u64,
    pub sigmask: __u64,
    pub sigmask_size: __u32,
    pub clock: __u32,
    pub min_wait: __u64,
    pub reserved: [__u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kevent_wait_arg"][::core::mem::size_of::<kevent_wait_arg>() - 48usize];
    ["Alignment of kevent_wait_arg"][::core::mem::align_of::<kevent_wait_arg>() - 8usize];
    ["Offset of field: kevent_wait_arg::timeout"]
        [::core::mem::offset_of!(kevent_wait_arg, timeout) - 0usize];
    ["Offset of field: kevent_wait_arg::sigmask"]
        [::core::mem::offset_of!(kevent_wait_arg, sigmask) - 8usize];
    ["Offset of field: kevent_wait_arg::sigmask_size"]
        [::core::mem::offset_of!(kevent_wait_arg, sigmask_size) - 16usize];
    ["Offset of field: kevent_wait_arg::clock"]
        [::core::mem::offset_of!(kevent_wait_arg, clock) - 20usize];
    ["Offset of field: kevent_wait_arg::min_wait"]
        [::core::mem::offset_of!(kevent_wait_arg, min_wait) - 24usize];
    ["Offset of field: kevent_wait_arg::reserved"]
        [::core::mem::offset_of!(kevent_wait_arg, reserved) - 32usize];
};
