//! What becomes of a packet: the common words of the flow table, of `explain` and of the interpreter.

use model::EndpointAddr;
use resolve::{Explanation, Masquerade, PacketVerdict};

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: PacketVerdict,
    /// Where it may go, each with the same probability; sorted.
    pub endpoints: Vec<EndpointAddr>,
    /// Those of them towards which the source is rewritten.
    pub masqueraded: Vec<EndpointAddr>,
}

impl TryFrom<Explanation> for Outcome {
    type Error = String;

    fn try_from(explanation: Explanation) -> Result<Self, String> {
        let Explanation { verdict, endpoints, masquerade, .. } = explanation;
        let masqueraded = match masquerade {
            Masquerade::Never => Vec::new(),
            Masquerade::Always => endpoints.clone(),
            Masquerade::Towards(some) if some.len() == endpoints.len() => {
                return Err(format!("Towards({some:?}) names every endpoint: that is Always"));
            }
            Masquerade::Towards(some) => some,
        };
        Ok(Self { verdict, endpoints, masqueraded })
    }
}
