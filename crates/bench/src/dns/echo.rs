//! The floor: a server that sends each query back with QR and AA set, in batches, and does nothing else.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::Result;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

/// As many as the server takes at once.
const BATCH: usize = 16;
const LARGEST: usize = 2048;

/// Serves until it is killed.
pub(crate) fn serve(port: u16) -> Result<()> {
    let socket = UdpSocket::bind(("127.0.0.1", port))?;
    let mut buffers = vec![[0_u8; LARGEST]; BATCH];
    let mut received = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut sent = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    loop {
        let messages = receive(&socket, &mut received, &mut buffers)?;
        send(&socket, &mut sent, &mut buffers, &messages)?;
    }
}

type Message = (usize, Option<SockaddrIn>);

fn receive(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrIn>,
    buffers: &mut [[u8; LARGEST]],
) -> Result<Vec<Message>> {
    let mut slices: Vec<[IoSliceMut<'_>; 1]> =
        buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let flags = MsgFlags::MSG_WAITFORONE;
    let messages = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None)?;
    Ok(messages.map(|message| (message.bytes, message.address)).collect())
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrIn>,
    buffers: &mut [[u8; LARGEST]],
    messages: &[Message],
) -> Result<()> {
    buffers.iter_mut().take(messages.len()).for_each(|buffer| buffer[2] |= 0x84);
    let slices: Vec<[IoSlice<'_>; 1]> =
        buffers.iter().zip(messages).map(|(buffer, message)| [IoSlice::new(&buffer[..message.0])]).collect();
    let addresses: Vec<Option<SockaddrIn>> = messages.iter().map(|message| message.1).collect();
    sendmmsg(socket.as_raw_fd(), headers, &slices, addresses, [], MsgFlags::empty())?;
    Ok(())
}
