//! Giving freed memory, and processors, back to the system. Here because this crate alone may call into C.
#![allow(unsafe_code)]

/// Asks the allocator to return free pages. Does nothing where the C library is not glibc.
pub fn give_back_memory() {
    // SAFETY: malloc_trim(3) takes a number, touches only the allocator's own state, and is thread-safe.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the calling thread stand back for others, those of this process among them (nice 5: about a third of the share of a thread
/// that does not, where both want a processor). It cannot be undone without privilege. Says whether the kernel did it.
pub fn stand_back() -> bool {
    const NICE: libc::c_int = 5;
    // SAFETY: setpriority(2) takes numbers; for Linux, process 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_stands_back_and_no_other() {
        let nice = |id: &str| {
            let stat = std::fs::read_to_string(format!("/proc/thread-self/{id}")).unwrap();
            // The 19th field (proc(5)), the second of which is the name in brackets.
            let rest = stat.rsplit(')').next().unwrap().to_owned();
            rest.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = nice("stat");
        let after = std::thread::spawn(move || (stand_back(), nice("stat"))).join().unwrap();
        assert_eq!(after, (true, 5));
        assert_eq!(nice("stat"), before);
    }
}
