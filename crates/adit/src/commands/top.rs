//! `adit top`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use super::{EX_UNAVAILABLE, EX_USAGE, complain, ended, say};
use crate::cli::TopArgs;
use crate::config::{self, Config, ConfigErrors, Http};
use crate::top::{Client, once, watch};

/// The token, for those who have it from elsewhere than a file.
const TOKEN: &str = "ADIT_TOKEN";

pub(super) fn top(args: &TopArgs) -> ExitCode {
    let client = match client(args) {
        Ok(client) => client,
        Err(why) => {
            complain(why);
            return ExitCode::from(EX_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start: {error}"));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let shown = runtime.block_on(async {
        if args.once {
            return once(client).await.map(say);
        }
        watch(client, async {
            ended().await;
        })
        .await
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(why);
            ExitCode::from(EX_UNAVAILABLE)
        }
    }
}

fn client(args: &TopArgs) -> Result<Client, String> {
    let token = match &args.token_file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            Some(read.map_err(|error| format!("cannot read {}: {error}", path.display()))?.trim().to_owned())
        }
        None => std::env::var(TOKEN).ok().filter(|token| !token.is_empty()),
    };
    if let Some(url) = &args.url {
        return Client::new(url, token);
    }
    let http = match Config::load(args.config.config.as_deref(), config::environment()) {
        Ok(loaded) => loaded.config.http,
        // Without a configuration it is looked for where Adit is by default.
        Err(ConfigErrors::NotFound { .. }) => Http::default(),
        Err(error) => return Err(error.to_string()),
    };
    let token = token.or_else(|| http.read_token.as_ref().map(|token| token.reveal().to_owned()));
    Client::new(&url_of(&http)?, token)
}

/// Where an Adit with this configuration answers, from this machine.
fn url_of(http: &Http) -> Result<String, String> {
    if !http.enabled {
        return Err("the configuration has http.enabled = false: there is nobody to ask".to_owned());
    }
    let mut address = http.listen;
    if address.port() == 0 {
        return Err(
            "the configuration leaves the port of http.listen open: say --url http://HOST:PORT".to_owned()
        );
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_where_the_configuration_lets_adit_answer() {
        let at = |listen: &str| url_of(&Http { listen: listen.parse().unwrap(), ..Http::default() });
        assert_eq!(at("0.0.0.0:80").as_deref(), Ok("http://127.0.0.1:80"));
        assert_eq!(at("[::]:80").as_deref(), Ok("http://[::1]:80"));
        assert_eq!(at("10.0.0.7:23480").as_deref(), Ok("http://10.0.0.7:23480"));
        assert!(at("127.0.0.1:0").is_err());
        assert!(url_of(&Http { enabled: false, ..Http::default() }).is_err());
    }
}
