//! The product as a library with a thin `main`.
