//! The ports on the wire: lines of JSON, each with the open ports that it names beside it (`SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// The version of all this.
const FORMAT: u32 = 1;
/// Ports in one line; the system takes at most 253.
const AT_ONCE: usize = 128;
/// All lines together: a thousand names with room.
const BYTES_MAX: usize = 256 * 1024;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    handover: u32,
    /// The sender's version.
    adit: String,
    /// `listener.NAME`, `http`.
    ports: Vec<String>,
    /// Another line follows.
    more: bool,
}

/// Sends ports with their names.
pub(super) fn send(link: &UnixStream, ports: &[(String, OwnedFd)]) -> io::Result<()> {
    let mut chunks: Vec<_> = ports.chunks(AT_ONCE).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let last = chunks.len() - 1;
    for (at, chunk) in chunks.into_iter().enumerate() {
        let line = Line {
            handover: FORMAT,
            adit: env!("CARGO_PKG_VERSION").to_owned(),
            ports: chunk.iter().map(|(name, _)| name.clone()).collect(),
            more: at < last,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let fds: Vec<BorrowedFd<'_>> = chunk.iter().map(|(_, port)| port.as_fd()).collect();
        let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("there is no room for so many ports"));
        }
        let sent = sendmsg(link, &[IoSlice::new(&text)], &mut beside, SendFlags::NOSIGNAL)?;
        // What did not fit goes without the ports, which have gone.
        io::Write::write_all(&mut &*link, &text[sent..])?;
    }
    Ok(())
}

/// Receives them, and the sender's version.
pub(super) fn receive(link: &UnixStream) -> io::Result<(String, Vec<(String, TcpListener)>)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let (mut text, mut fds) = (Vec::new(), Vec::new());
    let mut names = Vec::new();
    let adit = loop {
        let mut bytes = [0; 4096];
        let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(link, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(given) = message {
                fds.extend(given);
            }
        }
        if got.bytes == 0 {
            return Err(wrong("it ended before it had given its ports away"));
        }
        text.extend_from_slice(&bytes[..got.bytes]);
        if text.len() > BYTES_MAX {
            return Err(wrong("it sends too much"));
        }
        let mut last = None;
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Line = serde_json::from_slice(&text[..end])?;
            text.drain(..=end);
            if line.handover != FORMAT {
                return Err(wrong("it hands over in another way than this version takes over"));
            }
            names.extend(line.ports);
            if !line.more {
                last = Some(line.adit);
            }
        }
        if let Some(adit) = last {
            break adit;
        }
    };
    if names.len() != fds.len() {
        return Err(wrong("it named other ports than it gave"));
    }
    let mut ports = Vec::new();
    for (name, fd) in names.into_iter().zip(fds) {
        if !rustix::net::sockopt::socket_acceptconn(&fd)? {
            return Err(wrong("it gave something that is no open port"));
        }
        ports.push((name, TcpListener::from(fd)));
    }
    Ok((adit, ports))
}
