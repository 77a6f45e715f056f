//! What a template's keys must be to its kind.

use super::{Parts, authority};
use crate::config::given::{listed, quoted};
use crate::config::name::Name;
use crate::config::place::Spot;
use crate::config::reader::Reader;
use crate::config::section::{Table, variable};
use crate::config::tables::{Template, TemplateKind, keys_of};

/// The keys that only one kind has.
const KEYS: [(TemplateKind, &[&str]); 3] = [
    (TemplateKind::BitcoinIpc, &["socket", "interface"]),
    (TemplateKind::BitcoinRpc, &["rpc_address", "rpc_cookie_file", "rpc_user", "rpc_password"]),
    (TemplateKind::TemplateProvider, &["url", "insecure"]),
];

/// Reports what does not fit a template's kind.
pub(super) fn check(name: &Name, template: &Template, parts: &Parts, reader: &mut Reader<'_>) {
    let table = Checked { name, kind: template.kind, header: parts.header_of(Table::Template, name) };
    table.foreign_keys(reader);
    match template.kind {
        TemplateKind::BitcoinIpc => table.needs("socket", template.socket.is_some(), reader),
        TemplateKind::BitcoinRpc => {
            table.needs("rpc_address", template.rpc_address.is_some(), reader);
            table.login(template, reader);
        }
        TemplateKind::TemplateProvider => {
            table.needs("url", template.url.is_some(), reader);
            if let Some(url) = &template.url {
                let insecure =
                    template.insecure.unwrap_or(false) || reader.is_bad(&format!("template.{name}.insecure"));
                authority(
                    &format!("template.{name}.url"),
                    url,
                    insecure,
                    "template provider",
                    "insecure",
                    reader,
                );
            }
        }
    }
}

struct Checked<'a> {
    name: &'a Name,
    kind: TemplateKind,
    header: Spot,
}

impl Checked<'_> {
    fn path(&self, key: &str) -> String {
        format!("template.{}.{key}", self.name)
    }

    /// Keys of other kinds. Only the key is shown: what is behind it may be a password.
    fn foreign_keys(&self, reader: &mut Reader<'_>) {
        for (kind, keys) in KEYS.iter().filter(|(kind, _)| *kind != self.kind) {
            for key in *keys {
                let path = self.path(key);
                let Some(spot) = reader.key_spot(&path).cloned() else { continue };
                let (own, other) = (quoted(self.kind.as_str()), quoted(kind.as_str()));
                let expected = format!("only keys of kind = {own}");
                let found = format!("{key}, which is for kind = {other}");
                let fix = format!("remove it, or write kind = {other}");
                reader.report_cut(&spot, &path, true, expected, found, fix);
            }
        }
    }

    /// A key that this kind cannot do without.
    fn needs(&self, key: &str, is_there: bool, reader: &mut Reader<'_>) {
        let expected = keys_of(Table::Template).into_iter().find(|known| known.name == key);
        let expected = expected.map(|key| key.expected).unwrap_or_default();
        if !is_there {
            self.missing(&[key], expected, reader);
        }
    }

    /// Reports keys of which none is there, at the table's header.
    fn missing(&self, keys: &[&str], expected: String, reader: &mut Reader<'_>) {
        if reader.is_broken() || keys.iter().any(|key| reader.is_bad(&self.path(key))) {
            return;
        }
        let fix = match &self.header {
            Spot::Variable(_) => {
                let variables: Vec<String> =
                    keys.iter().map(|key| variable(Table::Template, Some(self.name), key)).collect();
                format!("set {}", listed(&variables.iter().map(String::as_str).collect::<Vec<_>>()))
            }
            _ => {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key} = ...")).collect();
                let keys = listed(&keys.iter().map(String::as_str).collect::<Vec<_>>());
                format!("write {keys} below [template.{}]", self.name)
            }
        };
        let key = self.path(keys[0]);
        reader.report(&self.header, &key, expected, "nothing".to_owned(), fix);
    }

    /// A node's RPC wants the cookie, or a user with its password.
    fn login(&self, template: &Template, reader: &mut Reader<'_>) {
        let (cookie, user) = (template.rpc_cookie_file.is_some(), template.rpc_user.is_some());
        match (cookie, user, template.rpc_password.is_some()) {
            (true, false, false) | (false, true, true) => {}
            (true, ..) => {
                let key = if user { "rpc_user" } else { "rpc_password" };
                let path = self.path(key);
                let spot = reader.key_spot(&path).cloned().unwrap_or(Spot::Whole);
                let expected = "rpc_cookie_file alone, or rpc_user and rpc_password".to_owned();
                let fix = format!("remove {key}, or remove rpc_cookie_file");
                reader.report_cut(&spot, &path, true, expected, "both".to_owned(), fix);
            }
            (false, true, false) => {
                self.missing(&["rpc_password"], "the password of rpc_user".to_owned(), reader);
            }
            (false, false, true) => {
                self.missing(&["rpc_user"], "the user whose rpc_password this is".to_owned(), reader);
            }
            (false, false, false) if reader.is_bad(&self.path("rpc_user")) => {}
            (false, false, false) if reader.is_bad(&self.path("rpc_password")) => {}
            (false, false, false) => {
                let expected = "rpc_cookie_file, or rpc_user and rpc_password".to_owned();
                self.missing(&["rpc_cookie_file"], expected, reader);
            }
        }
    }
}
