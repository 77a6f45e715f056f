//! The messages that all protocols share (specification, section 3.6).

/// `SetupConnection.protocol` of the Mining Protocol (section 5).
pub const PROTOCOL_MINING: u8 = 0;
/// `SetupConnection.protocol` of the Job Declaration Protocol (section 6).
pub const PROTOCOL_JOB_DECLARATION: u8 = 1;
/// `SetupConnection.protocol` of the Template Distribution Protocol (section 7).
pub const PROTOCOL_TEMPLATE_DISTRIBUTION: u8 = 2;

/// The only version of the protocols that there is: `min_version`, `max_version` and `used_version`.
pub const PROTOCOL_VERSION: u16 = 2;

messages! {
    /// A message of the common protocol (section 3.6).
    CommonMessage in AnyMessage::Common, extension 0x0000

    /// The first message on a connection. (Client -> Server, 3.6.1)
    [0x00, channel_msg 0, "SetupConnection"]
    SetupConnection<'a> {
        /// Which protocol the connection is for: [`PROTOCOL_MINING`] or one of the others.
        protocol: U8,
        /// Lowest protocol version that the client supports: 2.
        min_version: U16,
        /// Highest protocol version that the client supports: 2.
        max_version: U16,
        /// What the client needs, bits of the protocol: see [`crate::mining`] and [`crate::job_declaration`].
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
        /// What the server demands, bits of the protocol: see [`crate::mining`].
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
