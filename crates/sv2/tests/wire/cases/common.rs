use crate::case::{case, cases};

cases! {
    "common_messages_sv2 9.0.0", common_messages_sv2, Common, CommonMessage, common, 0;

    SetupConnection = "SetupConnection", MESSAGE_TYPE_SETUP_CONNECTION, CHANNEL_BIT_SETUP_CONNECTION {
        protocol: Protocol,
        min_version: U16,
        max_version: U16,
        flags: U32,
        endpoint_host: Str,
        endpoint_port: U16,
        vendor: Str,
        hardware_version: Str,
        firmware: Str,
        device_id: Str,
    }
    SetupConnectionSuccess = "SetupConnection.Success",
    MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, CHANNEL_BIT_SETUP_CONNECTION_SUCCESS {
        used_version: U16,
        flags: U32,
    }
    SetupConnectionError = "SetupConnection.Error",
    MESSAGE_TYPE_SETUP_CONNECTION_ERROR, CHANNEL_BIT_SETUP_CONNECTION_ERROR {
        flags: U32,
        error_code: Str,
    }
    ChannelEndpointChanged = "ChannelEndpointChanged",
    MESSAGE_TYPE_CHANNEL_ENDPOINT_CHANGED, CHANNEL_BIT_CHANNEL_ENDPOINT_CHANGED {
        channel_id: U32,
    }
    Reconnect = "Reconnect", MESSAGE_TYPE_RECONNECT, CHANNEL_BIT_RECONNECT {
        new_host: Str,
        new_port: U16,
    }
}
