//! Sockets from one process to another, each with the name of what it is for.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// One packet.
#[derive(Debug)]
pub(super) enum Message {
    /// A socket.
    Socket(String, OwnedFd),
    /// The server has been told of all that are held.
    ThatIsAll {
        /// How many servers have died before.
        deaths: u64,
    },
}

/// Longest packet: a name is a few words and an address.
const BYTES_MAX: usize = 128;
const END: &str = "end ";

/// Both ends. Packets keep their bounds, and the end of a process is seen by the other.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a duplicate of a socket.
pub(super) fn send_socket(to: BorrowedFd<'_>, name: &str, socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket];
    if name.len() > BYTES_MAX || !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(to, &[IoSlice::new(name.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Says that there are no more.
pub(super) fn send_end(to: BorrowedFd<'_>, deaths: u64) -> io::Result<()> {
    let text = format!("{END}{deaths}");
    let mut none = SendAncillaryBuffer::default();
    sendmsg(to, &[IoSlice::new(text.as_bytes())], &mut none, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for the next packet; `None` when the other process has ended.
pub(super) fn receive(from: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut bytes = [0; BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let len = loop {
        match recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(rustix::io::Errno::INTR) => {}
            // It ended with something unread.
            Err(rustix::io::Errno::CONNRESET) => break 0,
            Err(error) => return Err(error.into()),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
    let sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let socket = sockets.flatten().next();
    match (socket, text.strip_prefix(END).and_then(|deaths| deaths.parse().ok())) {
        (Some(socket), _) => Ok(Some(Message::Socket(text, socket))),
        (None, Some(deaths)) => Ok(Some(Message::ThatIsAll { deaths })),
        (None, None) if len == 0 => Ok(None),
        (None, None) => Err(io::Error::new(io::ErrorKind::InvalidData, "neither a socket nor the end")),
    }
}
