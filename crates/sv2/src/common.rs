//! The messages that all protocols share (specification, section 3.6).

use std::fmt;

messages! {
    /// A message of the common protocol (section 3.6).
    CommonMessage in AnyMessage::Common, extension 0x0000

    /// The first message on a connection. (Client -> Server, 3.6.1)
    [0x00, channel_msg 0, "SetupConnection"]
    SetupConnection<'a> {
        /// Which protocol the connection is for: a [`Protocol`].
        protocol: U8,
        /// Lowest protocol version that the client supports: 2.
        min_version: U16,
        /// Highest protocol version that the client supports: 2.
        max_version: U16,
        /// What the client needs: [`crate::flags`], each protocol its own.
        flags: U32,
        /// The server's hostname or address as the client knows it, ASCII.
        endpoint_host: STR0_255,
        /// The server's port as the client knows it.
        endpoint_port: U16,
        /// Manufacturer or developer; never empty.
        vendor: STR0_255,
        /// The hardware or software package.
        hardware_version: STR0_255,
        /// The firmware.
        firmware: STR0_255,
        /// Identifies the device to its vendor; empty unless telemetry is wanted.
        device_id: STR0_255,
    }

    /// The server takes the connection. (Server -> Client, 3.6.2)
    [0x01, channel_msg 0, "SetupConnection.Success"]
    SetupConnectionSuccess {
        /// The protocol version for the rest of the connection's life.
        used_version: U16,
        /// What the server demands: [`crate::flags`], each protocol its own.
        flags: U32,
    }

    /// The server does not take the connection and closes it. (Server -> Client, 3.6.3)
    [0x02, channel_msg 0, "SetupConnection.Error"]
    SetupConnectionError<'a> {
        /// The flags of the request that the server does not support; 0 if the reason is another one.
        flags: U32,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
    }

    /// The channel's other end is another device now: extensions have to be negotiated again.
    /// (Server -> Client, 3.6.4)
    [0x03, channel_msg 1, "ChannelEndpointChanged"]
    ChannelEndpointChanged {
        /// The channel.
        channel_id: U32,
    }

    /// The client shall connect elsewhere, under the same authority key. (Server -> Client, 3.6.5)
    [0x04, channel_msg 0, "Reconnect"]
    Reconnect<'a> {
        /// Empty: the present host.
        new_host: STR0_255,
        /// 0: the present port.
        new_port: U16,
    }
}

/// What a connection is for: `SetupConnection.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// Section 5.
    Mining = 0,
    /// Section 6.
    JobDeclaration = 1,
    /// Section 7.
    TemplateDistribution = 2,
}

impl From<Protocol> for u8 {
    fn from(protocol: Protocol) -> Self {
        protocol as Self
    }
}

impl TryFrom<u8> for Protocol {
    /// The number, which names no protocol.
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            0 => Ok(Self::Mining),
            1 => Ok(Self::JobDeclaration),
            2 => Ok(Self::TemplateDistribution),
            other => Err(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mining => "mining",
            Self::JobDeclaration => "job declaration",
            Self::TemplateDistribution => "template distribution",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_numbers_are_the_specifications() {
        for number in 0..=u8::MAX {
            match Protocol::try_from(number) {
                Ok(protocol) => assert_eq!(u8::from(protocol), number),
                Err(unknown) => assert!(unknown == number && number > 2),
            }
        }
    }
}
