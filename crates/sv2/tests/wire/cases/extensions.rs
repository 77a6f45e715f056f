use crate::case::{case, cases};

cases! {
    "extensions_sv2 0.3.0", extensions_sv2, Extensions, ExtensionsMessage, extensions,
    extensions_sv2::EXTENSION_TYPE_EXTENSIONS_NEGOTIATION;

    RequestExtensions = "RequestExtensions",
    MESSAGE_TYPE_REQUEST_EXTENSIONS, CHANNEL_BIT_REQUEST_EXTENSIONS {
        request_id: U16,
        requested_extensions: Seq064KU16,
    }
    RequestExtensionsSuccess = "RequestExtensions.Success",
    MESSAGE_TYPE_REQUEST_EXTENSIONS_SUCCESS, CHANNEL_BIT_REQUEST_EXTENSIONS_SUCCESS {
        request_id: U16,
        supported_extensions: Seq064KU16,
    }
    RequestExtensionsError = "RequestExtensions.Error",
    MESSAGE_TYPE_REQUEST_EXTENSIONS_ERROR, CHANNEL_BIT_REQUEST_EXTENSIONS_ERROR {
        request_id: U16,
        unsupported_extensions: Seq064KU16,
        required_extensions: Seq064KU16,
    }
}
