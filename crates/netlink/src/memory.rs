//! Giving freed memory back to the system. Here because this crate alone may call into C.
#![allow(unsafe_code)]

/// Asks the allocator to return free pages. Does nothing where the C library is not glibc.
pub fn give_back_memory() {
    // SAFETY: malloc_trim(3) takes a number, touches only the allocator's own state, and is thread-safe.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
