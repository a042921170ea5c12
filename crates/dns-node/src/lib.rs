//! What DNS needs of the node it runs on: its addresses, no connection tracking for them, and the way of packets to the
//! VIP of kube-dns. Nothing of it depends on the proxy mode, but for mode ipvs (below).
//!
//! ```text
//! pod, node --- VIP:53 ---> raw -300: is VIP:53 in `alive`?
//!                             yes: not tracked, so not translated; table `local` has the VIP: our own socket
//!                             no:  tracked and translated by the proxy's rules to the CoreDNS pods, as everywhere
//!
//! prober --- VIP:P -> VIP:53, every 250 ms ---> our server
//!                  <- the reply, in output at -300: `update @alive { VIP . proto . 53 timeout 900ms }`
//! ```
//!
//! * `link` makes the link `towpath-dns` with the `--dns-listen` addresses; `routes` makes the VIPs local;
//! * `layout` and `rule` are the tables `ip towpath-dns` and `ip6 towpath-dns` as values, `table` reads and writes them;
//! * `watch` notices what others change;
//! * `ends` has the addresses that probes come from, `probe` sends one, `prober` all of them.
//!
//! Invariants:
//! * the kernel itself renews `alive`, only for a reply of our own server that a process has written. Who is stopped, hangs
//!   or is killed renews nothing, so packets go to the CoreDNS pods [`LIFE`] later without anybody's doing; where no
//!   socket is left (SIGKILL), new flows of pods do so at once;
//! * a VIP that is not intercepted is served by the proxy's rules even if this program is gone for ever;
//! * only port 53 of a VIP is ours. What the proxy does not take of the other ports is refused, so that a VIP that is local
//!   opens no other server of the node;
//! * only objects of ours are touched: the two tables, routes of protocol 108, the link `towpath-dns`. Where nothing
//!   differs, nothing is written;
//! * replies from our addresses are never tracked, so no conntrack entry is made for DNS in either direction.
//!
//! In mode ipvs a virtual server at VIP:53 would take the packets at the input hook, tracked or not. There must be none for
//! that port; the proxy's rules have to translate it in nf_tables instead.
#![forbid(unsafe_code)]

mod ends;
mod error;
mod layout;
mod link;
mod probe;
mod prober;
mod routes;
mod rule;
mod state;
mod table;
mod watch;

pub use ends::{ProbeEnd, tcp_socket, udp_socket};
pub use error::NodeError;
pub use layout::{LIFE, PORT};
pub use link::LINK;
pub use probe::PATIENCE;
pub use prober::{Health, INTERVAL, Prober};
pub use state::{DnsNode, Wanted};
pub use table::TABLE;
