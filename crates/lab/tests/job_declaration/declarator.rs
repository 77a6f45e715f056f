//! The product's declarator over a real socket.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::Now;
use engine::source::{
    Declaration, DownReason, JdsEffects, JdsEvent, JdsSettings, JobDeclarator, LinkSecurity,
};
use lab::dev_pool::DevPool;
use lab::sv2_client::Sv2Client;
use work::coinbase::Output;

use crate::farm::within;

pub(crate) struct Declarator {
    link: Sv2Client,
    pub(crate) client: JobDeclarator,
    fx: JdsEffects,
    began: Instant,
    events: VecDeque<JdsEvent>,
}

impl Declarator {
    pub(crate) async fn connect(pool: &DevPool, full_template: bool) -> Declarator {
        let address = pool.jds_addr().expect("it has one");
        let link = Sv2Client::connect(address, pool.authority_public_key()).await.expect("handshake");
        let settings = JdsSettings {
            host: address.ip().to_string(),
            port: address.port(),
            user_identifier: "farm".into(),
            insecure: false,
            full_template,
        };
        let mut declarator = Declarator {
            link,
            client: JobDeclarator::new(settings, 1),
            fx: JdsEffects::default(),
            began: Instant::now(),
            events: VecDeque::new(),
        };
        declarator.client.start();
        let now = declarator.now();
        declarator.client.connected(LinkSecurity::Authenticated, now, &mut declarator.fx);
        declarator.pump().await;
        declarator
    }

    /// With a token in stock.
    pub(crate) async fn ready(pool: &DevPool, full_template: bool) -> (Declarator, Vec<Output>) {
        let mut declarator = Declarator::connect(pool, full_template).await;
        let JdsEvent::Outputs(outputs) = declarator.event().await else { panic!("the outputs come first") };
        assert_eq!(declarator.event().await, JdsEvent::Token);
        (declarator, outputs.to_vec())
    }

    fn now(&self) -> Now {
        Now { mono: self.began.elapsed(), unix: 1_800_000_000 }
    }

    /// Sends and notes what the client wants sent and noted.
    async fn pump(&mut self) {
        self.events.extend(self.fx.events.drain(..));
        if !self.fx.frames.is_empty() {
            let frames = std::mem::take(&mut self.fx.frames);
            self.link.plain.extend_from_slice(&frames);
            // A client that hangs up says its last words to nobody.
            let sent = self.link.flush().await;
            assert!(sent.is_ok() || self.fx.hang_up);
        }
    }

    pub(crate) async fn event(&mut self) -> JdsEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            assert!(!self.fx.hang_up, "it has hung up");
            let received = within("the server", self.link.recv()).await;
            let now = self.now();
            match received {
                Ok((header, payload)) => self.client.frame(&header, &payload, now, &mut self.fx),
                Err(error) => {
                    self.client.disconnected(DownReason::Lost(error.to_string()), now, &mut self.fx);
                }
            }
            self.pump().await;
        }
    }

    /// The next event that is not about stocks of tokens.
    pub(crate) async fn outcome(&mut self) -> JdsEvent {
        loop {
            match self.event().await {
                JdsEvent::Token => {}
                other => return other,
            }
        }
    }

    /// Declares and has the token.
    pub(crate) async fn declare(&mut self, declaration: Declaration) -> Vec<u8> {
        let wanted = declaration.number;
        self.send(declaration).await;
        match self.outcome().await {
            JdsEvent::Declared { number, token } if number == wanted => token,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, declaration: Declaration) {
        let now = self.now();
        assert!(self.client.declare(declaration, now, &mut self.fx), "it has a token");
        self.pump().await;
    }

    pub(crate) async fn take_token(&mut self) -> Vec<u8> {
        let now = self.now();
        let token = self.client.take_token(now, &mut self.fx).expect("it has one");
        self.pump().await;
        token
    }

    pub(crate) async fn push(&mut self, solution: &engine::source::PushedSolution) {
        self.client.push_solution(solution, &mut self.fx);
        self.pump().await;
    }

    /// Lets time pass for the client, not for anybody else.
    pub(crate) async fn wait(&mut self, time: Duration) {
        let now = Now { mono: self.began.elapsed() + time, unix: 1_800_000_000 };
        self.client.timer(now, &mut self.fx);
        self.pump().await;
    }
}
