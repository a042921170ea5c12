//! Queries over UDP: answered in the thread that receives them, in batches.

mod address;
mod batch;
mod sender;
mod worker;

pub(crate) use batch::SLOTS;
pub(crate) use sender::Sender;
pub(crate) use worker::{UdpWorker, start};
