//! Noise NX with EllSwift keys over snow, certificates, authority keys, pool URLs and frame encryption.
