//! What a pool's keys must be to the protocol that it speaks.

use super::authority;
use crate::config::kind::SourceUrl;
use crate::config::name::Name;
use crate::config::reader::Reader;
use crate::config::tables::Source;

pub(super) fn check(name: &Name, source: &Source, reader: &mut Reader<'_>) {
    let (own, other) = match &source.url {
        SourceUrl::Sv2(url) => {
            let insecure = source.insecure || reader.is_bad(&format!("source.{name}.insecure"));
            authority(&format!("source.{name}.url"), url, insecure, "pool", "insecure", reader);
            if let Some(url) = &source.jds_url {
                let path = format!("source.{name}.jds_url");
                authority(&path, url, insecure, "job declarator", "insecure", reader);
            }
            ("Stratum V2", "Stratum V1 (stratum+tcp://)")
        }
        SourceUrl::Sv1(url) => {
            if !url.is_tls() {
                only_tls(name, reader);
            }
            ("Stratum V1", "Stratum V2 (stratum2+tcp://)")
        }
    };
    for key in source.foreign_keys() {
        let path = format!("source.{name}.{key}");
        let Some(spot) = reader.key_spot(&path).cloned() else { continue };
        let expected = format!("only keys of a {own} pool, which this url is");
        let found = format!("{key}, which is for {other}");
        // Only the key is shown: what is behind it may be a password.
        reader.report_cut(&spot, &path, true, expected, found, "remove it, or correct url".to_owned());
    }
}

/// Without TLS there is no certificate that anybody could vouch for.
fn only_tls(name: &Name, reader: &mut Reader<'_>) {
    let path = format!("source.{name}.ca_file");
    if let Some(spot) = reader.key_spot(&path).cloned() {
        let expected = "a url with TLS, stratum+ssl://host:port".to_owned();
        let found = "one without".to_owned();
        reader.report(&spot, &path, expected, found, "remove ca_file, or correct url".to_owned());
    }
}
