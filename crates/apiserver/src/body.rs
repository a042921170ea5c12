//! The bodies of answers: whole, or written piece by piece by a task that may be told to do it badly.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A body.
pub(crate) enum Body {
    /// All of it.
    Full(Option<Bytes>),
    /// From a [`Writer`].
    Stream(Receiver<io::Result<Bytes>>),
}

impl Body {
    /// A body that is complete.
    pub fn full(text: impl Into<Bytes>) -> Self {
        Self::Full(Some(text.into()))
    }

    /// A body and the end to write it at.
    pub fn stream(faults: StreamFaults) -> (Writer, Self) {
        let (sender, receiver) = channel(2);
        (Writer { sender, faults, sent: 0 }, Self::Stream(receiver))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Full(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Stream(receiver) => receiver.poll_recv(cx).map(|next| next.map(|it| it.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// How a stream is to fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamFaults {
    /// After so many bytes nothing more comes.
    pub stall_after: Option<usize>,
    /// After so many bytes the connection breaks.
    pub cut_after: Option<usize>,
    /// Not more than so many bytes in a second.
    pub rate: Option<usize>,
}

/// The reader is gone, or the stream was told to break.
pub(crate) struct Closed;

/// Where a body is written.
pub(crate) struct Writer {
    sender: Sender<io::Result<Bytes>>,
    faults: StreamFaults,
    sent: usize,
}

impl Writer {
    /// Sends a piece when the reader has room for it.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), Closed> {
        let mut bytes = bytes.into();
        let limit = self.faults.stall_after.into_iter().chain(self.faults.cut_after).min();
        let left = limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.sent));
        let over = bytes.len() > left;
        bytes.truncate(left);
        self.sent += bytes.len();
        self.send_paced(bytes).await?;
        if !over {
            return Ok(());
        }
        if self.faults.cut_after == limit {
            self.abort().await;
        } else {
            self.closed().await;
        }
        Err(Closed)
    }

    async fn send_paced(&self, mut bytes: Bytes) -> Result<(), Closed> {
        while let Some(rate) = self.faults.rate {
            let piece = bytes.split_to(bytes.len().min((rate / 20).max(1)));
            if piece.is_empty() {
                return Ok(());
            }
            self.sender.send(Ok(piece)).await.map_err(|_| Closed)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(bytes)).await.map_err(|_| Closed)
    }

    /// Breaks the connection, or with HTTP/2 the stream.
    pub async fn abort(&self) {
        let _ = self.sender.send(Err(io::Error::other("cut by a fault"))).await;
    }

    /// Returns when the reader is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}
