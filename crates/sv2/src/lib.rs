//! Stratum V2 data types, frames and every message of the four sub-protocols and extensions 0x0001 and 0x0002.
