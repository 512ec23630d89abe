//! What the kernel knows of a TCP connection. Source: tcp(7), `TCP_INFO`.
#![allow(unsafe_code, reason = "no crate reads this option")]
use std::mem::{self, offset_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that the other side has acknowledged; none where the kernel does not tell.
pub(super) fn acknowledged_bytes(socket: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: it is made of integers, for which zeros are values.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the kernel writes `length` bytes at most into `info`, which has that size, and the
    // descriptor is open; `acknowledged_bytes_are_those_that_the_other_side_has` reads what it wrote.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    // An older kernel writes less of it.
    let needed = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    let told = usize::try_from(length).ok()?;
    (answer == 0 && told >= needed).then_some(info.tcpi_bytes_acked)
}
